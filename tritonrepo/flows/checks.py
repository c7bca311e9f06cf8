"""A precondition of `doctor`, and its state."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class State(StrEnum):
    """What was found: as needed, likely to fail, surely failing, or not there, which only some users need."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"
    ABSENT = "absent"


class Check(NamedTuple):
    """A precondition: its state, what was seen, the next step, and the commands that need it."""

    name: str
    state: State
    seen: str
    cure: str = ""
    needed_by: tuple[str, ...] = ()
