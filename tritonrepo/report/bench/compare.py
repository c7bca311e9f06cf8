"""A comparison of results, as lines and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from tritonrepo.bench.comparing import Basis, Comparison, Difference, Verdict
from tritonrepo.bench.intervals import LEVEL
from tritonrepo.bench.saved import as_data
from tritonrepo.diagnostics import Diagnostic, Severity
from tritonrepo.plain import inline, printable
from tritonrepo.report import json
from tritonrepo.report.bench.data import finite
from tritonrepo.report.bench.shown import NONE, number
from tritonrepo.report.table import table

KEY = "comparisons"
HEAD = ("metric", "before", "after", "difference", f"{LEVEL:.0%} interval", "after is", "from")
BASES = {
    Basis.REPEATS: "Intervals from repeats take each repeat as one value, so what differs from run to run is in them;"
    " before and after are then the means of the repeats.",
    Basis.REQUESTS: "Intervals from the requests of one run leave out what differs from run to run: repeat both to have"
    " it. Requests in flight together are not independent, so blocks of them are drawn.",
}


def text(found: Sequence[Comparison], alone: Sequence[str] = ()) -> Iterator[str]:
    """Yield each comparison: first the conditions that differ, then the table. `alone` is what has no counterpart."""
    for place, each in enumerate(found):
        yield from ("",) * bool(place)
        yield printable(f"before: {each.before}")
        yield printable(f"after:  {each.after}")
        yield from _conditions(each)
        yield from ("", *table(HEAD, [_row(one) for one in each.differences]).split("\n"))
    bases = {one.basis for each in found for one in each.differences}
    if said := [line for basis, line in BASES.items() if basis in bases]:
        yield from ("", *said)
    reasons = dict.fromkeys(one.why for each in found for one in each.differences if one.why)
    yield from (f"not judged: {why}" for why in reasons)
    yield from (printable(f"without a counterpart: {name}") for name in alone)


def _conditions(found: Comparison) -> Iterator[str]:
    if found.void:
        yield "The comparison is void: these are not the same conditions."
    for each in found.conditions:
        mark = "void: " if each.void else "differs: "
        yield printable(f"  {mark}{each.name}: {inline(each.before) or NONE}, then {inline(each.after) or NONE}")


def _row(found: Difference) -> tuple[str, ...]:
    share = found.unit == ""
    return (
        f"{found.metric}{' (ms)' if found.unit == 'ms' else ''}",
        _percent(found.before) if share else number(found.before),
        _percent(found.after) if share else number(found.after),
        _signed(found.change),
        f"{_signed(found.low)} to {_signed(found.high)}" if found.low is not None else NONE,
        str(found.verdict),
        str(found.basis) if found.basis is not Basis.NOTHING else NONE,
    )


def _percent(share: float) -> str:
    return f"{share:.2%}"


def _signed(share: float | None) -> str:
    return NONE if share is None else f"{share:+.1%}"


def document(found: Sequence[Comparison], alone: Sequence[str], diagnostics: Sequence[Diagnostic]) -> str:
    """Return the document that `schemas/bench-compare.schema.json` describes."""
    severities = Counter(each.severity for each in diagnostics)
    verdicts = Counter(one.verdict for each in found for one in each.differences)
    summary: dict[str, object] = {str(severity): severities[severity] for severity in Severity}
    summary["void"] = sum(bool(each.void) for each in found)
    summary["verdicts"] = {str(verdict): verdicts[verdict] for verdict in Verdict}
    listed = [finite(as_data(each)) for each in found]
    return json.document(diagnostics, {KEY: listed, "without_counterpart": list(alone), "summary": summary})
