"""The columns of a table of results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from tritonrepo.bench.result import INTERRUPTED, Result
from tritonrepo.report.bench import shown


class Column(NamedTuple):
    """A column: its name, and what a result has in it. It is left out if no result has anything, `kept` columns aside.

    A column is also kept if another, whose name is `like`, is.
    """

    name: str
    of: Callable[[Result], str]
    kept: bool = False
    like: str = ""


def columns(results: Sequence[Result]) -> list[Column]:
    """Return the columns that a table of these results has."""
    items = any(result.figures.items_per_s > result.figures.requests_per_s for result in results)
    found = [
        Column("target", lambda r: r.target, kept=True),
        Column("load", lambda r: shown.at(r.load), kept=True),
        Column("requests", lambda r: f"{r.figures.succeeded:,}", kept=True),
        Column("errors", lambda r: f"{sum(r.figures.errors.values()):,}", kept=True),
        Column("req/s", lambda r: shown.number(r.figures.requests_per_s), kept=True),
        *([Column("items/s", lambda r: shown.number(r.figures.items_per_s))] if items else []),
        Column("output tok/s", lambda r: shown.number(r.figures.output_tokens_per_s)),
        Column("TTFT p50", lambda r: shown.p50(r.figures.ttft_ms)),
        Column("TTFT p99", lambda r: shown.p99(r.figures.ttft_ms), like="TTFT p50"),
        Column("ITL p50", lambda r: shown.p50(r.figures.itl_ms)),
        Column("TPOT p50", lambda r: shown.p50(r.figures.tpot_ms)),
        Column("latency p50", lambda r: shown.p50(r.figures.latency_ms), kept=True),
        Column("latency p99", lambda r: shown.p99(r.figures.latency_ms), like="latency p50"),
        Column("goodput", lambda r: shown.good(r.figures.goodput)),
        Column("note", note),
    ]
    empty = {shown.NONE, ""}
    there = {each.name for each in found if each.kept or any(each.of(result) not in empty for result in results)}
    return [each for each in found if (each.like in there if each.like else each.name in there)]


def note(result: Result) -> str:
    """Return what must be known of a row before it is read."""
    broken = "cannot be true" if shown.broken(result.judgements) else ""
    bound = "client-bound" if result.client_bound else ""
    early = "" if not result.ended_early else "interrupted" if result.ended_early == INTERRUPTED else "gave up"
    return ", ".join(filter(None, [broken, bound, early]))


def few(results: Sequence[Result]) -> bool:
    """Return whether a 99th percentile is left out because of too few requests."""
    found = [each for r in results for each in (r.figures.ttft_ms, r.figures.latency_ms) if each]
    return any(each.p99 is None for each in found)
