"""Requests sent again, a few times and with pauses, if they failed for a reason that may pass."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TypeVar

PAUSES_S = (0.5, 1.0, 2.0, 4.0)
"""Pauses before a request is sent again, in seconds."""

LONGEST_S = 30
"""Longest pause that a server can ask for; one that asks for more is not asked again."""

PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""HTTP statuses of failures that may pass."""

pause = time.sleep

T = TypeVar("T")


class Again(Exception):  # noqa: N818  a reply of the server, not an error
    """A failure that may pass, as people read it, and how long the server asks to wait, in seconds."""

    def __init__(self, message: str, wait_s: int = 0) -> None:
        super().__init__(message)
        self.wait_s = wait_s


def persistent(attempt: Callable[[], T]) -> T:
    """Return what `attempt` returns, tried again while it raises Again; the last one passes through."""
    for seconds in PAUSES_S:
        try:
            return attempt()
        except Again as again:
            if again.wait_s > LONGEST_S:
                raise
            pause(max(seconds, again.wait_s))
    return attempt()


def busy(status: int, headers: Mapping[str, str]) -> Again:
    """Return the Again of a reply with one of the PASSING statuses."""
    said = next((value.strip() for name, value in headers.items() if name.lower() == "retry-after"), "")
    wait_s = int(said) if said.isdecimal() and said.isascii() and len(said) <= len("86400") else 0
    asks = f" and asks to wait {wait_s} s" if wait_s > LONGEST_S else ""
    return Again(f"the server replies with status {status}{asks}", wait_s)
