"""What a bucket holds of a repository, from what was read of it: what serves, what is kept, what is not in order. Pure.

Of the files, only configs and what the record does not know are read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from enum import StrEnum
from typing import NamedTuple

from tritonrepo.diagnostics import Diagnostic, Severity, Span
from tritonrepo.repository.paths import is_config
from tritonrepo.stores.store import Stored
from tritonrepo.sync import revision as revisions
from tritonrepo.sync.gating import Model
from tritonrepo.sync.history import MOST_BYTES, Begun
from tritonrepo.sync.revision import Object, Revision
from tritonrepo.sync.wording import some
from tritonrepo.tree import File, Tree, files


class Owner(StrEnum):
    """Who a model is of: the current revision, another revision of the repository, or nobody that the record knows."""

    CURRENT = "current"
    EARLIER = "other revision"
    UNKNOWN = "not recorded"


class Kept(NamedTuple):
    """A version that no config serves: its number, and how many files and bytes it has."""

    number: int
    files: int
    bytes: int


class Held(NamedTuple):
    """A model as the bucket holds it: whose it is, the versions that its config serves, and those that are kept."""

    name: str
    owner: Owner
    serves: tuple[Kept, ...]
    kept: tuple[Kept, ...]


class Past(NamedTuple):
    """A revision: its record, None if that cannot be read, and which of its files no longer exist."""

    number: int
    revision: Revision | None
    missing: tuple[str, ...] = ()
    current: bool = False


class Lock(NamedTuple):
    """Who holds the lock, and whether the process still runs; None if that is on another machine."""

    holder: Mapping[str, str]
    running: bool | None


class Status(NamedTuple):
    """State of a repository in a bucket; revisions are sorted by number, the last first, `more` are not among them."""

    uri: str
    current: Revision | None
    past: tuple[Past, ...]
    more: int
    models: tuple[Held, ...]
    lock: Lock | None
    found: tuple[Diagnostic, ...]


def held(had: Mapping[str, Model], before: Revision | None) -> tuple[Held, ...]:
    """Return what the bucket holds of each model, sorted by name."""
    current = {path.partition("/")[0] for path in before.files} if before else set[str]()
    published = {path.partition("/")[0] for path in before.contents} if before else set[str]()
    return tuple(_held(had[name], _owner(name, current, published)) for name in sorted(had))


def _owner(name: str, current: Collection[str], published: Collection[str]) -> Owner:
    return Owner.CURRENT if name in current else Owner.EARLIER if name in published else Owner.UNKNOWN


def _held(model: Model, owner: Owner) -> Held:
    sizes = {number: [file.size for file in model.within(number).values()] for number in model.versions}
    versions = [Kept(number, len(found), sum(found)) for number, found in sorted(sizes.items())]
    serves = tuple(version for version in versions if version.number in model.served)
    return Held(model.name, owner, serves, tuple(version for version in versions if version not in serves))


def faults(have: Tree, before: Revision, where: str, begun: Begun | None, lock: Lock | None) -> Iterator[Diagnostic]:
    """Yield what is not as the record says, unless the push that the lock belongs to may be at work."""
    if lock and lock.running is not False:
        return
    there = files(have)
    ours = {path.partition("/")[0] for path in before.files}
    moved = sorted(revisions.unfinished(have, before) & ours) if begun or not before.number else []
    missing = [path for path in before.files if path not in there]
    changed = [path for path, was in before.files.items() if path in there and not _same(there[path], was)]
    if begun or not before.number:
        missing, changed = ([path for path in paths if not is_config(path)] for paths in (missing, changed))
        yield _interrupted(where, begun, moved)
    if missing:
        message = f"files of the current revision are gone: {some(missing)}"
        hint = "Push the repository again, or go back to another revision."
        yield Diagnostic("status-missing", Severity.ERROR, Span(where), message, hint)
    if changed:
        message = f"files were changed after the last push: {some(changed)}"
        hint = "Find out who writes to this prefix. The next push or rollback replaces what servers may load."
        yield Diagnostic("status-changed", Severity.ERROR, Span(where), message, hint)


def _same(file: File, was: Object) -> bool:
    """Whether a file is what was recorded; a large one whose tag is another is not read, and taken for it."""
    if file.size != was.size:
        return False
    if isinstance(file, Stored) and file.tag == was.tag:
        return True
    return file.size > MOST_BYTES or file.sha256 == was.sha256


def _interrupted(where: str, begun: Begun | None, moved: Collection[str]) -> Diagnostic:
    what = f"a rollback to revision {begun.back}" if begun and begun.back else "a push" if begun else "the first push"
    since = f" after revision {begun.after}" if begun else ""
    by = f" by {begun.made['by'][:99]}" if begun and begun.made.get("by") else ""
    if begun and not moved:
        message = f"{what}{by}{since} was interrupted before it changed a config of that revision"
        return Diagnostic("status-interrupted", Severity.WARNING, Span(where), message, "The next push continues it.")
    changed = f": it has changed {some(moved)}" if moved else ""
    hint = "Run it again: it continues from there."
    hint += " Or go back with `tritonrepo rollback`." if begun else ""
    return Diagnostic(
        "status-interrupted", Severity.ERROR, Span(where), f"{what}{by}{since} was interrupted{changed}", hint
    )
