"""Options held against the baseline: whether they differ at all within the inputs, and whether a license pays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from fractions import Fraction
from itertools import product
from typing import NamedTuple

from tritonrepo.cost import sums
from tritonrepo.cost.formulas import FORMULAS, Formula, Swing, mids, spread, stated
from tritonrepo.cost.inputs import Inputs, Option, Range

HEADLINES = ("million_output", "million_output_busy", "year1")
"""What options are compared by: the first of these that all of them have."""


class Verdict(StrEnum):
    """What a range says."""

    YES = "yes"
    NO = "no"
    OPEN = "not decided"


class Comparison(NamedTuple):
    """A figure of an option divided by the baseline's; an input that both share has the same value in both."""

    option: str
    baseline: str
    ratio: Range

    @property
    def differs(self) -> bool:
        """Whether one of them is cheaper wherever the inputs are in their ranges."""
        return self.ratio.low > 1 or self.ratio.high < 1


class License(NamedTuple):
    """Whether the license of an option pays against the baseline without one.

    `needed` is the speed-up from which it does, None if the GPUs differ; `measured` is the one that the inputs state,
    None if they state none. `year` is what it costs a year, `saved_hours` what it saves in the first one, and
    `more_hours` how many more it would have to save; both None without the rate of an engineer.
    """

    option: str
    baseline: str
    needed: Range | None
    measured: Range | None
    year: Fraction
    rate: Fraction | None
    saved_hours: Fraction | None
    more_hours: Fraction | None

    @property
    def pays_by_speed(self) -> Verdict | None:
        """Whether the speed-up that is stated is enough; None if one of both is not known."""
        if self.needed is None or self.measured is None:
            return None
        if self.measured.low >= self.needed.high:
            return Verdict.YES
        return Verdict.NO if self.measured.high < self.needed.low else Verdict.OPEN


def headline(inputs: Inputs) -> Formula:
    """Return the figure that options are compared by."""
    found = (FORMULAS[name] for name in HEADLINES)
    return next(each for each in found if all(stated(each, option) for option in inputs.options.values()))


def comparisons(inputs: Inputs, formula: Formula) -> Iterator[Comparison]:
    """Yield each option against the baseline; one whose figure is zero cannot be divided by."""
    baseline = inputs.options[inputs.baseline]
    for option in inputs.options.values():
        if option is not baseline and spread(formula, baseline).low > 0:
            yield Comparison(option.name, baseline.name, _ratio(formula, option, baseline))


def _ratio(formula: Formula, option: Option, baseline: Option) -> Range:
    """Return the range of a ratio.

    What is an option's own goes to the end that raises or lowers its figure. A shared input moves both figures, and
    which way the ratio goes depends on the others; it is monotone in each of them, so an end of each is enough.
    """
    both = [
        name
        for name in sorted(formula.takes)
        if option.range(name).ranged and name in option.inputs and _shared(name, option, baseline)
    ]
    low, high = (_ends(formula, option, at_high=at_high) for at_high in (False, True))
    base_low, base_high = (_ends(formula, baseline, at_high=at_high) for at_high in (False, True))
    least, most = [], []
    for ends in product(("low", "high"), repeat=len(both)):
        same = {name: getattr(option.range(name), end) for name, end in zip(both, ends, strict=True)}
        least.append(formula.compute(low | same) / formula.compute(base_high | same))
        most.append(formula.compute(high | same) / formula.compute(base_low | same))
    return Range(min(least), formula.compute(mids(option)) / formula.compute(mids(baseline)), max(most))


def _shared(name: str, option: Option, baseline: Option) -> bool:
    return all(name in each.inputs and each.inputs[name].shared for each in (option, baseline))


def _ends(formula: Formula, option: Option, *, at_high: bool) -> dict[str, Fraction]:
    """Return the inputs at the ends that make a figure highest, or lowest."""
    return {
        name: option.range(name).high if at_high != (name in formula.falls) else option.range(name).low
        for name in mids(option)
    }


def licenses(inputs: Inputs) -> Iterator[License]:
    """Yield what the license of each option costs and saves, if the baseline has none."""
    baseline = inputs.options[inputs.baseline]
    for option in inputs.options.values():
        year = sums.MONTHS * (_mid("license_month", option) - _mid("license_month", baseline))
        if option is not baseline and year > 0 and not _mid("license_month", baseline):
            yield _license(option, baseline, year)


def _license(option: Option, baseline: Option, year: Fraction) -> License:
    same = all(option.range(name) == baseline.range(name) for name in ("gpus", "replicas", "hours", "gpu_hour"))
    paces = [each.range("tokens_per_second") for each in (option, baseline)]
    measured = None
    if all(pace.low > 0 for pace in paces):
        ours, theirs = paces
        measured = Range(ours.low / theirs.high, ours.mid / theirs.mid, ours.high / theirs.low)
        if _shared("tokens_per_second", option, baseline):
            measured = Range(Fraction(1), Fraction(1), Fraction(1))
    speed_up = FORMULAS["license_speed_up"]
    needed = spread(speed_up, option) if same and stated(speed_up, option) else None
    rate, saved, more = option.range("engineer_hour").mid, None, None
    if rate:
        theirs_year, ours_year = (
            each.range("setup_hours").mid + sums.MONTHS * each.range("care_hours").mid for each in (baseline, option)
        )
        saved = theirs_year - ours_year
        more = sums.labor_break_even(year, saved, rate)
    return License(option.name, baseline.name, needed, measured, year, rate or None, saved, more)


def _mid(name: str, option: Option) -> Fraction:
    return FORMULAS[name].compute(mids(option))


def swamping(swings: Sequence[Swing], found: Sequence[Comparison]) -> tuple[Swing, ...]:
    """Return the inputs that alone change the baseline's figure by more than the choice of an option does."""
    most = max((max(each.ratio.mid, 1 / each.ratio.mid) for each in found if each.ratio.mid), default=None)
    if most is None:
        return ()
    return tuple(each for each in swings if each.factor is None or each.factor > most)
