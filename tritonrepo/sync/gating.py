"""Which versions of a model a server would serve from a tree, and the config texts that hold a version back. Pure."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from tritonrepo.pbtxt import Message, editor, parse
from tritonrepo.repository.versions import selected, versions
from tritonrepo.sync.plan import CONFIG
from tritonrepo.tree import File, Tree, files

CALLS = "calls.json"
LATEST = -1
"""The version of a call that names none."""

Call = tuple[str, int]
"""A model's name, and the version that is asked of it."""

Released = Mapping[str, Collection[int]]
"""Model → versions of the last finished push."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model's files, paths counted from its directory; its config as far as a server accepts it; its versions."""

    name: str
    files: Mapping[str, File]
    config: Message | None
    gated: bool
    versions: Mapping[int, str]

    @property
    def text(self) -> bytes:
        """The config's text; empty where there is none."""
        return self.files[CONFIG].content() if CONFIG in self.files else b""

    @property
    def served(self) -> tuple[int, ...]:
        """The versions that a server takes from these files, ascending."""
        if self.gated:
            return ()
        return selected(self.versions, self.config.message("version_policy") if self.config else None)

    def admits(self, version: int) -> bool:
        """Whether a server that finds this version's directory, finished or not, may load it."""
        if self.gated:
            return False
        policy = self.config.message("version_policy") if self.config else None
        specific = policy.message("specific") if policy else None
        return specific is None or version in specific.numbers("versions")

    def within(self, version: int) -> dict[str, File]:
        """Give the files of a version, paths counted from the model's directory."""
        head = f"{self.versions[version]}/" if version in self.versions else f"{version}/"
        return {path: file for path, file in self.files.items() if path.startswith(head)}

    @property
    def is_ensemble(self) -> bool:
        """Whether it is a pipeline: its one config says which versions are called."""
        return self.config is not None and self.config.has("ensemble_scheduling")

    def steps(self) -> list[Call]:
        """Give the models that an ensemble's steps call, in order, with the version of each; -1 is the latest."""
        scheduling = self.config.message("ensemble_scheduling") if self.config else None
        found = scheduling.messages("step") if scheduling else []
        return [(step.text("model_name"), step.integer("model_version")) for step in found]

    def called(self, *versions: int) -> set[Call]:
        """Give model and version of all that it calls: by its steps, and by calls.json, of these versions or of all."""
        tops = {self.versions[version] for version in versions if version in self.versions}
        found = set(self.steps())
        for path, file in self.files.items():
            top, _, rest = path.partition("/")
            if rest == CALLS and (top in tops or not versions):
                found |= _named(file)
        return found

    def calls(self) -> set[str]:
        """Give the names of the models that it calls."""
        return {name for name, _ in self.called()}


def _named(file: File) -> set[Call]:
    """Read a calls.json, model → version; what is none calls nothing, and validate says so."""
    try:
        data = json.loads(file.content())
        return {(str(name), int(version)) for name, version in data.items()}
    except (ValueError, TypeError, AttributeError, RecursionError):
        return set()


def absent(name: str) -> Model:
    """Give a model of which nothing is there."""
    return model_of(name, {})


def models(tree: Tree) -> dict[str, Model]:
    """Give the models of a tree in order; files at its top belong to none."""
    found: dict[str, dict[str, File]] = {}
    for path, file in files(tree).items():
        name, slash, rest = path.partition("/")
        if slash:
            found.setdefault(name, {})[rest] = file
    return {name: model_of(name, own) for name, own in found.items()}


def model_of(name: str, own: Mapping[str, File]) -> Model:
    """Give the model of these files, paths counted from its directory."""
    parsed = parse(own[CONFIG].content()) if CONFIG in own else None
    directories = sorted({path.partition("/")[0] for path in own if "/" in path}, key=str.encode)
    # a config that cannot be read, or whose name is not the directory's, fails at the poll: nothing new is loaded
    gated = parsed is not None and (bool(parsed.faults) or parsed.root.text("name") not in {"", name})
    return Model(name, own, parsed.root if parsed and not gated else None, gated, versions(directories).found)


def needed(had: Mapping[str, Model], used: Collection[str], released: Released) -> set[tuple[str, int]]:
    """Give model and version of what must go on: the last finished push's, what nobody is known to call, and callees.

    A call that names no version (`LATEST`) needs what the last finished push serves, or else all that is served.
    """
    found: set[tuple[str, int]] = set()
    todo = [
        (name, version)
        for name, model in had.items()
        for version in model.served
        if name not in used or model.is_ensemble or version in released.get(name, ())
    ]
    while todo:
        name, version = todo.pop()
        served = had[name].served if name in had else ()
        settled = [number for number in served if number in released.get(name, ())] or served
        numbers = settled if version == LATEST else (version,)
        new = {(name, number) for number in numbers} - found
        found |= new
        todo += [call for _, number in new if name in had for call in had[name].called(number)]
    return found


def name_gate(name: str) -> bytes:
    """Give the config that keeps a new model unknown while its files arrive, and the server ready all the while.

    Seen on 24.10: a config that names a missing version would turn readiness to 400; another name is refused at poll.
    """
    return f'# its files are being pushed; its own config comes last\nname: "{name}.uploading"\n'.encode()


def serving(text: bytes, numbers: Collection[int]) -> bytes:
    """Give a config's text with another version_policy, `specific`; every other byte stays."""
    root = parse(text).root
    policy = {"specific": {"versions": sorted(numbers)}}
    return editor.apply(text, [editor.put(root, "version_policy", policy)])


def depths(found: Mapping[str, Model]) -> dict[str, int]:
    """Give how many calls deep a model stands above those that call nothing; a cycle counts no further."""
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
