"""Published totals taken apart: reproduced from their own parts, and held against what the inputs give."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple

from tritonrepo.cost.amounts import amount
from tritonrepo.cost.formulas import FORMULAS, mids, spread
from tritonrepo.cost.inputs import Inputs, Option, Published
from tritonrepo.cost.sums import MONTHS
from tritonrepo.diagnostics import Diagnostic, Severity, Span, counted

RULE = "cost-published"
CLOSE = Fraction(1, 100)
"""Two figures that differ by no more than this share of the larger one are the same figure, rounded differently."""

ROUNDED = 1
"""Totals are published in whole units."""


class Reproduced(NamedTuple):
    """A total as its own parts give it: twelve months, and hours of work at the `rate` that is left for them.

    `rate` is None if no hours are stated.
    """

    option: str
    total: Fraction
    month: Fraction
    hours: Fraction
    rate: Fraction | None

    @property
    def text(self) -> str:
        """The arithmetic."""
        months = f"{MONTHS} * {amount(self.month)}"
        if self.rate is None:
            return f"{months} + {amount(self.total - MONTHS * self.month)} = {amount(self.total)}"
        return f"{months} + {amount(self.hours)} h * {amount(self.rate)} = {amount(self.total)}"


def reproduced(inputs: Inputs) -> tuple[Reproduced, ...]:
    """Return the published totals whose monthly parts are published too."""
    return tuple(found for option in inputs.options.values() if (found := _reproduced(option)) is not None)


def _reproduced(option: Option) -> Reproduced | None:
    figures = option.published.figures if option.published else {}
    if "year1" not in figures or "gpu_month" not in figures:
        return None
    month = sum((figures[name][1] for name in ("gpu_month", "license_month") if name in figures), Fraction(0))
    total, hours = figures["year1"][1], option.range("setup_hours").mid
    return Reproduced(option.name, total, month, hours, (total - MONTHS * month) / hours if hours else None)


def mistakes(inputs: Inputs) -> Iterator[Diagnostic]:
    """Yield what is wrong in published figures, each with the arithmetic."""
    totals = reproduced(inputs)
    yield from _rates(inputs, totals)
    for option in inputs.options.values():
        if option.published is not None:
            yield from _month(option, option.published)
            yield from _deployed(option, option.published)
            yield from _total(option, option.published)


def _wrong(at: Span, message: str, hint: str) -> Diagnostic:
    return Diagnostic(RULE, Severity.ERROR, at, message, hint)


def _rates(inputs: Inputs, totals: Sequence[Reproduced]) -> Iterator[Diagnostic]:
    """Yield rates of work that differ between the rows, or that no work can have."""
    rates = [(each, each.rate) for each in totals if each.rate is not None]
    for each in totals:
        rest = each.total - MONTHS * each.month
        if rest < -ROUNDED:
            at = _place(inputs, each.option)
            message = f"year1 of {amount(each.total)} is less than its own months, {MONTHS} * {amount(each.month)}"
            yield _wrong(at, message, "Correct gpu_month, license_month or year1.")
    if len(rates) > 1 and not _close(*(pick(rate for _, rate in rates) for pick in (min, max))):
        said = ", ".join(f"{amount(rate)} ({each.option})" for each, rate in rates)
        first, rate = next(((each, rate) for each, rate in rates if rate > 0), rates[0])
        option = inputs.options[first.option]
        rate = option.range("engineer_hour").mid or rate
        even = ", ".join(f"{amount(MONTHS * e.month + e.hours * rate)} ({e.option})" for e, _ in rates)
        hint = f"Use one rate. At {amount(rate)} the same parts give {even}."
        yield _wrong(_place(inputs, first.option), f"the totals pay different rates for an hour of work: {said}", hint)


def _place(inputs: Inputs, name: str) -> Span:
    published = inputs.options[name].published
    return published.figures["year1"][0] if published else inputs.options[name].at


def _close(one: Fraction, other: Fraction) -> bool:
    return abs(one - other) <= CLOSE * max(abs(one), abs(other))


def _month(option: Option, published: Published) -> Iterator[Diagnostic]:
    """Yield prices of a month that are those of another number of GPUs, or of another time."""
    stated = mids(option)
    gpus = stated["gpus"] * stated["replicas"]
    for name, price, time in (("gpu_month", "gpu_hour", stated["hours"]), ("license_month", *_license(option))):
        if name not in published.figures or price not in option.inputs:
            continue
        at, said = published.figures[name]
        right = spread(FORMULAS[name], option)
        if right.low - ROUNDED <= said <= right.high + ROUNDED or _close(said, right.mid):
            continue
        one = stated[price] * time
        meant = {
            "the price of one GPU and year, in the place of a month's": one * MONTHS,
            "the price of a year, in the place of a month's": one * MONTHS * gpus,
            "the price of one GPU": one,
            "the price of one replica": one * stated["gpus"],
        }
        cause = next((f": it is {text}" for text, value in meant.items() if _close(said, value)), "")
        factors = f"{amount(stated[price])} * {amount(gpus)} GPUs"
        sides = f"{factors} * {amount(time)}" if time >= 1 else f"{factors} / {amount(1 / time)}"
        yield _wrong(
            at,
            f'{name} of "{option.name}" is {amount(said)}, but {sides} is {amount(right.mid)}{cause}',
            f"Write {amount(right.mid)}, or correct {price}, gpus or replicas.",
        )


def _license(option: Option) -> tuple[str, Fraction]:
    """Return the form of the license that is stated, and the share of a month of its time."""
    if "license_gpu_hour" in option.inputs:
        return "license_gpu_hour", option.range("hours").mid
    return "license_gpu_year", Fraction(1, MONTHS)


def _deployed(option: Option, published: Published) -> Iterator[Diagnostic]:
    """Yield that more or fewer GPUs are deployed than are paid for."""
    if published.gpus is None or published.replicas is None or published.deploys_at is None:
        return
    stated = mids(option)
    deployed, paid = published.gpus * published.replicas, stated["gpus"] * stated["replicas"]
    if deployed != paid:
        month = stated["gpu_hour"] * deployed * stated["hours"]
        message = (
            f'"{option.name}" deploys {counted(int(published.replicas), "replica")} of '
            f"{counted(int(published.gpus), 'GPU')}, which are {amount(deployed)}, but pays for {amount(paid)}"
        )
        hint = f"Set gpus and replicas to what is deployed: {amount(month)} a month for the GPUs."
        yield _wrong(published.deploys_at, message, hint)


def _total(option: Option, published: Published) -> Iterator[Diagnostic]:
    """Yield a total that does not follow from the inputs."""
    if "year1" not in published.figures:
        return
    at, said = published.figures["year1"]
    right = spread(FORMULAS["year1"], option)
    if not right.low - ROUNDED <= said <= right.high + ROUNDED:
        month, once = (spread(FORMULAS[name], option).mid for name in ("month", "once"))
        sum_of = f"{MONTHS} * {amount(month)} + {amount(once)}"
        message = f'year1 of "{option.name}" is {amount(said)}, but its inputs give {sum_of} = {amount(right.mid)}'
        off = amount(abs(said - right.mid))
        yield _wrong(at, message, f"The published total is {off} too {'high' if said > right.mid else 'low'}.")
