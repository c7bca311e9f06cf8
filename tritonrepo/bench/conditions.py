"""In which conditions two results differ, and which of them make a comparison void."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tritonrepo.bench.result import Result

REUSE = 0.02
"""By how much the reuse of prefixes may differ."""

CLOSE = 0.02
"""By which share the mean length of prompts and answers may differ."""


class Condition(NamedTuple):
    """A condition that is not the same: its name and both values. A void one makes figures those of other things."""

    name: str
    before: str
    after: str
    void: bool


def differing(before: Result, after: Result) -> Iterator[Condition]:
    """Yield the conditions that differ, first those that make the comparison void.

    What is under test, the target with its protocol, its model and its version, and the date are not conditions.
    """
    found = [Condition(name, a, b, void) for name, a, b, void in _pairs(before, after) if a != b]
    yield from sorted(found, key=lambda each: not each.void)


def _pairs(before: Result, after: Result) -> Iterator[tuple[str, str, str, bool]]:
    """Yield each condition of both: its name, two texts, and whether a difference makes a comparison void."""
    a, b = before.load, after.load
    yield "load", str(a.shape), str(b.shape), True
    yield "requests in flight", _said(a.concurrency), _said(b.concurrency), True
    yield "requests sent per second", _said(a.rate), _said(b.rate), True
    yield "requests sent per second at the start", _said(a.rate_from), _said(b.rate_from), True
    yield "warm-up", _warm_up(before), _warm_up(after), True
    yield "seed", str(a.seed), str(b.seed), False
    yield from _prompts(before, after)
    yield "tokens counted by", before.figures.tokens_from, after.figures.tokens_from, True
    yield from _client(before, after)
    yield "server hardware", before.hardware.gpus, after.hardware.gpus, False
    yield "version of tritonrepo", before.tool, after.tool, False
    yield "the client keeps up", _kept_up(before), _kept_up(after), True


def _prompts(before: Result, after: Result) -> Iterator[tuple[str, str, str, bool]]:
    a, b = before.prompts, after.prompts
    yield "prompts", a.source, b.source, True
    yield "different prompts", str(a.different), str(b.different), before.load.requests == after.load.requests
    if abs(a.reuse - b.reuse) > REUSE:
        yield "prefix reuse", f"{a.reuse:.0%}", f"{b.reuse:.0%}", True
    yield "most tokens of an answer", _said(a.max_tokens), _said(b.max_tokens), True
    yield "answers of exactly so many", _yes(a.exact), _yes(b.exact), True
    for name, these, those in (
        ("mean tokens of a prompt", before.figures.input_tokens, after.figures.input_tokens),
        ("mean tokens of an answer", before.figures.output_tokens, after.figures.output_tokens),
    ):
        if these and those and abs(those.mean - these.mean) > CLOSE * these.mean:
            yield name, f"{these.mean:.1f}", f"{those.mean:.1f}", name.endswith("prompt") or a.exact


def _client(before: Result, after: Result) -> Iterator[tuple[str, str, str, bool]]:
    a, b = before.machine, after.machine
    yield "client", f"{a.cores} cores, {a.cpu}", f"{b.cores} cores, {b.cpu}", True
    yield "system of the client", a.system, b.system, False
    yield "Python of the client", a.python, b.python, False


def _warm_up(result: Result) -> str:
    load = result.load
    if load.until_stable:
        return "until stable"
    return f"{load.warmup_s:g} s" if load.warmup_s is not None else f"{load.warmup} requests" if load.warmup else "none"


def _kept_up(result: Result) -> str:
    return _yes(not result.client_bound)


def _yes(value: bool) -> str:  # noqa: FBT001  a word for it
    return "yes" if value else "no"


def _said(value: float | None) -> str:
    return "no limit" if value is None else f"{value:g}"
