"""The text of an SLO, such as `ttft=500,itl=50`: the limits that a request keeps to count as good."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from tritonrepo.bench.figures import Slo
from tritonrepo.diagnostics import nearest
from tritonrepo.plain import inline

METRICS: Mapping[str, str] = {
    "ttft": "time to the first text",
    "itl": "time between output tokens",
    "tpot": "time per output token after the first",
    "latency": "time to the last text",
}
"""What can be limited, and what it means; record.py has the definitions."""

SAME = {"e2el": "latency", "e2e": "latency", "request_latency": "latency", "time_to_first_token": "ttft"}
"""What other tools call these metrics."""

IN_MS = {"": 1.0, "ms": 1.0, "s": 1000.0, "us": 0.001, "µs": 0.001}
LIMIT = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+) ?(ms|s|us|µs)?")
EXAMPLE = "such as ttft=500 in milliseconds, or ttft=0.5s"


def slo(text: str) -> Slo:
    """Return the SLO that a text says; raise ValueError, with the message for users, if it says none."""
    most_ms = dict[str, float]()
    for part in text.split(","):
        metric, limit_ms = _limit(part)
        if metric in most_ms:
            raise ValueError(f"{metric} has two limits; set each metric once")
        most_ms[metric] = limit_ms
    return Slo(most_ms)


def _limit(part: str) -> tuple[str, float]:
    name, equals, value = (each.strip() for each in part.partition("="))
    if not equals:
        raise ValueError(f'"{inline(part.strip())}" is not a metric with its limit; write METRIC=LIMIT, {EXAMPLE}')
    metric = name.lower()
    if metric not in METRICS:
        meant = SAME.get(metric) or nearest(metric, METRICS)
        choices = f'did you mean "{meant}"?' if meant else f"use one of {', '.join(METRICS)}"
        raise ValueError(f'unknown metric "{inline(name)}"; {choices}')
    found = LIMIT.fullmatch(value)
    limit_ms = float(found[1]) * IN_MS[found[2] or ""] if found else 0.0
    if not 0 < limit_ms < math.inf:
        raise ValueError(f'the limit of {metric} must be a time above 0, {EXAMPLE}, not "{inline(value)}"')
    return metric, limit_ms


def said(limits: Slo) -> str:
    """Return an SLO as text that `slo` reads again."""
    return ",".join(f"{metric}={limit_ms:.15g}" for metric, limit_ms in limits.most_ms.items())
