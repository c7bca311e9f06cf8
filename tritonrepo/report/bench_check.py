"""What `bench check` says of tables of figures: a block a row as text, JSON, or commands of GitHub Actions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from tritonrepo.bench.claim import Claim, Judgement, State
from tritonrepo.diagnostics import Diagnostic, Severity, counted
from tritonrepo.plain import printable
from tritonrepo.report import json

ORDER = (State.BROKEN, State.WEAK, State.HOLDS, State.UNKNOWN)
WIDTH = max(map(len, State))

Row = tuple[Claim, Sequence[Judgement]]
"""A claim and what each check says of it."""


def text(rows: Sequence[Row], found: Sequence[Diagnostic]) -> Iterator[str]:
    """Yield the lines: for each row its verdict, and each check with both sides; then a closing line."""
    for claim, judgements in rows:
        yield printable(f"{claim.at}: {claim.name}: {_verdict(judgements)}")
        for state in ORDER:
            for each in judgements:
                if each.state is state:
                    yield from (printable(line) for line in _lines(each))
        yield ""
    remarks = [remark for remark in found if remark.severity is Severity.WARNING]
    for remark in remarks:
        yield from remark.lines
    if remarks:
        yield ""
    yield _closing(rows)


def _lines(each: Judgement) -> Iterator[str]:
    head = f"  {each.state:{WIDTH}}  {each.check}"
    if each.state is State.UNKNOWN:
        yield f"{head}: {each.says}"
        return
    yield f"{head}: {_sides(each)}"
    indent = " " * (WIDTH + 6)
    if each.says:
        yield indent + each.says
    if each.instead:
        yield f"{indent}For it to be true: {each.instead}."


def _sides(each: Judgement) -> str:
    between = "; but " if each.state is State.BROKEN else "; "
    return between.join(filter(None, (each.left, each.right)))


def _verdict(judgements: Sequence[Judgement]) -> str:
    counts = Counter(each.state for each in judgements)
    if counts[State.BROKEN]:
        judged = sum(count for state, count in counts.items() if state is not State.UNKNOWN)
        return f"cannot be true: {counts[State.BROKEN]} of {counted(judged, 'check')} fail"
    if not counts[State.HOLDS]:
        return "says too little to be judged"
    return f"nothing contradicts it: {counted(counts[State.HOLDS], 'check')} held"


def _closing(rows: Sequence[Row]) -> str:
    broken = sum(any(each.state is State.BROKEN for each in judgements) for _, judgements in rows)
    if not broken:
        return f"{counted(len(rows), 'row')}: nothing was found that cannot be true"
    return f"{counted(len(rows), 'row')}, {broken:,} of which cannot be true"


def document(rows: Sequence[Row], found: Sequence[Diagnostic]) -> str:
    """Return the document that `schemas/bench-check.schema.json` describes."""
    states = Counter(each.state for _, judgements in rows for each in judgements)
    broken = sum(any(each.state is State.BROKEN for each in judgements) for _, judgements in rows)
    summary = {
        "rows": len(rows),
        "rows_that_cannot_be_true": broken,
        "checks": {str(state): states[state] for state in State},
    }
    return json.document(found, {"rows": [_row(*row) for row in rows], "summary": summary})


def _row(claim: Claim, judgements: Sequence[Judgement]) -> dict[str, object]:
    return {
        "name": claim.name,
        "path": claim.at.path,
        "line": claim.at.line or None,
        "column": claim.at.column or None,
        "can_be_true": not any(each.state is State.BROKEN for each in judgements),
        "not_stated": list(claim.unstated),
        "checks": [{**each._asdict(), "state": str(each.state)} for each in judgements],
    }
