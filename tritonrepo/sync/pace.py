"""How long servers are given between the phases of a push, and who looks at them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from tritonrepo.sync.plan import Action

Watch = Callable[[Sequence[Action]], bool]
"""Comes back once servers serve what a group of actions wrote; False: nothing that can be asked for changed by it.

It is called with no actions before anything is written.
"""


class Pace(NamedTuple):
    """How long servers are given between phases; the clock and the wait; who looks at them.

    `settle_s` is for servers to see and load what was written. `drain_s` is enough after a `watch` has seen them serve
    it: requests that began on the old version end in it. The clock goes on while this machine sleeps.
    """

    settle_s: float
    now: Callable[[], float]
    sleep: Callable[[float], None]
    drain_s: float = 0.0
    watch: Watch | None = None
