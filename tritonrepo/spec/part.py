"""The shape of a part: all that a role of the stack file is, as one value. None is known here by name.

A part's hooks are given values of the layers that call them. Their names are for the type checker alone: nothing of a
layer above is imported here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar, get_args, get_type_hints

from tritonrepo.diagnostics import Diagnostic, Severity, Span

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tritonrepo.generate.draft import Draft
    from tritonrepo.generate.inputs import Inputs
    from tritonrepo.smoke.case import Case, Crowd, Result
    from tritonrepo.smoke.plan import Known
    from tritonrepo.smoke.served import Served
    from tritonrepo.sources.gather import Gathering
    from tritonrepo.spec.stack import Stack

RULE = "stack-meaning"

Places = Mapping[str, Span]
"""Where each key of a value stands; the key "" is the value itself.

What stands in a free mapping has the keys that lead to it, joined by dots: `args.max_model_len`.
"""


class Model(Protocol):
    """A model of the stack file, with the keys of its role's part."""

    @property
    def role(self) -> str:
        """What the model does."""

    @property
    def places(self) -> Places:
        """Where its keys stand."""


class Port(NamedTuple):
    """A tensor that goes in or comes out: its name, data type without TYPE_, and dims without the batch dimension."""

    name: str
    data_type: str
    dims: tuple[int, ...]
    optional: bool = False


class Step(NamedTuple):
    """A step of an ensemble: the ending of its model's name, and the port that each tensor of that model is.

    A name that is no port of the part is a tensor between its own steps.
    """

    ending: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]


class Encoding(NamedTuple):
    """Functions of one encoder: `pieces` cuts a text into those that it reads whole, `embed` gives [texts, dimensions].

    Vectors are FP32.
    """

    pieces: Callable[[str], Iterable[str]]
    embed: Callable[[Sequence[str]], NDArray[Any]]


class Embeds(NamedTuple):
    """What makes vectors: the digest of all that decides one, how long they are, and the encoder, loaded when asked."""

    identity: str
    dimensions: int
    load: Callable[[], Encoding]


class Recipe(NamedTuple):
    """What a search index is made of: its directory, the pattern of its documents, and the model that embeds them."""

    directory: str
    documents: str
    embed_with: str


K = TypeVar("K", bound=Model)


def nothing(*_: object) -> tuple[()]:
    """Return what a part says where it has nothing to say."""
    return ()


def _no_files(*_: object) -> dict[str, str]:
    """Return that a part stands on no file of this machine."""
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part(Generic[K]):
    """A role: its keys, its ports, the models that it becomes, and what it needs.

    `endings` are those of the models that it becomes besides the one of its own name; `pipeline_keys` the keys of a
    pipeline that mean something only with this part in its chain; `untrue` the rules of those doubts which say that
    what is deployed would not be the stack's.
    """

    keys: type[K]
    takes: tuple[Port, ...]
    gives: tuple[Port, ...]
    steps: tuple[Step, ...]
    make: Callable[[str, K, Draft, Inputs], None]
    """Add the models to the draft, callees first."""
    gather: Callable[[str, K, Gathering], object]
    """Return the files that `make` finds in its inputs; raise Stop where they cannot be had."""
    stand_in: Callable[[K], object]
    """Return what is judged in the place of files that cannot be had."""
    endings: tuple[str, ...] = ()
    backends: frozenset[str] = frozenset({"python"})
    vendored: frozenset[str] = frozenset()
    pipeline_keys: tuple[str, ...] = ()
    untrue: frozenset[str] = frozenset()
    check: Callable[[str, K, Stack], Iterable[Diagnostic]] = nothing
    """Yield what the model cannot mean, its neighbours in the stack considered."""
    doubts: Callable[[str, K, Gathering], Iterable[Diagnostic]] = nothing
    """Yield what a build warns of although it can build; raise Stop where that cannot be known."""
    cases: Callable[[Served, Known], Iterable[Case | Crowd | Result]] = nothing
    """Yield what `tritonrepo smoke` asks a served model, where a repository says that it is one of this part's."""
    embeds: Callable[[Any], Embeds] | None = None
    """Return what makes vectors of texts, of the files that were gathered, where the part does so."""
    index: Callable[[K], Recipe] | None = None
    """Return what `tritonrepo index` makes, where the part searches."""
    local: Callable[[K], Mapping[str, str]] = _no_files
    """Return the local sources that `serve` runs instead of models on the hub, by the id there."""
    fed: Callable[[str, K, Mapping[str, str]], Iterable[tuple[str, str]]] = nothing
    """Yield message and hint of what is wrong with the models that feed its ports in a pipeline."""

    @property
    def role(self) -> str:
        """The value of `role` in the stack file."""
        return str(get_args(get_type_hints(self.keys)["role"])[0])

    def answers(self, port: str) -> bool:
        """Whether it gives a port of this name."""
        return any(given.name == port for given in self.gives)


Parts = Mapping[str, Part[Any]]
"""The parts that a stack file may use, by role."""


def wrong(places: Places, name: str, message: str, hint: str = "") -> Diagnostic:
    """Return the diagnostic at a key, or at the whole value where the key is not given."""
    return Diagnostic(RULE, Severity.FATAL, places.get(name, places.get("", Span(""))), message, hint)


def origin(places: Places, **fields: Span | None) -> Places:
    """Return the places of generated fields: those that are known, and the whole value's under ""."""
    return {"": places[""]} | {name: at for name, at in fields.items() if at is not None}


def below(places: Places, name: str) -> Places:
    """Return the places in a free mapping, by its own keys; "" is the mapping, or the whole value where it is not."""
    inner = {path.removeprefix(f"{name}."): at for path, at in places.items() if path.startswith(f"{name}.")}
    return inner | {"": places.get(name, places[""])}
