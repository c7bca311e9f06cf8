"""Bringing files of a store to this machine: several at a time, each checked as it arrives, before it has its name."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby

from tritonrepo.diagnostics import failure
from tritonrepo.stores.store import PIECE
from tritonrepo.sync.place import Place
from tritonrepo.sync.plan import Action, Plan, Put
from tritonrepo.sync.telling import Meter, Tell
from tritonrepo.sync.writing import each
from tritonrepo.tree import File

AT_ONCE = 8
"""How many files arrive at a time: each needs memory for one piece of its content."""


class Ended(Exception):  # noqa: N818  the end of a thread's work, which nobody sees
    """Another file has failed, or the command was interrupted."""


@dataclass(frozen=True, slots=True)
class Arriving(File):
    """A file of a store that has the digest of its record, or else gets the digest of what arrives.

    Reading it as a whole raises Stop at the end if it has another digest or size.
    """

    at: str = ""
    over: threading.Event = field(default_factory=threading.Event, compare=False)

    def chunks(self) -> Iterator[bytes]:
        """Yield the content in pieces, as the store sends them."""
        digest, size = hashlib.sha256(), 0
        for chunk in self._pieces():
            if self.over.is_set():
                raise Ended
            digest.update(chunk)
            size += len(chunk)
            yield chunk
        found = digest.hexdigest()
        if size != self.size or self.known_sha256 not in {None, found}:
            message = "the content is not what was pushed: its SHA-256 is another one"
            message = message if size == self.size else f"{size} of {self.size} bytes arrived"
            hint = "Find out who writes to this prefix, and push the file again."
            raise failure("pull-corrupted", self.at, message, hint)
        self.remember(found)

    def _pieces(self) -> Iterator[bytes]:
        offset = 0
        while offset < self.size and (piece := self.read(offset, PIECE)):
            yield piece
            offset += len(piece)


def arriving(file: File, at: str, over: threading.Event) -> Arriving:
    """Return a file that is checked as it arrives; `at` is where it is, and `over` ends it early."""
    return Arriving(file.size, file.read, digest=file.digest, at=at, over=over)


def fetch(plan: Plan, place: Place, over: threading.Event, tell: Tell) -> None:
    """Carry out a plan in a directory, phase by phase; each file is complete under its name or not there.

    After an error or Ctrl-C, `over` ends what is still arriving.
    """
    meter, failed = Meter(tell, len(plan.actions)), list[BaseException]()

    def carry_out(action: Action) -> None:
        try:
            _carried_out(place, meter, action)
        except BaseException as error:
            failed.append(error)
            over.set()
            raise

    with meter.ending():
        for _, actions in groupby(plan.actions, key=lambda action: action.phase):
            group = list(actions)
            meter.began(group)
            try:
                each(carry_out, group, AT_ONCE)
            except Ended:
                raise failed[0] from None


def _carried_out(place: Place, meter: Meter, action: Action) -> None:
    path = place.path(action.path)
    if isinstance(action, Put):
        with meter.counted(action.file) as file:
            place.store.put(path, file)
        action.file.remember(file.sha256)  # of what has arrived
    else:
        place.store.delete(path)
        meter.done([action])
