"""Results as a table in Markdown, to be published with its conditions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from tritonrepo.bench.figures import Distribution
from tritonrepo.bench.result import Result
from tritonrepo.plain import inline
from tritonrepo.report.bench import shown
from tritonrepo.report.bench.columns import few, note
from tritonrepo.report.bench.conditions import conditions
from tritonrepo.report.bench.memory import memory, said

SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~@!])")
"""Characters that mean something in Markdown, in a table or in HTML."""

HEAD = ("Target", "Load", "Throughput (tok/s)", "TTFT P50 / P99 (ms)", "ITL P50 (ms)", "Memory efficiency")
WITHOUT_TOKENS = ("Items per second", "Request latency P50 / P99 (ms)")
"""What a model has whose tokens nobody counted, such as an embedder."""
WORDS = {"Target", "Load", "Note"}
"""Columns that are no figures."""

MARK = "✗"
"""What stands before a row whose figures cannot be true."""


def markdown(results: Sequence[Result], says: Sequence[str] = ()) -> str:
    """Return the heading, the table and its conditions; a table with figures that cannot be true is marked as such.

    `says` is what follows from the results together, as from a sweep.
    """
    below = ["", f"{_text(shown.sentence(says))}"] if says else []
    return "\n".join([*_heading(results), "", *_table(results), *below, "", *_foot(results)]) + "\n"


def _heading(results: Sequence[Result]) -> Iterator[str]:
    broken = sum(bool(shown.broken(result.judgements)) for result in results)
    yield f"### Benchmark{f': {broken} of {len(results)} rows cannot be true' if broken else ''}"
    for result in results:
        for each in shown.broken(result.judgements):
            told = [_text(line.strip()) for line in shown.sides(each)]
            yield ""
            yield f"> {MARK} **{_text(shown.label(result))}**: {'<br>'.join(told)}"
    for line in (*shown.early(results), *_failed(results), *shown.bound(results)):
        yield ""
        yield f"> {_text(line)}"


def _failed(results: Sequence[Result]) -> Iterator[str]:
    """Yield a line on each result of which requests failed: the table has only those that were answered."""
    for result in results:
        if lines := shown.failures(result, 3):
            failed, sent = sum(result.figures.errors.values()), result.figures.sent
            yield f"{shown.label(result)}: {failed:,} of {sent:,} requests failed: {', '.join(lines)}"


def _table(results: Sequence[Result]) -> Iterator[str]:
    items = [result for result in results if result.figures.output_tokens_per_s is None]
    head = [*HEAD, *(WITHOUT_TOKENS if items else []), *(["Note"] if any(map(note, results)) else [])]
    rows = [_row(result, head) for result in results]
    kept = [n for n, name in enumerate(head) if n < 2 or any(row[n] != shown.NONE for row in rows)]  # noqa: PLR2004
    yield _line([head[n] for n in kept])
    yield _line(["---" if head[n] in WORDS else "---:" for n in kept])
    yield from (_line([row[n] for n in kept]) for row in rows)


def _row(result: Result, head: Sequence[str]) -> list[str]:
    found = result.figures
    cells = [
        f"{f'{MARK} ' if shown.broken(result.judgements) else ''}{_code(result.target)}",
        _text(shown.at(result.load)),
        shown.number(found.output_tokens_per_s),
        _both(found.ttft_ms),
        shown.p50(found.itl_ms),
        _text(said(memory(result))),
    ]
    cells += [shown.number(found.items_per_s), _both(found.latency_ms)] if WITHOUT_TOKENS[0] in head else []
    return cells + ([_text(note(result))] if "Note" in head else [])


def _foot(results: Sequence[Result]) -> Iterator[str]:
    told = [f"{name}: {value}" for name, value in conditions(results)]
    told += [tally] if (tally := shown.tally(results)) else []
    told += [shown.FEW] if few(results) else []
    yield f"<sub>{_text('. '.join(told))}</sub>"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _both(found: Distribution | None) -> str:
    return f"{shown.p50(found)} / {shown.p99(found)}" if found else shown.NONE


def _code(text: str) -> str:
    """Return a text as code in a cell of a table."""
    safe = inline(text).replace("`", "'").replace("|", "\\|")
    return f"`{safe}`"


def _text(text: str) -> str:
    """Return a text of which nothing is read as Markdown or as HTML; an address in it is no link."""
    safe = SPECIAL.sub(r"\\\1", inline(text).replace("&", "&amp;"))
    return safe.replace("\\<", "&lt;").replace("\\>", "&gt;").replace("://", "\\://").replace("www.", "www\\.")
