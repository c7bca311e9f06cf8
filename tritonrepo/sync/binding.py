"""A repository and a record that is not next to it: each names the other, or there could be two locks.

The record names its repository. The repository names its record in a file at the top, which servers do not read
(seen on 24.10: a file beside the directories of models is ignored). It is created only where none exists, under the
lock, before anything else is written: of two first pushes that name different places, one is refused.
"""

from __future__ import annotations

import json
import shlex
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from tritonrepo.diagnostics import fatal
from tritonrepo.plain import printable
from tritonrepo.stores import located
from tritonrepo.stores.store import Write
from tritonrepo.sync.lock import NAME as LOCK
from tritonrepo.sync.place import RULE, beside
from tritonrepo.sync.revision import NAME as RELEASE
from tritonrepo.tree import File, Tree, of_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tritonrepo.diagnostics import Diagnostic
    from tritonrepo.sync.place import Place
    from tritonrepo.sync.revision import Revision
    from tritonrepo.sync.writing import Writer

POINTER = "tritonrepo-record.json"
MOST_BYTES = 10_000
"""A larger file names no place; it is not read."""


def named(place: Place) -> str:
    """Return how the record of a repository names it, however its URI was written; "" if it is next to it."""
    return str(located(place.uri)) if place.apart else ""


def check(place: Place, have: Tree, before: Revision | None) -> None:
    """Raise Stop unless a repository and the record at a place belong together; `have` is what the repository holds."""
    pointed = _pointed(have, place)
    if place.apart is None:
        if pointed:
            message = "the record of this repository is not next to it: an earlier push was given another place"
            raise fatal(RULE, place.uri, message, f"Add `{_option(pointed)}`.")
        return
    at = place.apart.uri
    if pointed not in {"", str(located(at))}:
        message = f"the record of the repository {place.uri} is at {pointed}: two records would be two locks"
        hint = f"Add `{_option(pointed)}`. If that record no longer exists, first delete {place.path(POINTER)}."
        raise fatal(RULE, at, message, hint)
    if before and before.repository != named(place):
        message = f"the record is that of another repository: {before.repository or 'the one that is next to it'}"
        raise fatal(RULE, at, message, "Name a place of its own for the record of each repository.")
    _alone(place)
    if other := next((path for path in have if path.endswith(f".tritonrepo/{RELEASE}")), ""):
        message = f"the record of another repository is in this one: {other}"
        raise fatal(RULE, place.uri, message, "Servers would take the directory for a model. Choose another bucket.")


def _option(record: str) -> str:
    """Return the option for a record that a bucket names, which is foreign text."""
    return shlex.join(["--record", printable(record)])


def _pointed(have: Tree, place: Place) -> str:
    """Return the record that a repository names; "" if it names none."""
    entry = have.get(POINTER)
    if not isinstance(entry, File):
        return ""
    with suppress(ValueError, KeyError, TypeError, RecursionError):
        pointed = json.loads(entry.content() if entry.size <= MOST_BYTES else b"")["record"]
        if isinstance(pointed, str) and pointed:
            return pointed
    message = "the file does not name the place of the repository's record"
    hint = "Find out who wrote it, then delete it: the next push with --record writes it again."
    raise fatal("record-syntax", f"{place.uri}/{POINTER}", message, hint)


def _alone(place: Place) -> None:
    """Raise Stop if the repository has a record next to it as well, or if the record is in some other repository."""
    assert place.apart  # noqa: S101  the caller knows
    for name in (RELEASE, LOCK):
        if place.prefix and place.store.fetch(path := beside(place.prefix, name)):
            message = f"the repository {place.uri} has a record next to it: two records would be two locks"
            raise fatal(RULE, place.apart.uri, message, f"Leave out --record: {path} exists.")
    names = place.apart.prefix.split("/") if place.apart.prefix else []
    for prefix in ("/".join(names[:count]) for count in range(len(names) + 1)):
        inside = [f"{prefix}/{POINTER}" if prefix else POINTER, *([beside(prefix, RELEASE)] if prefix else [])]
        if path := next((each for each in inside if place.apart.store.fetch(each)), ""):
            message = f"the record would be in a repository, where every directory is a model: {path} exists"
            raise fatal(RULE, place.apart.uri, message, "Name a place that is in no repository.")


def advised(place: Place, found: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Return these diagnostics; a command in their hints that reads the repository is told where its record is."""
    if place.apart is None:
        return tuple(found)
    plain = shlex.join(["--from", place.uri])
    told = shlex.join(["--from", place.uri, "--record", place.apart.uri])
    return tuple(replace(each, hint=each.hint.replace(plain, told)) for each in found)


def unhidden(place: Place) -> None:
    """Raise Stop if the lock that is held can be seen in the repository: two names may lead to one bucket."""
    path = place.beside(LOCK)
    if place.apart and path.startswith(place.path("")) and place.store.fetch(path):
        message = f"the record is in the repository {place.uri} itself, under another name of its bucket"
        raise fatal(RULE, place.apart.uri, message, "Name another bucket.")


def is_bound(place: Place, have: Tree) -> bool:
    """Whether nothing has to be written for a repository to name its record."""
    return place.apart is None or POINTER in have


def bind(writer: Writer, have: Tree) -> None:
    """Let a repository name its record if that is not next to it; raise Stop if it names another one by now."""
    place = writer.place
    if place.apart is None or POINTER in have:
        return
    text = json.dumps({"record": str(located(place.apart.uri))}, indent=1) + "\n"
    writer.write([Write(place.path(POINTER), of_text(text), if_absent=True)])
