"""Progress of a flow, as values in the order in which it happens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tritonrepo.diagnostics import Diagnostic
from tritonrepo.sync.plan import Plan


class Busy(NamedTuple):
    """Start of something that takes a while, such as a download."""

    what: str


class Line(NamedTuple):
    """Progress of a push: the phase that it is in, or what it waits for."""

    text: str


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


Event = Busy | Line | Indexed | Built | Diagnostic
"""A Diagnostic among them is a warning."""

Tell = Callable[[Event], None]
