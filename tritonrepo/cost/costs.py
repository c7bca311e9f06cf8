"""All that a cost file gives: figures of each option, what moves them, comparisons, and what is to be doubted."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from tritonrepo.cost.comparing import Comparison, License, comparisons, headline, licenses, swamping
from tritonrepo.cost.doubts import doubts, short
from tritonrepo.cost.formulas import Formula, Line, Swing, lines, swings
from tritonrepo.cost.inputs import Inputs, Option, Range
from tritonrepo.cost.publishing import Reproduced, mistakes, reproduced
from tritonrepo.diagnostics import Diagnostic, Severity


@dataclass(frozen=True, slots=True)
class Priced:
    """An option with its figures, and with what each input alone does to the figure that options are compared by."""

    option: Option
    lines: tuple[Line, ...]
    swings: tuple[Swing, ...]

    def figure(self, name: str) -> Range | None:
        """Return a figure, None if too little is stated for it."""
        return next((line.value for line in self.lines if line.formula.name == name), None)


@dataclass(frozen=True, slots=True)
class Costs:
    """What a cost file gives; `headline` is the figure that options are compared by.

    `swamping` are the inputs that alone change the baseline's figure by more than the choice of an option does.
    """

    inputs: Inputs
    headline: Formula
    priced: tuple[Priced, ...]
    comparisons: tuple[Comparison, ...]
    swamping: tuple[Swing, ...]
    licenses: tuple[License, ...]
    published: tuple[Reproduced, ...]
    found: tuple[Diagnostic, ...]

    @property
    def ok(self) -> bool:
        """Whether no published figure is wrong."""
        return not any(each.severity is Severity.ERROR for each in self.found)

    @property
    def baseline(self) -> Priced:
        """The option that others are compared with."""
        return next(each for each in self.priced if each.option.name == self.inputs.baseline)


def costs(inputs: Inputs, today: datetime.date, notes: Sequence[Diagnostic] = ()) -> Costs:
    """Return all figures of a cost file; `today` decides which dates are old, `notes` are said with what is found."""
    by = headline(inputs)
    priced = tuple(Priced(each, lines(each), swings(by, each)) for each in inputs.options.values())
    compared = tuple(comparisons(inputs, by))
    base = next(each for each in priced if each.option.name == inputs.baseline)
    found = [
        *mistakes(inputs),
        *notes,
        *(doubt for each in priced for doubt in short(each.option, each.lines)),
        *doubts(inputs, today),
    ]
    ordered = sorted(found, key=lambda each: (each.severity is not Severity.ERROR, each.at, each.rule))
    return Costs(
        inputs,
        by,
        priced,
        compared,
        swamping(base.swings, compared),
        tuple(licenses(inputs)),
        reproduced(inputs),
        tuple(ordered),
    )
