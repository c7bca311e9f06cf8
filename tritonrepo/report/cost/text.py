"""What serving costs, as lines for a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tritonrepo.cost.amounts import amount, plain, spread
from tritonrepo.cost.costs import Costs, Priced
from tritonrepo.cost.formulas import FORMULAS, mids
from tritonrepo.report.cost import sentences
from tritonrepo.report.table import table

WORD = re.compile(r"[a-z][a-z0-9_]+")
FUNCTIONS = {"ceil"}
PUBLISHED = "Published totals, from their own parts:"
INPUTS = ("input of", "name", "value", "unit", "date", "source")


def text(costs: Costs, *, explain: bool = False) -> Iterator[str]:
    """Yield the lines: figures, what they mean, what moves them, the inputs, and what is to be doubted."""
    yield sentences.title(costs)
    yield from sentences.reading(costs)
    yield from ("", *table(("", *(each.option.name for each in costs.priced)), [*rows(costs)]).split("\n"))
    yield from _section("", said(costs))
    for priced in costs.priced if explain else (costs.baseline,):
        yield from _moved(priced, costs)
    if costs.published:
        yield from _section(
            "Published totals, from their own parts:", (f"  {p.option}: {p.text}" for p in costs.published)
        )
    if explain:
        yield from (line for priced in costs.priced for line in _section(f"{priced.option.name}:", explained(priced)))
    yield from (
        "",
        *table(("input of", "name", "value", "unit", "date", "source"), [*sentences.inputs(costs)]).split("\n"),
    )
    for diagnostic in costs.found:
        yield from ("", *diagnostic.lines)


def said(costs: Costs) -> Iterator[str]:
    """Yield all sentences about the figures."""
    yield from sentences.compared(costs)
    for each in costs.licenses:
        yield from sentences.licensed(each, costs.inputs.currency)
    yield from sentences.against_api(costs)


def rows(costs: Costs) -> Iterator[tuple[str, ...]]:
    """Yield the rows of figures; those that no option has are left out."""
    for formula in FORMULAS.values():
        found = [priced.figure(formula.name) for priced in costs.priced]
        if any(each is not None for each in found):
            yield formula.title, *("-" if each is None else spread(each) for each in found)


def _section(head: str, lines: Iterator[str]) -> Iterator[str]:
    found = list(lines)
    if found:
        yield from ("", *([head] if head else []), *found)


def _moved(priced: Priced, costs: Costs) -> Iterator[str]:
    """Yield the table of what each input alone does to the figure that options are compared by."""
    if priced.swings:
        yield from (
            "",
            f'What moves the cost of {sentences.headline(costs)} of "{priced.option.name}", each input alone:',
        )
        found = [
            (
                each.name,
                f"{amount(each.at_low)} to {amount(each.at_high)}",
                "-" if each.factor is None else f"{float(each.factor):.2f}",
            )
            for each in priced.swings
        ]
        yield from table(("input, low to high", costs.inputs.currency, "factor"), found).split("\n")


def explained(priced: Priced) -> Iterator[str]:
    """Yield each figure of an option with its formula, once in names and once in numbers at the mid of all inputs."""
    figures = {line.formula.name: line.value.mid for line in priced.lines}
    stated = mids(priced.option)

    def number(found: re.Match[str]) -> str:
        name = found[0]
        if name in FUNCTIONS:
            return name
        return amount(figures[name]) if name in figures else plain(stated.get(name, stated["gpus"] * 0))

    for line in priced.lines:
        sides = f"{line.formula.text} = {WORD.sub(number, line.formula.text)}"
        yield f"  {line.formula.name} = {sides} = {amount(line.value.mid)}"
