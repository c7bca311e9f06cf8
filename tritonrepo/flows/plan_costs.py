"""What the replicas of a plan cost, by the prices of a file of `cost`."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from tritonrepo.bench.planning import Alternative, Costs, Expense, Plan
from tritonrepo.bench.rates import Rate
from tritonrepo.cost.doubts import doubts
from tritonrepo.cost.formulas import FORMULAS, spread, stated
from tritonrepo.cost.inputs import Input, Inputs, Option, Range, known
from tritonrepo.cost.sums import MILLION, SECONDS, THOUSAND, exact
from tritonrepo.diagnostics import closest, either, fatal
from tritonrepo.flows.cost import stated_in
from tritonrepo.llm.fitting import Fits
from tritonrepo.llm.gpus import gpu
from tritonrepo.plain import inline

OPTION = "plan-cost-option"


class Prices(NamedTuple):
    """A file of prices, the name of the option in it that counts, "" for no choice, and the day of old dates."""

    inputs: Inputs
    name: str
    today: datetime.date


def prices(path: Path, name: str, today: datetime.date) -> Prices:
    """Return the prices of a file; raise Stop if it cannot be read, or if it has no such option."""
    inputs = stated_in(path)
    if name and name not in inputs.options:
        raise fatal(OPTION, str(path), f'the file has no option "{inline(name)}"', closest(name, [*inputs.options]))
    return Prices(inputs, name, today)


def priced(given: Prices, plan: Plan) -> Plan:
    """Return a plan with what its replicas cost if their number is known, and other GPUs with their price."""
    others = tuple(_priced(given.inputs, each) for each in plan.alternatives)
    plan = replace(plan, alternatives=others, currency=given.inputs.currency)
    if plan.replicas is None or plan.others is None:
        return plan
    option = _option(given, plan.gpu)
    gpus = plan.gpus + plan.others
    stands = {"gpus": gpus, "replicas": plan.replicas, "peak_rate": plan.asked.peak.per_s}
    stands |= {"tokens_per_second": plan.rate_per_s or 0, "utilization": 1}  # the rates of the plan stand for both
    own = {name: Input(name, option.at, known(exact(n)), given.today, "plan") for name, n in stands.items()}
    option = replace(option, inputs={**option.inputs, **own})
    said = tuple(doubts(replace(given.inputs, options={option.name: option}), given.today))
    sums = Costs(given.inputs.currency, given.inputs.path, option.name, tuple(_expenses(option, plan, gpus)))
    return replace(plan, costs=sums, found=(*plan.found, *said))


def _option(given: Prices, kind: str) -> Option:
    """Return the option whose prices count; raise Stop if nobody says which of several it is."""
    options = given.inputs.options
    named = [name for name in options if name == given.name] or [name for name in options if _named(name) == kind != ""]
    if len(named) == 1 or len(options) == 1:
        return options[named[0] if named else next(iter(options))]
    message = f"the file has {len(options)} options, and the GPUs of a plan have the prices of one"
    hint = f"Name one of them: {either([f'`--option {inline(each)}`' for each in options])}."
    raise fatal(OPTION, given.inputs.path, message, hint)


def _named(option: str) -> str:
    """Return the GPU that an option has the name of; "" if it has that of none."""
    found = gpu(option)
    return found.name if found is not None else ""


def _priced(inputs: Inputs, each: Alternative) -> Alternative:
    options = [option for name, option in inputs.options.items() if _named(name) == each.gpu]
    if len(options) != 1 or each.state is Fits.NO or not each.gpus:
        return each
    own = {name: Input(name, options[0].at, known(n)) for name, n in {"gpus": each.gpus, "replicas": 1}.items()}
    option = replace(options[0], inputs={**options[0].inputs, **own})
    return each._replace(month=_expense(each.gpu, spread(FORMULAS["gpu_month"], option), FORMULAS["gpu_month"].text))


def _expenses(option: Option, plan: Plan, gpus: int) -> Iterator[Expense]:
    for name, formula in ((name, FORMULAS[name]) for name in ("month", "gpu_month", "license_month", "care_month")):
        if stated(formula, option):
            text = formula.text
            if name == "gpu_month":
                price, hours = option.range("gpu_hour"), option.range("hours")
                text = f"{_said(price)} an hour × {gpus} GPUs × {plan.replicas:,} replicas × {_said(hours)} hours"
            yield _expense(formula.title, spread(formula, option), text)
    hour = spread(FORMULAS["hour"], option)
    for name, rate in (("peak", plan.asked.peak), ("mean", plan.asked.mean)):
        if rate is not None:
            yield from _of_answers(hour, name, rate, plan)


def _of_answers(hour: Range, name: str, rate: Rate, plan: Plan) -> Iterator[Expense]:
    """Yield the cost of answers and of their tokens if all hours have this rate: the replicas are paid for anyway."""
    always = f"{_said(hour)} an hour ÷ ({rate.per_s:.4g}/s × {SECONDS:,} s"
    answers = exact(rate.per_s) * SECONDS / THOUSAND
    yield _expense(f"1,000 answers at the {name}", _over(hour, answers), f"{always} ÷ 1,000)")
    tokens = plan.of.figures.output_tokens.mean if plan.of is not None and plan.of.figures.output_tokens else None
    if tokens:
        millions = exact(rate.per_s) * SECONDS * exact(tokens) / MILLION
        title = f"million output tokens at the {name}"
        yield _expense(title, _over(hour, millions), f"{always} × {tokens:,.4g} tokens ÷ 1,000,000)")


def _over(found: Range, by: Fraction) -> Range:
    return Range(found.low / by, found.mid / by, found.high / by)


def _said(found: Range) -> str:
    low, mid, high = (f"{float(each):,.6g}" for each in found)
    return mid if low == high else f"{mid} ({low} to {high})"


def _expense(name: str, found: Range, formula: str) -> Expense:
    return Expense(name, float(found.low), float(found.mid), float(found.high), formula)
