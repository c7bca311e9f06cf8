"""The text of a rate, such as `12/s` or `700/min`: requests per second."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from tritonrepo.plain import inline

SECONDS: Mapping[str, float] = {"s": 1, "sec": 1, "min": 60, "m": 60, "h": 3600, "hour": 3600, "d": 86400, "day": 86400}
RATE = re.compile(r"([0-9]+(?:[,_][0-9]{3})*(?:\.[0-9]*)?|\.[0-9]+) ?(?:/|per) ?([a-z]+)", re.IGNORECASE)
DAY = SECONDS["day"]
LEAST_PER_S, MOST_PER_S = 1e-6, 1e9
"""Rates outside of these are mistakes: one request in eleven days, or a billion a second."""


class Rate(NamedTuple):
    """A rate of requests as it was written, and per second; `over_s` is the time that it was written for."""

    text: str
    per_s: float
    over_s: float


def rate(text: str) -> Rate:
    """Return the rate that a text says; raise ValueError, with the message for users, if it says none."""
    found = RATE.fullmatch(text.strip())
    over_s = SECONDS.get(found[2].lower()) if found else None
    per_s = float(re.sub("[,_]", "", found[1])) / over_s if found and over_s else 0.0
    if over_s is None or not LEAST_PER_S <= per_s <= MOST_PER_S:
        raise ValueError(f'"{inline(text)}" is not a rate above 0, such as 12/s, 700/min, 2500/h or 40000/day')
    return Rate(inline(text.strip()), per_s, over_s)
