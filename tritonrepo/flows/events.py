"""Progress of a flow, as values in the order in which it happens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tritonrepo.diagnostics import Diagnostic
from tritonrepo.sync.telling import Began, Interrupted, Line, Sent, Waits

if TYPE_CHECKING:
    from tritonrepo.sync.plan import Plan


class Busy(NamedTuple):
    """Start of something that takes a while, such as a download."""

    what: str


class Counted(NamedTuple):
    """How much of something is done: `done` of `total`, which is 0 if it is not known; without a noun, bytes.

    It comes often, but not for each of thousands, and is for a display.
    """

    what: str
    done: int
    total: int
    noun: str = ""


class Indexed(NamedTuple):
    """One index: the retriever's name, its directory, and the number of passages; 0 if it was already current.

    `left` says which files of its documents were left out.
    """

    name: str
    place: Path
    passages: int
    left: tuple[str, ...] = ()


class Built(NamedTuple):
    """Completed build: its directory, and the plan that was carried out."""

    out: Path
    plan: Plan


Event = Busy | Counted | Began | Sent | Waits | Line | Interrupted | Indexed | Built | Diagnostic
"""A Diagnostic among them is a warning."""

Tell = Callable[[Event], None]
