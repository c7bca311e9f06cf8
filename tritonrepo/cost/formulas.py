"""The figures of an option: each with its formula, what it needs, and the inputs with which it falls.

A figure rises with every other input that it needs, so its lowest value is where those are low and these are high: one
corner of the ranges, found without trying all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from fractions import Fraction
from typing import NamedTuple

from tritonrepo.cost import sums
from tritonrepo.cost.inputs import Option, Range
from tritonrepo.cost.keys import KEYS

Values = Mapping[str, Fraction]
"""Input → value; an input that is not stated is zero."""


class Unit(StrEnum):
    """What a figure counts."""

    MONEY = "money"
    MILLIONS = "million output tokens a month"
    FACTOR = "factor"
    REPLICAS = "replicas"
    GPUS = "GPUs"


class Formula(NamedTuple):
    """A figure. `needs` must be stated for it, and `takes` all that enter it; it falls with `falls`."""

    name: str
    title: str
    unit: Unit
    text: str
    needs: frozenset[str]
    takes: frozenset[str]
    falls: frozenset[str]
    compute: Callable[[Values], Fraction]


def _gpu(v: Values) -> Fraction:
    return sums.gpu_month(v["gpu_hour"], v["gpus"], v["replicas"], v["hours"])


def _license(v: Values) -> Fraction:
    return sums.license_month_of_year(v["license_gpu_year"], v["gpus"], v["replicas"]) + sums.license_month_of_hour(
        v["license_gpu_hour"], v["gpus"], v["replicas"], v["hours"]
    )


def _care(v: Values) -> Fraction:
    return sums.care_month(v["care_hours"], v["engineer_hour"])


def month(v: Values) -> Fraction:
    """Return everything that a month costs."""
    return _gpu(v) + _license(v) + _care(v) + v["storage_month"] + v["egress_month"] + v["other_month"]


def _once(v: Values) -> Fraction:
    return sums.once(v["setup_hours"], v["engineer_hour"])


def _busy(v: Values, utilization: Fraction) -> Fraction:
    return sums.million_output(month(v) / v["hours"], v["tokens_per_second"] * v["replicas"], utilization)


def _million(v: Values) -> Fraction:
    return _busy(v, v["utilization"])


def _api(v: Values) -> Fraction:
    price = sums.api_million(v["api_million_output"], v["api_million_input"], v["input_output_ratio"])
    return sums.api_break_even(month(v), price)


def _peak(v: Values) -> Fraction:
    return Fraction(sums.replicas(v["peak_rate"], v["replica_rate"], v["spare"]))


GPU = frozenset({"gpu_hour", "gpus", "replicas", "hours"})
COUNTS = frozenset({"gpus", "replicas", "hours"})
LICENSE = COUNTS | {"license_gpu_year", "license_gpu_hour"}
CARE = frozenset({"care_hours", "engineer_hour"})
SETUP = frozenset({"setup_hours", "engineer_hour"})
MONTH = GPU | LICENSE | CARE | {"storage_month", "egress_month", "other_month"}
NONE: frozenset[str] = frozenset()
PACE = frozenset({"tokens_per_second"})
USED = PACE | {"utilization"}
SPREAD = frozenset({"hours", "replicas"})
"""With these a price per hour or token falls: what is fixed a month is spread over more of them."""

LICENSE_TEXT = "license_gpu_year * gpus * replicas / 12 + license_gpu_hour * gpus * replicas * hours"
MILLION_TEXT = "hour / (tokens_per_second * replicas * 3600 / 1,000,000"

FORMULAS = {
    formula.name: formula
    for formula in (
        Formula("gpu_month", "GPUs a month", Unit.MONEY, "gpu_hour * gpus * replicas * hours", GPU, GPU, NONE, _gpu),
        Formula("license_month", "license a month", Unit.MONEY, LICENSE_TEXT, COUNTS, LICENSE, NONE, _license),
        Formula("care_month", "care a month", Unit.MONEY, "care_hours * engineer_hour", CARE, CARE, NONE, _care),
        Formula(
            "month",
            "all a month",
            Unit.MONEY,
            "gpu_month + license_month + care_month + storage_month + egress_month + other_month",
            GPU,
            MONTH,
            NONE,
            month,
        ),
        Formula("once", "setup, once", Unit.MONEY, "setup_hours * engineer_hour", SETUP, SETUP, NONE, _once),
        Formula(
            "year1",
            "year 1",
            Unit.MONEY,
            "12 * month + once",
            GPU,
            MONTH | SETUP,
            NONE,
            lambda v: sums.first_year(month(v), _once(v)),
        ),
        Formula("year2", "year 2", Unit.MONEY, "year1 - once", GPU, MONTH, NONE, lambda v: sums.MONTHS * month(v)),
        Formula(
            "hour",
            "an hour that is paid for",
            Unit.MONEY,
            "month / hours",
            GPU,
            MONTH,
            frozenset({"hours"}),
            lambda v: month(v) / v["hours"],
        ),
        Formula(
            "million_output_busy",
            "million output tokens, never idle",
            Unit.MONEY,
            f"{MILLION_TEXT})",
            GPU | PACE,
            MONTH | PACE,
            SPREAD | PACE,
            lambda v: _busy(v, Fraction(1)),
        ),
        Formula(
            "million_output",
            "million output tokens",
            Unit.MONEY,
            f"{MILLION_TEXT} * utilization)",
            GPU | USED,
            MONTH | USED,
            SPREAD | USED,
            _million,
        ),
        Formula(
            "million_total",
            "million tokens, input and output",
            Unit.MONEY,
            "million_output / (1 + input_output_ratio)",
            GPU | USED | {"input_output_ratio"},
            MONTH | USED | {"input_output_ratio"},
            SPREAD | USED | {"input_output_ratio"},
            lambda v: sums.million_total(_million(v), v["input_output_ratio"]),
        ),
        Formula(
            "answers_1000",
            "1,000 answers",
            Unit.MONEY,
            "million_output * answer_tokens / 1,000",
            GPU | USED | {"answer_tokens"},
            MONTH | USED | {"answer_tokens"},
            SPREAD | USED,
            lambda v: sums.thousand_answers(_million(v), v["answer_tokens"]),
        ),
        Formula(
            "tokens_month",
            "output tokens a month, millions",
            Unit.MILLIONS,
            "tokens_per_second * replicas * 3600 * hours * utilization / 1,000,000",
            SPREAD | USED,
            SPREAD | USED,
            NONE,
            lambda v: sums.capacity(v["tokens_per_second"], v["replicas"], v["hours"], v["utilization"]),
        ),
        Formula(
            "api_tokens",
            "cheaper than the API from, millions",
            Unit.MILLIONS,
            "month / (api_million_output + api_million_input * input_output_ratio)",
            GPU | {"api_million_output"},
            MONTH | {"api_million_output", "api_million_input", "input_output_ratio"},
            frozenset({"api_million_output", "api_million_input", "input_output_ratio"}),
            _api,
        ),
        Formula(
            "license_speed_up",
            "license pays from a speed-up of",
            Unit.FACTOR,
            "1 + license_month / gpu_month",
            GPU,
            LICENSE | {"gpu_hour"},
            frozenset({"gpu_hour", "hours"}),
            lambda v: sums.license_break_even(_license(v), _gpu(v)),
        ),
        Formula(
            "peak_replicas",
            "replicas for the peak",
            Unit.REPLICAS,
            "ceil(peak_rate / replica_rate) + spare",
            frozenset({"peak_rate", "replica_rate"}),
            frozenset({"peak_rate", "replica_rate", "spare"}),
            frozenset({"replica_rate"}),
            _peak,
        ),
        Formula(
            "peak_gpus",
            "GPUs for the peak",
            Unit.GPUS,
            "peak_replicas * gpus",
            frozenset({"peak_rate", "replica_rate", "gpus"}),
            frozenset({"peak_rate", "replica_rate", "spare", "gpus"}),
            frozenset({"replica_rate"}),
            lambda v: _peak(v) * v["gpus"],
        ),
    )
}
"""Name → figure, in the order of tables."""


def stated(formula: Formula, option: Option) -> bool:
    """Return whether an option states what a figure needs, and the figure is a finite number."""
    if not all(name in option.inputs for name in formula.needs):
        return False
    if formula.name in {"license_month", "license_speed_up"} and not (LICENSE - COUNTS) & option.inputs.keys():
        return False
    return formula.name != "license_speed_up" or option.range("gpu_hour").low > 0


class Line(NamedTuple):
    """A figure of an option, low, mid and high."""

    formula: Formula
    value: Range


def spread(formula: Formula, option: Option) -> Range:
    """Return the lowest value of a figure, the value at the mid of every input, and the highest."""
    low, high = {}, {}
    for name in KEYS:
        given = option.range(name)
        falls = name in formula.falls
        low[name], high[name] = (given.high, given.low) if falls else (given.low, given.high)
    return Range(formula.compute(low), formula.compute(mids(option)), formula.compute(high))


def mids(option: Option) -> dict[str, Fraction]:
    """Return the mid of every input."""
    return {name: option.range(name).mid for name in KEYS}


def lines(option: Option) -> tuple[Line, ...]:
    """Return every figure for which an option states enough."""
    return tuple(Line(each, spread(each, option)) for each in FORMULAS.values() if stated(each, option))


class Swing(NamedTuple):
    """What one input alone does to a figure: its value at the input's low and high, with all others at their mid."""

    name: str
    at_low: Fraction
    at_high: Fraction

    @property
    def width(self) -> Fraction:
        """How far the two values are apart."""
        return abs(self.at_high - self.at_low)

    @property
    def factor(self) -> Fraction | None:
        """The larger value divided by the smaller one; None if that is zero."""
        least, most = sorted((self.at_low, self.at_high))
        return most / least if least else None


def swings(formula: Formula, option: Option) -> tuple[Swing, ...]:
    """Return what each input that is a range does to a figure, the most influential first."""
    middle = mids(option)
    found = [
        Swing(name, *(formula.compute(middle | {name: end}) for end in (given.value.low, given.value.high)))
        for name, given in option.inputs.items()
        if name in formula.takes and given.value.ranged
    ]
    return tuple(sorted(found, key=lambda swing: (-swing.width, swing.name)))
