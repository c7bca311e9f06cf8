"""The plan that removes what nothing needs any more. Pure.

Seen on Triton 24.10, which polled S3 every second, while no request failed:

| change | what the server did |
|---|---|
| the files of a version that the config does not name were deleted | nothing |
| then the same config was written again | initialized no version again; loaded ensembles that call the model again |
| a model's config got another name, and then its other files were deleted | served it on; each poll of it failed |
| then that config was deleted | unloaded the model at the next poll |

So a model that is removed is hidden first: a server that starts meanwhile does not know it, and no config names a
version whose files are incomplete.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from tritonrepo.diagnostics import Diagnostic, Severity, Span
from tritonrepo.repository import Target
from tritonrepo.repository.model import CONFIG
from tritonrepo.shared import is_shared
from tritonrepo.sync.gating import Model, depths
from tritonrepo.sync.needs import Bucket, Past, bucket, hidden, names
from tritonrepo.sync.plan import Action, Delete, Phase, Plan, Put, in_phases
from tritonrepo.sync.replacing import PLACEHOLDER
from tritonrepo.sync.revision import Revision, versions
from tritonrepo.tree import Tree, in_bytes, of_bytes

HIDE, FILES, CONFIGS = 1000, 1001, 1002
"""The waves: models that go are hidden, and before them what calls them; then files are deleted, and then servers see
that something has changed.
"""

DIGEST = re.compile("[0-9a-f]{64}")
REWRITTEN = "written again, because servers do not notice that files were deleted"
HIDDEN = "hidden from servers until its files are deleted"


class Kind(StrEnum):
    """What is removed as one."""

    MODEL = "model"
    VERSION = "version"
    LEFT = "left"
    SHARED = "shared"
    FILE = "file"


REASONS: Mapping[Kind, str] = {
    Kind.MODEL: "no longer in the stack, and nothing calls it: servers unload it",
    Kind.VERSION: "no config names it, and no kept revision has it",
    Kind.LEFT: "left over from an interrupted push",
    Kind.SHARED: "no remaining version shares it",
    Kind.FILE: "no kept revision has it",
}


class Removal(NamedTuple):
    """A model, a version, a directory that versions shared, or what else a model has; its files, and their bytes."""

    path: str
    kind: Kind
    files: tuple[str, ...]
    size: int

    @property
    def reason(self) -> str:
        """Why it is removed."""
        return REASONS[self.kind]


@dataclass(frozen=True, slots=True)
class Pruning:
    """What is removed: by the plan, whose phase is PRUNE; then copies, and records of earlier revisions.

    What stays although the current revision does not have it is in the plan's notes.
    """

    plan: Plan
    removals: tuple[Removal, ...] = ()
    copies: tuple[str, ...] = ()
    revisions: tuple[int, ...] = ()
    size: int = 0
    """How many bytes are freed, without the records."""

    def __bool__(self) -> bool:
        """Whether there is anything to remove."""
        return bool(self.plan or self.copies or self.revisions)


def pruning(have: Tree, past: Past, server: Target, where: str) -> Pruning:
    """Return what can be removed of `have`, which is at `where`; `server` is the target that reads it.

    `have` should know its digests (`revision.known`).
    """
    there = bucket(have, past, server)
    removals = [
        removal
        for name in sorted({*there.ours} - {*there.unclear}, key=in_bytes)
        for removal in ([_whole(name, there)] if name in there.leaving else _parts(there.had[name], there))
    ]
    plan = Plan(
        in_phases(_actions(removals, there)),
        foreign=tuple(sorted(there.had.keys() - {*there.ours})),
        notes=tuple(_notes(there, where)),
        resumed=_is_recent(removals, past),
        served=any(model.served for model in there.had.values()),
        what="removal",
    )
    copies, revisions = _copies(past), _records(there)
    size = sum(each.size for each in removals) + sum(past.copies[each].size for each in copies)
    return Pruning(plan, tuple(removals), copies, revisions, size)


def _removal(path: str, kind: Kind, paths: Iterable[str], there: Bucket) -> Removal:
    paths = tuple(paths)
    return Removal(path, kind, paths, sum(there.own[each].size for each in paths))


def _whole(name: str, there: Bucket) -> Removal:
    return _removal(name, Kind.MODEL, (path for path in there.own if path.startswith(f"{name}/")), there)


def _parts(model: Model, there: Bucket) -> Iterator[Removal]:
    """Yield what is removed of a model that stays."""
    numbers = {top: number for number, top in model.versions.items()}
    shared, settled = there.directories(model), _is_settled(model, there.past)
    known = {number for each in there.past.former for number in versions(each).get(model.name, ())}
    found: dict[tuple[str, Kind], list[str]] = {}
    for path in model.files:
        top, _, rest = path.partition("/")
        whole = f"{model.name}/{path}"
        if path in {CONFIG, PLACEHOLDER} or whole not in there.own:
            continue
        if rest and top in numbers:
            published = numbers[top] in known or f"{model.name}/{numbers[top]}" in there.past.current.contents
            kind = Kind.VERSION if published else Kind.LEFT
            gone = (model.name, numbers[top]) not in there.stays
        elif rest and is_shared(top):
            kind, gone = Kind.SHARED, top not in shared
        else:
            kind, gone = Kind.FILE, settled and whole not in there.held
        if gone:
            found.setdefault((f"{model.name}/{top}", kind), []).append(whole)
    yield from (_removal(path, kind, paths, there) for (path, kind), paths in found.items())


def _is_settled(model: Model, past: Past) -> bool:
    """Whether a config is that of the newest revision that stays and has it: it names no other files next to it."""
    path = f"{model.name}/{CONFIG}"
    having = next((revision for revision in past.staying if path in revision.files), None)
    return having is not None and having.files[path].sha256 == model.files[CONFIG].sha256


def _actions(removals: Iterable[Removal], there: Bucket) -> Iterator[Action]:
    changed, depth = set(), depths({name: there.had[name] for name in there.leaving})
    for removal in removals:
        name = removal.path.partition("/")[0]
        config = f"{name}/{CONFIG}"
        if removal.kind is not Kind.MODEL:
            changed.add(name)
        elif there.had[name].text != hidden(name):
            yield Put(Phase.PRUNE, config, of_bytes(hidden(name)), HIDDEN, max(0, HIDE - depth[name]))
        for path in removal.files:
            yield Delete(Phase.PRUNE, path, removal.reason, CONFIGS if path == config else FILES)
    for name in changed:
        yield Put(Phase.PRUNE, f"{name}/{CONFIG}", of_bytes(there.had[name].text), REWRITTEN, CONFIGS)


def _is_recent(removals: Iterable[Removal], past: Past) -> bool:
    """Whether servers may have served a moment ago what is removed: for certain not if only older revisions had it."""

    def numbered(revisions: Iterable[Revision]) -> set[str]:
        found = (versions(each).items() for each in revisions)
        return {f"{name}/{number}" for each in found for name, numbers in each for number in numbers}

    last = past.current.number - 1
    long_gone = numbered(each for each in past.former if each.number < last)
    long_gone -= numbered(each for each in past.former if each.number >= last)
    return any(each.kind in {Kind.VERSION, Kind.LEFT} and each.path not in long_gone for each in removals)


def _copies(past: Past) -> tuple[str, ...]:
    """Return the copies that no revision needs which stays."""
    needed = {entry.sha256 for revision in past.staying for entry in revision.files.values()}
    return tuple(sorted(each for each in past.copies if DIGEST.fullmatch(each) and each not in needed))


def _records(there: Bucket) -> tuple[int, ...]:
    """Return the numbers of the records that go; the last one with a model that stays shows whose that is."""
    proofs = set()
    for name in there.dropped:
        if name not in there.leaving:
            proofs.add(max(each.number for each in there.past.former if name in names(each.files)))
    return tuple(sorted(each.number for each in there.past.former if each.number not in proofs))


def _notes(there: Bucket, where: str) -> Iterator[Diagnostic]:
    """Yield what stays although the current revision does not have it, and why."""
    current = names(there.past.current.files)
    for name in sorted({*there.ours} - {*there.leaving}):
        at, kept = Span(f"{where}/{name}"), [each for each in there.past.kept if name in names(each.files)]
        if name in there.unclear:
            message = "the model is not as a finished push left it, so nothing of it is removed"
            hint = "Push or roll back, and prune then. If nobody needs the model, delete it from the bucket."
            yield Diagnostic("prune-unclear", Severity.WARNING, at, message, hint)
        elif name not in current and kept:
            message = f"the stack no longer has the model, but {_called(kept)}"
            yield Diagnostic("prune-kept", Severity.INFO, at, message, "Servers serve it until `--keep 1` removes it.")
        elif name not in current:
            message = f"the stack no longer has the model, but {', '.join(_callers(name, there))} can call it"
            yield Diagnostic("prune-called", Severity.INFO, at, message, "It stays until nothing calls it.")


def _callers(name: str, there: Bucket) -> list[str]:
    """Return the models that stay and call one."""
    return sorted(
        caller
        for caller, model in there.had.items()
        if caller != name
        and name in {called for each in there.stays if each[0] == caller for called, _ in model.called(each[1])}
    )


def _called(revisions: Collection[Revision]) -> str:
    """Return which revisions have something, as words."""
    *first, last = (str(each.number) for each in sorted(revisions, key=lambda each: each.number))
    return f"revisions {', '.join(first)} and {last} do" if first else f"revision {last} does"
