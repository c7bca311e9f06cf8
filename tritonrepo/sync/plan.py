"""The way from what a store has to what a tree says: a Plan, made before anything is written. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from operator import attrgetter
from typing import NamedTuple

from tritonrepo.diagnostics import Diagnostic, Severity, Span
from tritonrepo.repository.paths import is_config
from tritonrepo.shared import SETTINGS, named
from tritonrepo.tree import Directory, Entry, File, Tree, files, in_bytes, in_order, is_directory, is_one, parents

BY_HAND = "changed by hand"
"""The reason in a plan for a file of an earlier build that is kept or overwritten."""


class Phase(IntEnum):
    """Phases in their order, each finished before the next begins.

    What nobody serves, a directory, has its configs after all other files.
    """

    CLAIM = 0  # the record names all that this plan will have written, so that a killed run's files are known as ours
    GATE = 1  # a new model's config that names no existing version
    FILES = 2  # new version directories
    CONFIGS = 3  # of a directory
    EXPAND = 4  # configs that name the old and the new version
    REPLACE = 5  # configs that take out the old version of models of which two do not fit in memory
    SWITCH = 6  # their new version alone, and configs of pipelines that pin the new one
    CONTRACT = 7  # configs that name the new version only
    PRUNE = 8  # deletions
    CLOSE = 9  # the record names what is there


class Put(NamedTuple):
    """Write a file; the reason is what `--dry-run` prints. Waves divide a phase in which servers need time."""

    phase: Phase
    path: str
    file: File
    reason: str
    wave: int = 0


class Delete(NamedTuple):
    """Remove a file."""

    phase: Phase
    path: str
    reason: str
    wave: int = 0


Action = Put | Delete


@dataclass(frozen=True, slots=True)
class Plan:
    """Actions sorted by phase, then path; what is in the way; what is left alone.

    For a build, `kept` are the files of earlier builds that someone has changed since, and `needed` what they share
    with other versions.
    For a push, `notes` are what its user should know; `resumed`, whether an earlier push was interrupted; `served`,
    whether a server can have loaded anything from the target; `what`, the word for it in messages.
    """

    actions: tuple[Action, ...]
    conflicts: tuple[Diagnostic, ...] = ()
    foreign: tuple[str, ...] = ()
    notes: tuple[Diagnostic, ...] = ()
    resumed: bool = False
    served: bool = False
    kept: tuple[str, ...] = ()
    needed: tuple[str, ...] = ()
    what: str = "push"

    def __bool__(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.actions)


class Means(NamedTuple):
    """How messages name the command that a plan for a directory belongs to, and what it writes from."""

    verb: str
    gone: str
    option: str = ""

    @property
    def elsewhere(self) -> str:
        """The hint for a directory that cannot be used."""
        return f"Choose another directory{self.option}."

    @property
    def otherwise(self) -> str:
        """The end of a hint for a directory in which something is in the way."""
        return f"or {self.verb} into another directory{self.option}."


BUILD = Means("build", "not in the stack", " with -o")
PULL = Means("pull", "not in what is pulled")

Written = Mapping[str, tuple[str, ...]]
"""What earlier builds wrote: path → the file's SHA-256; two if a killed build may not have replaced it."""


def plan(  # noqa: PLR0913  what is there, who wrote it, and what is to be done with it
    want: Tree, have: Tree, ours: Written, where: str, *, overwrite: bool = False, means: Means = BUILD
) -> Plan:
    """Return the way from `have` to `want` for a directory that nobody serves.

    Of `ours`, files that `want` no longer has are deleted, and files that were changed since are kept, unless they
    are to be overwritten. Files of others are left alone and listed; one in the place of a new file is a conflict.
    `where` names the directory.
    """
    changed = {path: file for path, file in files(want).items() if not _same(file, have.get(path))}
    gone = [path for path, entry in in_order(have) if path in ours and path not in want and not is_directory(entry)]
    edited = {path for path in (*changed, *gone) if path in ours and path in have and not _is(have[path], ours[path])}
    kept = set() if overwrite else edited
    actions: list[Action] = [
        Put(Phase.CONFIGS if is_config(path) else Phase.FILES, path, file, _reason(path, have, edited))
        for path, file in changed.items()
        if path not in kept
    ]
    needed = _needed(kept, have, gone) - kept
    actions += [Delete(Phase.PRUNE, path, means.gone) for path in gone if path not in {*kept, *needed}]
    conflicts = (*_occupied(want, have, ours, (where, means)), *_blocked(want, have, where, means))
    foreign = tuple(path for path, _ in in_order(have) if path not in want and path not in ours)
    kept_in_order, needed_in_order = (tuple(sorted(paths, key=in_bytes)) for paths in (kept, needed))
    return Plan(in_phases(actions), conflicts, foreign, kept=kept_in_order, needed=needed_in_order)


def _needed(kept: Collection[str], have: Tree, gone: Iterable[str]) -> set[str]:
    """Return the files that kept settings of a version name in directories which versions share."""
    settings = [(path, have[path]) for path in kept if path.endswith(f"/{SETTINGS}")]
    heads = {
        f"{path.partition('/')[0]}/{top}/" for path, file in settings if isinstance(file, File) for top in named(file)
    }
    return {path for path in gone if path.startswith(tuple(heads))}


def _reason(path: str, have: Tree, edited: set[str]) -> str:
    if path not in have:
        return "new"
    return BY_HAND if path in edited else "changed"


def _is(entry: Entry, digests: tuple[str, ...]) -> bool:
    """Whether an entry is a file with one of these digests."""
    return isinstance(entry, File) and entry.sha256 in digests


def in_phases(actions: Iterable[Action]) -> tuple[Action, ...]:
    """Return actions by phase, wave and path."""
    found = list(actions)  # sorted by what they have, the last key first: keys of thousands would take more than they
    found.sort(key=_path if all(action.path.isascii() for action in found) else _path_in_bytes)
    found.sort(key=_wave)
    found.sort(key=_phase)
    return tuple(found)


def _path_in_bytes(action: Action) -> bytes:
    return in_bytes(action.path)


_phase, _wave, _path = (attrgetter(name) for name in ("phase", "wave", "path"))


def _same(file: File, entry: object) -> bool:
    if not isinstance(entry, File) or entry.size != file.size:
        return False
    return is_one(entry, file) or entry.sha256 == file.sha256


def _occupied(want: Tree, have: Tree, ours: Written, told: tuple[str, Means]) -> list[Diagnostic]:
    """Return the conflicts with files of others that a file of ours would overwrite."""
    where, means = told
    return [
        Diagnostic(
            "plan-foreign-file",
            Severity.FATAL,
            Span(f"{where}/{path}"),
            f"the {means.verb} needs this path, but tritonrepo did not write the file",
            f"Move the file elsewhere, {means.otherwise}",
        )
        for path, file in files(want).items()
        if path in have and path not in ours and not is_directory(have[path]) and not _same(file, have[path])
    ]


def _blocked(want: Tree, have: Tree, where: str, means: Means) -> list[Diagnostic]:
    """Return the conflicts of directories with files to be written, and of files with directories."""
    tops = {each for path in want for each in parents(path)}
    inside = {each for path in have for each in parents(path)}
    blocked = [path for path, entry in have.items() if path in tops and not isinstance(entry, Directory)]
    blocked += [path for path in want if path in inside or (path in have and is_directory(have[path]))]
    return [
        Diagnostic(
            "plan-blocked",
            Severity.FATAL,
            Span(f"{where}/{path}"),
            f"the {means.verb} needs a file where a directory is, or a directory where a file is",
            f"Move it elsewhere, {means.otherwise}",
        )
        for path in sorted(blocked)
    ]
