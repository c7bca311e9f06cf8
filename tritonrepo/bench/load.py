"""What is sent: prompts, and when each of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple


class Shape(StrEnum):
    """When requests are sent."""

    CLOSED = "closed loop"
    """So many at once: each answer is followed by the next request."""
    POISSON = "Poisson"
    """At random times with a mean rate, whatever is still unanswered."""
    RAMP = "ramp"
    """At random times with a rate that grows evenly from one value to another."""
    TRACE = "trace"
    """At the times that a file gives."""


class Prompt(NamedTuple):
    """One request's content: a text, or a query with documents to rank, or several texts to embed in one request.

    `answer_tokens` is how many tokens the answer may have, None for the run's own limit. `at_s` is when a trace sends
    it, in seconds since the trace's start.
    """

    text: str
    documents: tuple[str, ...] = ()
    answer_tokens: int | None = None
    at_s: float | None = None


class Sampling(NamedTuple):
    """What is asked of a generator: the most tokens of an answer, whether it must reach them, and other parameters.

    `exact` asks for `ignore_eos` and `min_tokens`, so that every answer has the same length.
    """

    max_tokens: int = 128
    exact: bool = False
    other: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Load:
    """When requests are sent, and how many.

    `concurrency` is the number in flight of a closed loop; otherwise the most in flight, None for no limit. `rate` is
    in requests per second, `rate_from` that at the start of a ramp. The run ends after `requests` or `duration_s`,
    whichever comes first; one of them is not None. It is repeated `repeats` times. `warmup` requests are sent before
    the first of them and not measured, or as many as can be sent in `warmup_s` seconds, or, if `until_stable`, until
    latency changes little.
    """

    shape: Shape = Shape.CLOSED
    concurrency: int | None = 1
    rate: float | None = None
    rate_from: float | None = None
    requests: int | None = None
    duration_s: float | None = None
    warmup: int = 0
    repeats: int = 1
    seed: int = 0
    warmup_s: float | None = None
    until_stable: bool = False
