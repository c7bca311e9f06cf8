"""What the figures mean, in sentences that text, Markdown and the page have alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from tritonrepo.cost.amounts import amount, percent, plain, spread, stated, times
from tritonrepo.cost.comparing import Comparison, License, Verdict
from tritonrepo.cost.costs import Costs
from tritonrepo.cost.formulas import Swing
from tritonrepo.cost.inputs import Input, Range
from tritonrepo.cost.keys import unit
from tritonrepo.diagnostics import either

NOTHING = (
    "No input is a range, so these figures look more certain than they are. Write [low, mid, high] where you guess."
)
ROUNDING = "Figures are computed exactly and rounded half to even where they are printed."


def title(costs: Costs) -> str:
    """Return what was computed."""
    count = len(costs.priced)
    return f"{costs.inputs.path}: {count} option{'s' if count > 1 else ''}, amounts in {costs.inputs.currency}"


def reading(costs: Costs) -> tuple[str, ...]:
    """Return how figures are to be read."""
    ranged = any(each.value.ranged for priced in costs.priced for each in priced.option.inputs.values())
    return (f"mid (low to high). {ROUNDING}",) if ranged else (ROUNDING, NOTHING)


def headline(costs: Costs) -> str:
    """Return the figure by which options are compared, within a sentence."""
    found = costs.headline.title
    return f"a {found}" if found.startswith("million") else found


def compared(costs: Costs) -> Iterator[str]:
    """Yield how the options differ, and whether that is more than what the inputs leave open."""
    for each in costs.comparisons:
        yield f'"{each.option}" against "{each.baseline}", {costs.headline.title}: {_difference(each)}'
    if costs.swamping:
        names = either(f"{each.name} ({_factor(each)})" for each in costs.swamping).replace(" or ", " and ")
        verb = "changes" if len(costs.swamping) == 1 else "each change"
        yield (
            f"{names} alone {verb} the cost of {headline(costs)} by more than the choice of an option does "
            f"({times(_most(costs.comparisons))})."
        )


def _difference(each: Comparison) -> str:
    ratio = each.ratio
    if not ratio.ranged:
        return percent(ratio.mid)
    ends = f"{percent(ratio.mid)} ({percent(ratio.low)} to {percent(ratio.high)})"
    return ends if each.differs else f"{ends}: no difference within your inputs"


def _most(found: Sequence[Comparison]) -> Fraction:
    return max(max(each.ratio.mid, 1 / each.ratio.mid) for each in found if each.ratio.mid)


def _factor(swing: Swing) -> str:
    return "from zero" if swing.factor is None else times(swing.factor)


def licensed(found: License, currency: str) -> Iterator[str]:
    """Yield whether a license pays by speed, and whether by work."""
    head = f'The license of "{found.option}", {currency} {amount(found.year)} a year'
    if found.needed is None:
        yield f'{head}, is for other GPUs than those of "{found.baseline}", so no speed-up is compared.'
    elif found.measured is None:
        yield f'{head}, pays by speed from {_speed(found.needed)} the throughput of "{found.baseline}".'
    else:
        verdict = {Verdict.YES: "it pays", Verdict.NO: "it does not pay", Verdict.OPEN: "not decided by your inputs"}
        yield (
            f'{head}, pays by speed from {_speed(found.needed)} the throughput of "{found.baseline}"; stated is '
            f"{_speed(found.measured)}: {verdict[found.pays_by_speed or Verdict.OPEN]}."
        )
    if found.rate is not None and found.saved_hours is not None and found.more_hours is not None:
        yield _work(found.rate, found.saved_hours, found.more_hours, currency)


def _work(rate: Fraction, saved: Fraction, more: Fraction, currency: str) -> str:
    worth = f"{amount(saved)} h * {plain(rate)} = {currency} {amount(saved * rate)}"
    if more <= 0:
        return f"By work it pays in the first year: it saves {worth}."
    lost = f"it saves {worth}" if saved > 0 else f"it takes {amount(-saved)} h more" if saved else "it saves nothing"
    return f"By work it does not pay in the first year: {lost}, and would have to save {amount(more)} h more."


def _speed(value: Range) -> str:
    low, mid, high = (f"{float(each):.3f}" for each in value)
    return f"{mid} times" if low == high else f"{mid} times ({low} to {high})"


def against_api(costs: Costs) -> Iterator[str]:
    """Yield whether serving is cheaper than the API at the tokens that are answered."""
    for priced in costs.priced:
        needed, given = priced.figure("api_tokens"), priced.figure("tokens_month")
        if needed is None:
            continue
        says = f'"{priced.option.name}" is cheaper than the API from {spread(needed)} million output tokens a month'
        if given is None:
            yield f"{says}."
        else:
            verdict = "cheaper" if given.low >= needed.high else "dearer" if given.high < needed.low else "not decided"
            yield f"{says}; it answers {spread(given)}: {verdict}."


def inputs(costs: Costs) -> Iterator[tuple[str, str, str, str, str, str]]:
    """Yield each stated input: whose it is, its name, value, unit, date and source."""
    seen: set[str] = set()
    for priced in costs.priced:
        for name, each in priced.option.inputs.items():
            if each.shared and name not in seen:
                seen.add(name)
                yield _input("all", each, costs)
    for priced in costs.priced:
        for each in priced.option.inputs.values():
            if not each.shared:
                yield _input(priced.option.name, each, costs)


def _input(whose: str, each: Input, costs: Costs) -> tuple[str, str, str, str, str, str]:
    day = each.date.isoformat() if each.date else "-"
    return whose, each.name, stated(each.value), unit(each.name, costs.inputs.currency), day, each.source or "-"
