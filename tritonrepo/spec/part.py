"""The shape of a part: everything about a role of the stack file, as one value. Roles are not known by name here.

A part's hooks receive values of the layers that call them. Those types are imported for the type checker only: nothing
of a layer above is imported at run time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar, get_args, get_type_hints

from tritonrepo.diagnostics import Diagnostic, Fix, Severity, Span, closest
from tritonrepo.spec.mending import respelled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tritonrepo.generate.draft import Draft
    from tritonrepo.generate.inputs import Inputs
    from tritonrepo.parts.recognition import Found, Proposal
    from tritonrepo.smoke.case import Case, Crowd, Result
    from tritonrepo.smoke.plan import Known
    from tritonrepo.smoke.served import Served
    from tritonrepo.sources.gather import Gathering
    from tritonrepo.spec.stack import Chunks, Stack

RULE = "stack-meaning"

Places = Mapping[str, Span]
"""The place of each key of a value; the key "" is the value itself.

A value inside a free mapping has the keys that lead to it, joined by dots: `args.max_model_len`.
"""


class Model(Protocol):
    """A model of the stack file, with the keys of its role's part."""

    @property
    def role(self) -> str:
        """What the model does."""

    @property
    def places(self) -> Places:
        """The places of its keys."""


class Port(NamedTuple):
    """An input or output tensor: its name, data type without TYPE_, and dims without the batch dimension.

    `batches` is only known of a model that is configured: whether a batch comes before the dims. `by_name`: what a
    chain joins only with ports of the same name, neither by type nor, if it is optional, with an input for it alone.
    `beside` names the port of a list with which a spare one belongs together: the same model feeds both, or only that.
    """

    name: str
    data_type: str
    dims: tuple[int, ...]
    optional: bool = False
    batches: bool = False
    by_name: bool = False
    beside: str = ""


class Step(NamedTuple):
    """A step of an ensemble: the suffix of its model's name, and the port for each tensor of that model.

    A name that is not a port of the part is a tensor between its own steps.
    """

    ending: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]


class Embed(Protocol):
    """Returns the vectors of texts, FP32 [texts, dimensions]; `told` receives how many are done, after each batch."""

    def __call__(self, texts: Sequence[str], told: Callable[[int], object] = ...) -> NDArray[Any]:
        """Return the vectors."""


class Encoding(NamedTuple):
    """Functions of one encoder, which reads `limit` tokens of a text besides its special ones.

    `cut` yields begin and end of the pieces of a text with at most so many tokens, of which so many overlap; `count`
    returns the tokens of a text.
    """

    cut: Callable[[str, int, int], Iterable[tuple[int, int]]]
    embed: Embed
    count: Callable[[str], int]
    limit: int


class Embeds(NamedTuple):
    """A maker of vectors: the digest of all that determines them, their dimensions, and a loader of the encoder."""

    identity: str
    dimensions: int
    load: Callable[[], Encoding]


class Recipe(NamedTuple):
    """What a search index is built from: its directory, its documents, the model that embeds them, and their cuts.

    `documents` are glob patterns and directories.
    """

    directory: str
    documents: Sequence[str]
    embed_with: str
    chunks: Chunks


K = TypeVar("K", bound=Model)


def nothing(*_: object) -> tuple[()]:
    """Return nothing: the default of hooks that yield."""
    return ()


def _python(_: object) -> frozenset[str]:
    """Return the backend of a Python step: the default of `backends`."""
    return frozenset({"python"})


def _no_files(*_: object) -> dict[str, str]:
    """Return no local sources: the default of `local`."""
    return {}


def _unknown(*_: object) -> None:
    """Return None: the default of `recognize`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part(Generic[K]):
    """A role: its keys, its ports, the models that it becomes, and what it needs.

    `endings` are the suffixes of the models that it becomes besides the one with its own name; `pipeline_keys` the keys
    of a pipeline that have a meaning only with this part in its chain; `untrue` the rules of those doubts that mean
    that the deployed models would not be those of the stack.
    """

    keys: type[K]
    takes: tuple[Port, ...]
    gives: tuple[Port, ...]
    steps: tuple[Step, ...]
    make: Callable[[str, K, Draft, Inputs], None]
    """Add the models to the draft, callees first."""
    gather: Callable[[str, K, Gathering], object]
    """Return the files that `make` finds in its inputs; raise Stop if they cannot be obtained."""
    stand_in: Callable[[K], object]
    """Return what is judged in place of files that cannot be obtained."""
    endings: tuple[str, ...] = ()
    backends: Callable[[K], frozenset[str]] = _python
    """Return the backends of the models that it becomes."""
    vendored: frozenset[str] = frozenset()
    pipeline_keys: tuple[str, ...] = ()
    untrue: frozenset[str] = frozenset()
    streams: bool = False
    """Whether its last model answers with a stream, so that a pipeline of form bls can end in it."""
    free: bool = False
    """Whether its tensors are those of the user's files: it has no ports and steps before its model is configured."""
    check: Callable[[str, K, Stack], Iterable[Diagnostic]] = nothing
    """Yield the faults of the model, judged together with the rest of the stack."""
    doubts: Callable[[str, K, Gathering], Iterable[Diagnostic]] = nothing
    """Yield warnings of a build that succeeds; raise Stop if they cannot be determined."""
    cases: Callable[[Served, Known], Iterable[Case | Crowd | Result]] = nothing
    """Yield what `tritonrepo smoke` asks a served model that the repository shows to be one of this part's."""
    embeds: Callable[[Any], Embeds] | None = None
    """Return the maker of vectors from the gathered files; None if the part embeds nothing."""
    index: Callable[[K], Recipe] | None = None
    """Return what `tritonrepo index` builds; None if the part does not search."""
    local: Callable[[K], Mapping[str, str]] = _no_files
    """Return the local sources that `serve` runs instead of Hugging Face Hub models, by their id there."""
    fed: Callable[[str, K, Mapping[str, str]], Iterable[tuple[str, str]]] = nothing
    """Yield message and hint of what is wrong with the models that feed its ports in a pipeline."""
    recognize: Callable[[str, Found], Proposal | None] = _unknown
    """Return the keys that a repository shows of a model of this part; None if it does not show one."""

    @property
    def role(self) -> str:
        """The value of `role` in the stack file."""
        return str(get_args(get_type_hints(self.keys)["role"])[0])

    def answers(self, port: str) -> bool:
        """Return whether it gives a port of this name."""
        return any(given.name == port for given in self.gives)


Parts = Mapping[str, Part[Any]]
"""The parts that a stack file can use, by role."""


def wrong(places: Places, name: str, message: str, hint: str = "", fix: Fix | None = None) -> Diagnostic:
    """Return the diagnostic at a key, or at the whole value if the key is not set."""
    return Diagnostic(RULE, Severity.FATAL, places.get(name, places.get("", Span(""))), message, hint, fix=fix)


def misspelt(places: Places, name: str, message: str, word: str, choices: Sequence[str]) -> Diagnostic:
    """Return the diagnostic of a word that is none of these choices, with the closest one."""
    return wrong(places, name, message, closest(word, choices), respelled(places.get(name), word, choices))


def origin(places: Places, **fields: Span | None) -> Places:
    """Return the places of generated fields: those that are known, and the whole value's under ""."""
    return {"": places[""]} | {name: at for name, at in fields.items() if at is not None}


def batched(places: Places, batching: Places) -> Places:
    """Return the places of the fields that `batching` generates in each model of a part, and the whole value's."""
    whole = batching.get("")
    return origin(
        places,
        max_batch_size=batching.get("max_batch_size", whole),
        dynamic_batching=batching.get("preferred", whole),
    )


def below(places: Places, name: str) -> Places:
    """Return the places in a free mapping, by its own keys; "" is the mapping, or the whole value if it is not set."""
    inner = {path.removeprefix(f"{name}."): at for path, at in places.items() if path.startswith(f"{name}.")}
    return inner | {"": places.get(name, places[""])}
