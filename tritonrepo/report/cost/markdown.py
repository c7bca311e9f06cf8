"""What serving costs, as Markdown: a table of figures, what they mean, and the inputs that they follow from."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from tritonrepo.cost.costs import Costs
from tritonrepo.diagnostics import Severity
from tritonrepo.plain import inline
from tritonrepo.report.cost import sentences
from tritonrepo.report.cost.text import INPUTS, PUBLISHED, rows, said

SPECIAL = "\\`*_{}[]<>#|~"
"""Characters that Markdown reads as form."""

WORDS = {*INPUTS} - {"value"}
"""Columns of inputs that are no figures."""


def markdown(costs: Costs) -> str:
    """Return the document."""
    return "\n".join(_lines(costs))


def _lines(costs: Costs) -> Iterator[str]:
    yield from _table((costs.inputs.currency, *(each.option.name for each in costs.priced)), [*rows(costs)])
    yield from ("", escaped(" ".join(sentences.reading(costs))))
    yield from _list("", [*said(costs)])
    yield from _list(PUBLISHED, [f"{each.option}: {each.text}" for each in costs.published])
    wrong = [each for each in costs.found if each.severity is Severity.ERROR]
    yield from _list("What is wrong in the published table:", [each.message for each in wrong])
    yield ""
    yield from _table(INPUTS, [*sentences.inputs(costs)], WORDS)
    doubtful = [each for each in costs.found if each.severity is Severity.WARNING]
    yield from _list("What is doubtful:", [f"{each.message}: {_joined(each.hint)}" for each in doubtful])


def _joined(hint: str) -> str:
    return "; ".join(hint.split("\n")[:-1]) or hint


def _list(head: str, items: Sequence[str]) -> Iterator[str]:
    if items:
        yield from ("", *([head, ""] if head else []), *(f"- {escaped(item)}" for item in items))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], words: Collection[str] = ()) -> Iterator[str]:
    yield f"| {' | '.join(map(escaped, head))} |"
    yield f"|{'|'.join([' --- ', *(' --- ' if name in words else ' ---: ' for name in head[1:])])}|"
    yield from (f"| {' | '.join(map(escaped, row))} |" for row in rows)


def escaped(text: str) -> str:
    """Return a text in which Markdown finds no form, and which stays in its line."""
    return "".join(f"\\{character}" if character in SPECIAL else character for character in inline(text))
