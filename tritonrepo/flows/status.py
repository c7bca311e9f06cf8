"""The pipeline of `status`: what a bucket holds of a repository, read with few requests, and nothing written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

from tritonrepo import repository
from tritonrepo.diagnostics import Diagnostic, Severity, Stop, fatal
from tritonrepo.flows.published import Published, interrupted, published
from tritonrepo.flows.target import of_record
from tritonrepo.repository import Target
from tritonrepo.repository.paths import is_config
from tritonrepo.stores.store import Stored
from tritonrepo.sync import gating, history, lock
from tritonrepo.sync.holder import running
from tritonrepo.sync.place import Place
from tritonrepo.sync.push import uploadable
from tritonrepo.sync.record import Record
from tritonrepo.sync.revision import Revision
from tritonrepo.sync.status import Lock, Past, Status, faults, held
from tritonrepo.sync.writing import AT_ONCE, each
from tritonrepo.tree import Entry, Tree, of_bytes

SHOWN = 10
"""How many revisions are read if no number is given: each record lists all files."""

CONFIG_BYTES = 1 << 20


def status(at: Place | str, last: int | None = SHOWN) -> Status:
    """Return the state of the repository at a URI, with its last revisions, or all of them if `last` is None.

    Raise Stop if nothing is there, or if it cannot be read.
    """
    if isinstance(at, str) and re.match("https?://", at, re.IGNORECASE):
        message = "the URL is that of a server, but status reads the bucket or directory of a repository"
        raise fatal("status-server", at, message, "Call `server_status` to see what a server serves.")
    there = published(at)
    place, have, before, _ = there
    uri = place.uri
    if not have and before is None:
        hint = "Check the URI. A repository is published there with `tritonrepo push`."
        raise fatal("status-nothing", uri, "the prefix is empty, and no push has recorded anything for it", hint)
    have = _with_configs(have)
    found = lock.find(place)
    holder = Lock(found[0], running(found[0])) if found else None
    past, more, unread = _past(there._replace(have=have), last)
    notes = [*faults(have, before, uri, interrupted(there), holder)] if before else []
    models = held(gating.models(uploadable(have), _target(before, uri)), before)
    return Status(uri, before, past, more, models, holder, (*notes, *unread))


def _with_configs(have: Tree) -> dict[str, Entry]:
    """Return the tree with its configs in memory, read several at a time."""

    def read(item: tuple[str, Stored]) -> tuple[str, Entry]:
        path, file = item
        return path, replace(file, read=of_bytes(file.content()).read)

    wanted = [
        (path, file)
        for path, file in have.items()
        if is_config(path) and isinstance(file, Stored) and file.size <= CONFIG_BYTES
    ]
    return {**have, **dict(each(read, wanted, AT_ONCE))}


def _target(before: Revision | None, uri: str) -> Target:
    with suppress(Stop):  # a record may name a release that this version does not know
        if before:
            return repository.target(record=of_record(Record(before.name, before.target), uri))
    return repository.target()


def _past(there: Published, last: int | None) -> tuple[tuple[Past, ...], int, tuple[Diagnostic, ...]]:
    """Return the last revisions, how many earlier ones there are, and what is wrong with their records."""
    place, have, before, _ = there
    numbers = sorted(history.numbers(place), reverse=True)
    current = [Past(before.number, before, current=True)] if before and before.number else []
    numbers = [number for number in numbers if not current or number < current[0].number]
    wanted = numbers if last is None else numbers[: max(last - len(current), 0)]
    kept = history.copies(place) if wanted else {}
    stops: list[Stop] = []

    def read(number: int) -> Past:
        try:
            revision = history.read(place, number)
        except Stop as stop:
            stops.append(stop)
            return Past(number, None)
        return Past(number, revision, history.lacking(revision, have, kept))

    past = (*current, *each(read, wanted, AT_ONCE))
    return past, len(numbers) - len(wanted), tuple(_warnings(stops))


def _warnings(stops: list[Stop]) -> Iterator[Diagnostic]:
    found = (diagnostic for stop in stops for diagnostic in stop.of(Severity.WARNING).diagnostics)
    yield from sorted(found, key=lambda diagnostic: diagnostic.at)
