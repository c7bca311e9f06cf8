"""What a flow tells of its progress, as values, in the order in which it happens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tritonrepo.diagnostics import Diagnostic
from tritonrepo.sync.plan import Plan


class Busy(NamedTuple):
    """Something begins that takes a while, as a download."""

    what: str


class Line(NamedTuple):
    """How a push goes on: the phase that it is in, what it waits for."""

    text: str


class Indexed(NamedTuple):
    """One index: the retriever's name, its directory, and how many passages it has; 0 where it was current."""

    name: str
    place: Path
    passages: int


class Built(NamedTuple):
    """A build was carried out: its directory, and what was done."""

    out: Path
    plan: Plan


Event = Busy | Line | Indexed | Built | Diagnostic
"""A Diagnostic among them is a warning."""

Tell = Callable[[Event], None]
