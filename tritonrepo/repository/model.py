"""A model as the server would see it: its files, its config with positions, and what the core infers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from tritonrepo.diagnostics import Span
from tritonrepo.pbtxt import Message
from tritonrepo.pbtxt.nodes import Data, Placed, Value
from tritonrepo.pbtxt.parser import Parsed
from tritonrepo.pbtxt.root import Root
from tritonrepo.repository.calls import PINS, Call, calls
from tritonrepo.repository.inference import Inferred
from tritonrepo.repository.once import Memo
from tritonrepo.repository.target import Target
from tritonrepo.repository.tensors import ListedTensor, tensors
from tritonrepo.repository.versions import Versions
from tritonrepo.tree import Entry, File

CONFIG = "config.pbtxt"
UNSIGNED = 1 << 64
BROKEN = "text=broken"
"""The trait of a model whose config text has faults."""


@cache
def _anywhere(name: str) -> str:
    return f"*.{name}"


@dataclass(slots=True, eq=False)
class Model:
    """One directory at the top of a repository.

    `entries` are all entries below it, by path; `children` the names directly in it, name → entry, where a directory
    that is not empty is None; `directories` those of them that the server sees as directories, in byte order; `odd`
    what is neither a file nor a readable directory, with the model's own directory as "". `parsed` is None if no config
    can be read; `config` is then empty. `hidden`: the server may see a config that cannot be read here. `root` is
    the repository's path as the user gave it, `beside` all entries of the repository by path, and `looked_beside` tells
    whether anybody has asked for them. The tree of a `brief` one is dropped by who has looked at it.

    `fields` are the names of the config's top-level fields. `traits`, by which rules are called, are these, `*.NAME`
    for fields at any depth, `backend=NAME`, and BROKEN. `config_name` is the name that the server's texts use: the
    written one, or else the directory's. `max_batch_size` is 0 if it is not written. `memo` has what is computed once
    from the model, see `once`.
    """

    name: str
    entries: Mapping[str, Entry]
    children: Mapping[str, Entry | None]
    config: Root
    parsed: Parsed | None
    target: Target
    inferred: Inferred
    versions: Versions
    served: tuple[int, ...]
    directories: tuple[str, ...] = ()
    odd: tuple[tuple[str, Entry], ...] = ()
    hidden: bool = False
    root: str = ""
    brief: bool = field(init=False, default=False)
    looked_beside: bool = field(init=False, default=False)
    fields: frozenset[str] = field(init=False)
    traits: frozenset[str] = field(init=False)
    config_name: str = field(init=False)
    max_batch_size: int = field(init=False)
    memo: Memo = field(init=False, default_factory=dict)
    _beside: Mapping[str, Entry] = field(init=False, default_factory=dict)
    _tensors: tuple[ListedTensor, ...] | None = field(init=False, default=None)
    _parameters: Mapping[Data, Value | None] | None = field(init=False, default=None)
    _calls: tuple[Call, ...] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.fields = frozenset([entry.spec.name for entry in self.config.fields])
        names = self.parsed.names if self.parsed is not None else ()
        broken = (BROKEN,) if self.parsed is not None and self.parsed.faults else ()
        backend = f"backend={self.inferred.backend}"
        self.traits = frozenset([backend, *broken, *self.fields, *map(_anywhere, names)])
        self.config_name = self.config.text("name") or self.name
        self.max_batch_size = self.config.integer("max_batch_size")

    def share(self, same: dict[frozenset[str], frozenset[str]]) -> None:
        """Take the sets of names that other models have as well, so that each is kept once."""
        self.fields = same.setdefault(self.fields, self.fields)
        self.traits = same.setdefault(self.traits, self.traits)
        if self.parsed is not None:
            self.parsed = self.parsed._replace(names=same.setdefault(self.parsed.names, self.parsed.names))

    def drop(self) -> None:
        """Drop the config's tree and what was read from it: who asks for them reads them again."""
        self.config.drop()
        self._tensors = self._parameters = None

    @property
    def beside(self) -> Mapping[str, Entry]:
        """All entries of the repository, which other models change."""
        self.looked_beside = True
        return self._beside

    @beside.setter
    def beside(self, entries: Mapping[str, Entry]) -> None:
        self._beside = entries

    @property
    def unknown(self) -> bool:
        """Whether the config cannot be judged: its text has faults, or it is hidden."""
        return self.hidden or (self.parsed is not None and bool(self.parsed.faults))

    @property
    def tensors(self) -> tuple[ListedTensor, ...]:
        """The inputs, then the outputs, as the config lists them."""
        if self._tensors is None:
            self._tensors = tensors(self.config)
        return self._tensors

    @property
    def parameters(self) -> Mapping[Data, Value | None]:
        """The config's parameters by their keys, as `Message.mapping` returns them."""
        if self._parameters is None:
            self._parameters = self.config.mapping("parameters")
        return self._parameters

    def parameter(self, name: str) -> str:
        """Return the string of one of the config's parameters; "" if it has none."""
        found = self.parameters.get(name)
        return found.text("string_value") if isinstance(found, Message) else ""

    @property
    def calls(self) -> tuple[Call, ...]:
        """The models that a Python model's served versions call, as pinned by their calls.json."""
        if self._calls is None:
            paths = (f"{self.directory_of(version)}/{PINS}" for version in self.served)
            files = ((path, self.file(path)) for path in paths) if self.backend == "python" else ()
            self._calls = tuple(call for path, file in files if file is not None for call in calls(path, file))
        return self._calls

    @property
    def backend(self) -> str:
        """The backend, written or inferred; "" if there is none, and for an ensemble."""
        return self.inferred.backend

    @property
    def is_ensemble(self) -> bool:
        """Whether the core runs it, and not a backend."""
        return self.inferred.platform == "ensemble"

    def at(self, place: Placed | str | None = None) -> Span:
        """Return the place of a node in the config, of a path below the model, or of the whole config."""
        if isinstance(place, Placed):
            return place.span(f"{self.name}/{CONFIG}")
        if isinstance(place, str):
            return Span(f"{self.name}/{place}" if place else self.name)
        return Span(f"{self.name}/{CONFIG}" if self.parsed is not None else self.name)

    def on_server(self, path: str = "") -> str:
        """Return the path below the model as the server's texts write it.

        Source: core, src/filesystem/api.cc, JoinPath, which joins two consecutive `/` into one.
        """
        model = f"{self.root.rstrip('/')}/{self.name}" if self.root else self.name
        return f"{model}/{path.removeprefix('/')}" if path else model

    def file(self, path: str) -> File | None:
        """Return a file below the model's directory."""
        entry = self.entries.get(path)
        return entry if isinstance(entry, File) else None

    def directory_of(self, version: int) -> str:
        """Return the directory that a backend opens for a version: the number, whatever the directory's name.

        Source: core, TRITONBACKEND_ModelVersion, which returns an unsigned number: no backend finds a negative one.
        """
        return str(version % UNSIGNED)


@dataclass(slots=True, eq=False)
class Repository:
    """A whole repository: models in byte order, and everything else at its top level."""

    models: Mapping[str, Model]
    strays: Mapping[str, Entry]
    target: Target
    root: str = ""
