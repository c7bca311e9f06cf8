"""Which versions of a model a server would serve from a tree, and the configs that hold a version back. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar, cast

from tritonrepo import repository
from tritonrepo.pbtxt import Message, editor, parse
from tritonrepo.repository import Target
from tritonrepo.repository.calls import PINS, calls
from tritonrepo.repository.model import CONFIG
from tritonrepo.tree import File, Tree, digest, files

T = TypeVar("T")

LATEST = -1
"""The version of a call that names no version."""

OUT = 999_999_999
"""The version that answers for a model while it is replaced (`sync.replacing`); it is none of the model's own."""

Call = tuple[str, int]
"""A model's name, and the version that is requested."""

Released = Mapping[str, Collection[int]]
"""Model → versions of the last finished push."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model's files, with paths relative to its directory; its config, if a server accepts it; its versions.

    `gated`: a server does not accept the config, or it has another name, so nothing new of the model is loaded.
    `served` are the versions that a server would serve from these files, ascending; a placeholder is not among them.
    """

    name: str
    files: Mapping[str, File]
    config: Message | None
    gated: bool
    versions: Mapping[int, str]
    served: tuple[int, ...]

    @property
    def text(self) -> bytes:
        """The config's text; empty if the model has no config."""
        return self.files[CONFIG].content() if CONFIG in self.files else b""

    @property
    def named(self) -> Collection[int] | None:
        """The versions that the config names; None if a server may load any that appears, finished or not."""
        if self.gated:
            return ()
        policy = self.config.message("version_policy") if self.config else None
        specific = policy.message("specific") if policy else None
        return None if specific is None else specific.numbers("versions")

    def admits(self, version: int) -> bool:
        """Whether a server that finds this version's directory, finished or not, may load it."""
        return self.named is None or version in self.named

    def within(self, version: int) -> dict[str, File]:
        """Return the files of a version, with paths relative to the model's directory."""
        head = f"{self.versions[version]}/" if version in self.versions else f"{version}/"
        return {path: file for path, file in self.files.items() if path.startswith(head)}

    def content(self, version: int) -> str:
        """Return the digest of a version's content, as a build computes it."""
        return digest({path.partition("/")[2]: file for path, file in self.within(version).items()})

    @property
    def is_ensemble(self) -> bool:
        """Whether it is a pipeline: its one config determines which versions are called."""
        return self.config is not None and self.config.has("ensemble_scheduling")

    def steps(self) -> list[Call]:
        """Return the models that an ensemble's steps call, in order, with the version of each; -1 is the latest."""
        scheduling = self.config.message("ensemble_scheduling") if self.config else None
        found = scheduling.messages("step") if scheduling else []
        return [(step.text("model_name"), step.integer("model_version")) for step in found]

    def called(self, *versions: int) -> set[Call]:
        """Return model and version of all its calls: by its steps, and by the calls.json of these or all versions.

        The backend does not matter: a push holds back too much rather than too little.
        """
        tops = {self.versions[version] for version in versions if version in self.versions}
        found = set(self.steps())
        for path, file in self.files.items():
            top, _, rest = path.partition("/")
            if rest == PINS and (top in tops or not versions):
                found |= {(call.model, call.version) for call in calls(path, file)}
        return found

    def calls(self) -> set[str]:
        """Return the names of the models that it calls."""
        return {name for name, _ in self.called()}


def models(tree: Tree, server: Target) -> dict[str, Model]:
    """Return the models that a server sees in the files of a tree, in order; top-level files belong to no model."""
    return {name: _of(model) for name, model in repository.read(files(tree), server).models.items()}


def model_of(name: str, own: Mapping[str, File], server: Target) -> Model:
    """Return the model of these files, with paths relative to its directory."""
    return _of(repository.model(name, own, server))


def _of(model: repository.Model) -> Model:
    gated = model.unknown or model.config_name != model.name
    own = cast("Mapping[str, File]", model.entries)  # it was read from files only
    config = None if gated or model.parsed is None else model.config
    there = {number: top for number, top in model.versions.found.items() if number != OUT}
    served = () if gated else tuple(number for number in model.served if number != OUT)
    return Model(model.name, own, config, gated, there, served)


def reached(start: Iterable[T], calls: Callable[[T], Iterable[T]]) -> set[T]:
    """Return the start, and everything that calls reach from it, directly or indirectly.

    The caller decides what counts as a call: that of any version, of a served one, or only of a step.
    """
    found: set[T] = set()
    todo = list(start)
    while todo:
        one = todo.pop()
        if one not in found:
            found.add(one)
            todo += calls(one)
    return found


def needed(had: Mapping[str, Model], used: Collection[str], released: Released) -> set[Call]:
    """Return model and version of what must stay: the last finished push's, what has no known caller, and callees.

    A call that names no version (`LATEST`) needs what the last finished push serves, or otherwise all that is served.
    """

    def calls(one: Call) -> list[Call]:
        name, version = one
        called = had[name].called(version) if name in had else ()
        return [(model, number) for model, asked in called for number in numbers(model, asked)]

    def numbers(name: str, asked: int) -> Collection[int]:
        served = had[name].served if name in had else ()
        settled = [number for number in served if number in released.get(name, ())] or served
        return settled if asked == LATEST else (asked,)

    start = [
        (name, version)
        for name, model in had.items()
        for version in model.served
        if name not in used or model.is_ensemble or version in released.get(name, ())
    ]
    return reached(start, calls)


def name_gate(name: str) -> bytes:
    """Return the config that hides a new model while its files are uploaded, and keeps the server ready.

    Seen on 24.10: a config that names a missing version would turn readiness to 400; another name is refused at poll.
    """
    return f'# The files are being uploaded; the real config comes last.\nname: "{name}.uploading"\n'.encode()


def serving(text: bytes, numbers: Collection[int]) -> bytes:
    """Return a config's text with a `specific` version_policy; every other byte stays."""
    root = parse(text).root
    policy = {"specific": {"versions": sorted(numbers)}}
    return editor.apply(text, [editor.put(root, "version_policy", policy)])


def depths(found: Mapping[str, Model]) -> dict[str, int]:
    """Return how many calls each model is above models that call nothing; a cycle does not add to it."""
    calls = {name: (model.calls() & found.keys()) - {name} for name, model in found.items()}
    known: dict[str, int] = {}
    begun: set[str] = set()
    todo = sorted(found, reverse=True)
    while todo:
        name = todo[-1]
        below = [] if name in begun else sorted(calls[name] - known.keys())
        begun.add(name)
        if not below:
            known.setdefault(name, 1 + max((known[other] for other in calls[name] if other in known), default=-1))
            todo.pop()
        todo += below
    return known
