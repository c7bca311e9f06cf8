"""The plan for a directory of generated files: what `deploy` writes, and what it leaves alone.

Only the files that are wanted, and those that the directory's record names, are looked at: others can be there as well.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from tritonrepo.diagnostics import Diagnostic, Severity, Span, Stop, failure, fatal
from tritonrepo.flows import directory as places
from tritonrepo.stores.directory import DirectoryStore
from tritonrepo.sync import record as records
from tritonrepo.sync.apply import apply
from tritonrepo.sync.place import Place
from tritonrepo.sync.plan import BY_HAND, Means, Plan, plan
from tritonrepo.sync.record import Record
from tritonrepo.sync.writing import Alone
from tritonrepo.tree import NOT_KNOWN, Directory, Entry, File, Outside, Tree, Unreadable, on_disk, parents

RULE = "deploy-directory"
RECORD = ".tritonrepo-deploy.json"
"""What was written, in the output directory: tritonrepo.json is the record of a build."""

MEANS = Means("deploy", "no longer needed", " with -o")


class Deployment(NamedTuple):
    """Files to write: their directory, the plan for it, and warnings.

    `have` is what is in the directory, and `seen` the digest of it at each path that the plan writes or deletes.
    """

    out: Path
    plan: Plan
    warnings: tuple[Diagnostic, ...]
    have: Tree
    seen: Mapping[str, str]


def named(out: Path | str) -> Path:
    """Return the directory of the files; raise Stop if it cannot be one."""
    return places.named(RULE, out, MEANS, "Write the files into a directory, and copy it to the server.")


def plan_files(
    name: str, want: Tree, out: Path, warnings: tuple[Diagnostic, ...] = (), *, overwrite: bool = False
) -> Deployment:
    """Return the plan that makes these files those of the directory; `name` is what they deploy.

    Raise Stop if files of others are in the way. Files that were changed by hand since are kept and warned of, unless
    they are to be overwritten.
    """
    before = _before(out)
    have = _there(out, {*want, *before.files})
    conflicts = plan(want, have, before.written(), str(out), overwrite=overwrite, means=MEANS)
    if conflicts.conflicts:
        raise Stop(conflicts.conflicts)
    kept = {path: before.files[path] for path in conflicts.kept}
    record = Record(name, files=records.digests(want) | kept)
    full = records.with_record(conflicts, record, before, have | _record(out))
    by_hand = tuple(_by_hand(f"{out}/{path}", needed=path in want) for path in full.kept)
    actions = tuple(action._replace(path=_name(action.path)) for action in full.actions)
    full, have = replace(full, actions=actions), have | {_name(path): each for path, each in _record(out).items()}
    return Deployment(out, full, (*warnings, *by_hand), have, places.digests(full, have))


def apply_deploy(deployment: Deployment) -> None:
    """Write the files and remove those that are no longer needed, each of them whole or not at all.

    Raise Stop, with nothing written, if somebody has changed the directory since the plan was made.
    """
    out = deployment.out
    now = _there(out, {action.path for action in deployment.plan.actions})
    path = places.overtaken(deployment.plan, deployment.seen, now) if deployment.plan else None
    if path is not None:
        message = "the file was changed after this deployment was planned, so nothing was written"
        raise failure("deploy-overtaken", f"{out}/{path}", message, "Run the command again.")
    places.writable(RULE, out, deployment.plan, MEANS)
    real = out.resolve()
    store = DirectoryStore(real.parent)
    store.tidy()
    try:
        apply(deployment.plan, {}, Alone(Place(store, real.name, str(out))))
    finally:
        store.tidy()


def _before(out: Path) -> Record:
    """Return the record of what was written; raise Stop if it is none, or if there can be none."""
    have = _record(out)
    if not isinstance(have.get(records.NAME, NOT_KNOWN), File):
        message = "deploy keeps its record at this path, but it is not a regular file"
        raise fatal("plan-blocked", f"{out}/{RECORD}", message, "Move it elsewhere.")
    try:
        found = records.load(have, str(out))
    except Stop:
        found = None
    if found is None or not all(map(_is_inside, found.files)):
        message = "the file is not the record of a deployment"
        hint = "Restore or remove it. Without it, files of a deployment that differ are taken for files of others."
        raise fatal(RULE, f"{out}/{RECORD}", message, hint)
    return found


def _is_inside(path: str) -> bool:
    """Return whether a path of a record can be in its directory: a record can come from anybody."""
    return str(PurePosixPath(path)) == path and not path.startswith("/") and {".", ".."}.isdisjoint(path.split("/"))


def _by_hand(path: str, *, needed: bool) -> Diagnostic:
    """Return what is said of a file that was changed by hand: it has no effect if it is no longer needed."""
    message = f"the file was {BY_HAND} after deploy wrote it, and is kept"
    hint = "To discard the change, run the command with --overwrite."
    if not needed:
        message += ", but deploy no longer needs it"
        hint = "Make the change where it is needed now. Then remove the file, or run the command with --overwrite."
    return Diagnostic("deploy-hand-edited", Severity.WARNING, Span(path), message, hint)


def _record(out: Path) -> dict[str, Entry]:
    """Return the record under the name that records have."""
    entry = _entry(out / RECORD)
    return {} if entry is None else {records.NAME: entry}


def _there(out: Path, paths: Collection[str]) -> dict[str, Entry]:
    """Return what is at these paths of a directory, and what is in the place of a directory above them."""
    found = dict[str, Entry]()
    for path in sorted(paths):
        found |= dict(_above(out, path))
        entry = None if any(above in found for above in parents(path)) else _entry(out / path)
        if entry is not None:
            found[path] = entry
    return found


def _above(out: Path, path: str) -> Iterator[tuple[str, Entry]]:
    """Yield what is no directory, or one behind a link, where a path has one."""
    for above in parents(path):
        entry = _entry(out / above)
        if entry is not None and not isinstance(entry, Directory):
            yield above, entry


def _entry(path: Path) -> Entry | None:
    if path.is_symlink():
        return Outside(os.readlink(path), directory=path.is_dir())  # noqa: PTH115  as written
    if path.is_file():
        return on_disk(path, path.stat().st_size)
    if path.is_dir():
        return Directory()
    return Unreadable.FIFO if path.exists() else None


def _name(path: str) -> str:
    """Return the name in the directory of a path of a plan."""
    return RECORD if path == records.NAME else path
