"""The directory that a build or a pull writes: whether it can be one, what is in it, and whether it has changed."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tritonrepo.diagnostics import fatal
from tritonrepo.stores.store import Store
from tritonrepo.sync import record as records
from tritonrepo.sync.plan import Means, Plan, Put
from tritonrepo.sync.record import NAME, Record
from tritonrepo.tree import Entry, File, Link, Tree, Unreadable, below

SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


class There(NamedTuple):
    """Content of a directory: its store, its tree, and the record of what wrote it."""

    out: Path
    store: Store
    prefix: str
    tree: Tree
    record: Record

    @property
    def repository(self) -> Tree:
        """The tree without the record."""
        return {path: entry for path, entry in self.tree.items() if path != NAME}


def named(rule: str, out: Path | str, means: Means, otherwise: str) -> Path:
    """Return the directory of a repository as a path with a name; raise Stop if it cannot be one.

    `otherwise` is the hint for a URI.
    """
    if SCHEME.match(str(out)):
        raise fatal(rule, str(out), "the output must be a directory, not a URI", otherwise)
    out = Path(out)
    found = out.resolve() if out.name in {"", ".."} else out
    if not found.name:
        message = "the output directory is the root of the file system"
        raise fatal(rule, str(out), message, f"Choose a subdirectory{means.option}.")
    if reason := _unusable(found):
        raise fatal(rule, str(out), f"the output cannot be a directory: {reason}", means.elsewhere)
    return found


def _unusable(out: Path) -> str:
    """Return why there is no directory at a path and none can be made; "" if nothing is in the way."""
    try:
        out.lstat()
    except FileNotFoundError:
        return ""
    except OSError as error:
        return error.strerror or str(error)
    return "" if out.is_dir() else "Not a directory"


def writable(rule: str, out: Path, plan: Plan, means: Means) -> None:
    """Raise Stop if this user cannot write where a plan has to."""
    places = [out, out.parent] if plan else []
    for place in places:
        there = next((each for each in (place, *place.parents) if each.is_dir()), place)
        if not os.access(there, os.W_OK | os.X_OK):
            raise fatal(rule, str(there), "this user cannot write to the directory", means.elsewhere)


def content(store: Store, out: Path, means: Means) -> There:
    """Return what is in a directory; raise Stop if no record can be kept in it."""
    have = store.scan(out.name)
    if not isinstance(entry := have.get(NAME), File) and (entry is not None or below(have, NAME)):
        odd = entry if isinstance(entry, Unreadable) else "a directory"
        what = f"a link to {entry.target}" if isinstance(entry, Link) else odd
        message = f"the {means.verb} keeps its record at this path, but it is {what}"
        raise fatal("plan-blocked", f"{out}/{NAME}", message, "Move it elsewhere.")
    return There(out, store, out.name, have, records.load(have, str(out)))


def digests(plan: Plan, tree: Mapping[str, Entry]) -> dict[str, str]:
    """Return the SHA-256 of what is at each path that a plan writes or deletes; "" if nothing is."""
    entries = {action.path: tree.get(action.path) for action in plan.actions}
    return {path: entry.sha256 if isinstance(entry, File) else str(entry or "") for path, entry in entries.items()}


def overtaken(plan: Plan, seen: Mapping[str, str], there: Tree) -> str | None:
    """Return a file that is neither what a plan was made from, which was `seen`, nor what the plan makes it."""
    files: dict[str, list[File | None]] = {}
    for action in plan.actions:
        files.setdefault(action.path, []).append(action.file if isinstance(action, Put) else None)
    for path, digest in digests(plan, there).items():
        if digest != seen[path] and digest not in (file.sha256 if file else "" for file in files[path]):
            return path
    return None
