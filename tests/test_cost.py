"""What serving costs: formulas against figures worked by hand, ranges, and whether options differ."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from fractions import Fraction
from itertools import product

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.tabled import tabled
from tritonrepo.cost import sums
from tritonrepo.cost.amounts import amount, percent, plain, spread, stated
from tritonrepo.cost.comparing import Verdict, comparisons
from tritonrepo.cost.costs import Costs, costs
from tritonrepo.cost.formulas import FORMULAS, mids, swings
from tritonrepo.cost.formulas import spread as corners
from tritonrepo.cost.inputs import Input, Inputs, Option, Range
from tritonrepo.cost.keys import KEYS
from tritonrepo.cost.reading import read
from tritonrepo.diagnostics import Severity, Span

F = Fraction
QUICK = (Phase.explicit, Phase.generate)
"""Without shrinking, which takes minutes here: the first counterexample says as much."""

TODAY = datetime.date(2026, 11, 28)
PAIR = F(2) * F("3.25")
WORKED = {
    "at every hour busy": (sums.million_output(PAIR, F(2100), F(1)), "0.860"),
    "at a utilization of 0.4": (sums.million_output(PAIR, F(2100), F("0.4")), "2.149"),
    "at what 32 in flight and 28 ms allow": (sums.million_output(PAIR, F(1143), F(1)), "1.580"),
    "a license per GPU and year": (sums.license_break_even(F(4500) * 2 / 8760, PAIR), "1.158"),
    "a license per GPU-hour": (sums.license_break_even(F(2), PAIR), "1.308"),
    "a license of 4,500 a month": (sums.license_break_even(F(4500), F(4745)), "1.948"),
    "the speed-up that was published": (F(2400) / 2100, "1.143"),
    "hours that a license saves": (F(40 - 4) * 75, "2,700"),
    "hours that it would still have to save": (sums.labor_break_even(F(9000), F(36), F(75)), "84"),
    "how much dearer a token is": (F(2100) / 1950 * 100 - 100, "7.692"),
    "two GPUs a month": (sums.gpu_month(F("3.25"), F(2), F(1), F(730)), "4,745"),
    "four GPUs a month": (sums.gpu_month(F("3.25"), F(2), F(2), F(730)), "9,490"),
    "a year's license a month": (sums.license_month_of_year(F(4500), F(2), F(1)), "750"),
    "input and output alike": (sums.million_total(F("2.4"), F(7)), "0.300"),
    "a thousand answers": (sums.thousand_answers(F("2.15"), F(300)), "0.645"),
    "an API's price with its input": (sums.api_million(F("0.9"), F("0.1"), F(8)), "1.700"),
    "tokens that an API costs as much for": (sums.api_break_even(F(4745), F("0.9")), "5,272"),
}


@tabled(("value", "text"), WORKED.values(), ids=WORKED)
def test_figures_worked_by_hand(value: Fraction, text: str) -> None:
    assert amount(value) == text


REPLICAS = {
    "a third more than whole": ("8", "6", "0", 2),
    "exactly whole, where doubles are above": ("0.3", "0.1", "0", 3),
    "one that may fail": ("8", "6", "1", 3),
    "nothing to serve": ("0", "6", "1", 1),
}


@tabled(("peak", "rate", "spare", "needed"), REPLICAS.values(), ids=REPLICAS)
def test_replicas_are_whole(peak: str, rate: str, spare: str, needed: int) -> None:
    assert sums.replicas(F(peak), F(rate), F(spare)) == needed


def test_a_double_is_taken_as_it_is_printed() -> None:
    assert sums.exact(0.1) == F(1, 10)
    assert sums.exact(1e-7) == F(1, 10**7)


AMOUNTS = {
    "0": "0",
    "59940": "59,940",
    "1234567890123.4": "1,234,567,890,123",
    "999.996": "1,000",
    "81.254": "81.25",
    "0.8597883": "0.860",
    "0.0123456": "0.0123",
    "0.00000012": "1.2e-07",
    "2.5": "2.500",
    "-2700": "-2,700",
    "0.1": "0.100",
}


@tabled(("value", "text"), AMOUNTS.items(), ids=AMOUNTS)
def test_amounts_have_no_noise(value: str, text: str) -> None:
    assert amount(F(value)) == text


def test_ranges_and_ratios_as_text() -> None:
    assert spread(Range(F(1), F(2), F(3))) == "2 (1 to 3)"
    assert spread(Range(F(2), F(2), F(2))) == "2"
    assert stated(Range(F("2.5"), F("3.25"), F(4000))) == "2.5, 3.25, 4,000"
    assert [plain(F(each)) for each in ("2100", "0.4", "4500.5", "1e-12")] == ["2,100", "0.4", "4,500.5", "1e-12"]
    assert [percent(F(each)) for each in ("1", "1.077", "0.9", "3.5")] == [
        "the same",
        "7.7 % dearer",
        "10 % cheaper",
        "3.5 times as dear",
    ]


def option(values: Mapping[str, Range], name: str = "A", shared: tuple[str, ...] = ()) -> Option:
    """Return an option with these inputs."""
    at = Span("cost.yaml")
    return Option(name, at, {key: Input(key, at, value, shared=key in shared) for key, value in values.items()})


def ranges(name: str) -> st.SearchStrategy[Range]:
    """Draw ranges within the limits of an input."""
    key = KEYS[name]
    most = int(key.most) if key.most is not None else 5000
    if key.whole:
        values = st.integers(int(key.least), 9).map(Fraction)
    else:
        values = st.integers(1 if key.above else 0, most * 100).map(lambda number: Fraction(number, 100))
    return st.lists(values, min_size=3, max_size=3).map(lambda drawn: Range(*sorted(drawn)))


@st.composite
def options(draw: st.DrawFn, ranged: int = 3) -> Option:
    """Draw an option with every input, a few of which are ranges."""
    wide = draw(st.lists(st.sampled_from([*KEYS]), max_size=ranged, unique=True))
    found = {name: draw(ranges(name)) for name in KEYS if name != "license_gpu_hour"}
    return option({key: each if key in wide else Range(each.mid, each.mid, each.mid) for key, each in found.items()})


@settings(max_examples=40, phases=QUICK)
@given(options())
def test_two_corners_are_the_ends_of_all_corners(drawn: Option) -> None:
    wide = [name for name, each in drawn.inputs.items() if each.value.ranged]
    for formula in FORMULAS.values():
        if formula.name == "license_speed_up" and not drawn.range("gpu_hour").low:
            continue
        found = [
            formula.compute(mids(drawn) | {n: getattr(drawn.range(n), e) for n, e in zip(wide, ends, strict=True)})
            for ends in product(("low", "high"), repeat=len(wide))
        ]
        low, mid, high = corners(formula, drawn)
        assert (low, high) == (min(found), max(found)), formula.name
        assert low <= mid <= high


@settings(max_examples=40, phases=QUICK)
@given(options(ranged=8))
def test_only_what_enters_a_figure_moves_it(drawn: Option) -> None:
    for formula in FORMULAS.values():
        if formula.name == "license_speed_up" and not drawn.range("gpu_hour").low:
            continue
        assert formula.falls <= formula.takes
        assert formula.needs <= formula.takes
        for name in KEYS:
            given = drawn.range(name)
            moved = name not in formula.takes and {formula.compute(mids(drawn) | {name: end}) for end in given}
            assert not moved or len(moved) == 1, (formula.name, name)


@settings(max_examples=40, phases=QUICK)
@given(options(), options(), st.sets(st.sampled_from([*KEYS]), max_size=3))
def test_the_ratio_of_options_holds_every_value_that_inputs_can_have(one: Option, two: Option, same: set[str]) -> None:
    formula = FORMULAS["million_output"]
    same -= {"license_gpu_hour"}
    base = option({n: each.value for n, each in one.inputs.items()}, "base", tuple(same))
    other = option({n: (one if n in same else two).range(n) for n in one.inputs}, "other", tuple(same))
    for found in comparisons(Inputs("cost.yaml", "USD", {"base": base, "other": other}, "base"), formula):
        for end in ("low", "mid", "high"):
            for against in ("low", "mid", "high"):
                ours = {n: getattr(other.range(n), against if n in same else end) for n in KEYS}
                theirs = {n: getattr(base.range(n), against) for n in KEYS}
                ratio = formula.compute(ours) / formula.compute(theirs)
                assert found.ratio.low <= ratio <= found.ratio.high


def computed(text: str) -> Costs:
    return costs(read(text.encode(), "cost.yaml"), TODAY)


HEAD = """currency: USD
shared:
  gpus: 2
  replicas: 1
  hours: 730
  gpu_hour: {gpu_hour}
  utilization: {utilization}
options:
  vLLM: {{tokens_per_second: {vllm}}}
  Triton: {{tokens_per_second: {triton}}}
"""


def engines(gpu_hour: str = "3.25", utilization: str = "0.4", vllm: str = "2100", triton: str = "1950") -> Costs:
    return computed(HEAD.format(gpu_hour=gpu_hour, utilization=utilization, vllm=vllm, triton=triton))


def test_price_and_use_that_both_share_leave_the_difference_as_it_is() -> None:
    found = engines(gpu_hour="[1.1, 2.2, 3.3]", utilization="[0.2, 0.4, 0.6]")
    (comparison,) = found.comparisons
    assert [amount(each) for each in comparison.ratio] == ["1.077", "1.077", "1.077"]
    assert comparison.differs
    assert [(each.name, each.factor) for each in found.swamping] == [("utilization", F(3)), ("gpu_hour", F(3))]


def test_throughputs_that_overlap_are_no_difference() -> None:
    (comparison,) = engines(vllm="[1500, 2100, 3000]", triton="[1400, 1950, 2800]").comparisons
    assert not comparison.differs
    assert [amount(each) for each in comparison.ratio] == ["0.536", "1.077", "2.143"]
    assert not engines(vllm="2100", triton="[2000, 2050, 2100]").comparisons[0].differs
    assert not engines(vllm="2100", triton="[2100, 2150, 2200]").comparisons[0].differs


def test_throughputs_that_do_not_overlap_are_a_difference_either_way() -> None:
    for low, high in (("[900, 1000, 1100]", "[2000, 2100, 2200]"), ("1000", "1001")):
        assert engines(vllm=high, triton=low).comparisons[0].differs
        assert engines(vllm=low, triton=high).comparisons[0].differs


def test_what_moves_a_cost_most_comes_first() -> None:
    found = engines("[3, 3.25, 3.5]", "[0.2, 0.4, 0.6]", "[1900, 2100, 2300]")
    assert [each.name for each in found.baseline.swings] == ["utilization", "tokens_per_second", "gpu_hour"]
    assert swings(FORMULAS["year1"], found.baseline.option)[0].name == "gpu_hour"


def test_options_are_compared_by_what_all_of_them_have() -> None:
    assert engines().headline.name == "million_output"
    idle = HEAD.replace("utilization:", "care_hours:").format(gpu_hour=3, utilization="1", vllm=1, triton=1)
    assert computed(idle).headline.name == "million_output_busy"
    bare = HEAD.replace("tokens_per_second", "care_hours").format(gpu_hour=3, utilization="1", vllm=1, triton=1)
    assert computed(bare).headline.name == "year1"


NIM = """currency: USD
shared: {gpus: 2, replicas: 1, hours: 730, gpu_hour: 3.25, engineer_hour: 75}
options:
  vLLM: {setup_hours: 40, tokens_per_second: 2100}
  NIM: {setup_hours: 4, tokens_per_second: SPEED, license_gpu_year: 4500}
"""


@pytest.mark.parametrize(
    ("speed", "verdict"),
    [("2400", Verdict.NO), ("2432", Verdict.YES), ("[2300, 2400, 2500]", Verdict.OPEN)],
    ids=["as published", "from 1.158 on", "a range around it"],
)
def test_a_license_pays_by_speed_or_not(speed: str, verdict: Verdict) -> None:
    (found,) = computed(NIM.replace("SPEED", speed)).licenses
    assert found.pays_by_speed is verdict
    assert found.needed is not None
    assert amount(found.needed.mid) == "1.158"
    assert (found.year, found.saved_hours, found.more_hours) == (F(9000), F(36), F(84))


def test_a_license_for_other_gpus_is_not_compared_by_speed() -> None:
    (found,) = computed(NIM.replace("{setup_hours: 4,", "{gpus: 4, setup_hours: 4,").replace("SPEED", "9999")).licenses
    assert (found.needed, found.pays_by_speed) == (None, None)


def test_a_license_of_the_option_replaces_a_shared_one_of_the_other_form() -> None:
    text = NIM.replace("SPEED", "2400").replace("75}", "75, license_gpu_hour: 1}")
    by_name = {each.option.name: each.figure("license_month") for each in computed(text).priced}
    assert {name: None if each is None else each.mid for name, each in by_name.items()} == {"vLLM": 1460, "NIM": 750}


DATES = {
    "90 days old": ("2026-08-30", ""),
    "91 days old": ("2026-08-29", "a date more than 90 days ago"),
    "tomorrow": ("2026-11-29", "a date in the future"),
    "none": ("", "no date"),
}


@tabled(("day", "said"), DATES.values(), ids=DATES)
def test_a_date_is_doubted(day: str, said: str) -> None:
    text = HEAD.format(gpu_hour=f"{{value: 3, date: {day}, source: a}}", utilization="1", vllm=1, triton=1)
    text = text.replace("  utilization: 1\n", "").replace("tokens_per_second", "spare")
    found = [each.message for each in computed(text).found if each.rule == "cost-date"]
    assert found == ([f"1 input has {said}"] if said else [])


def test_all_that_is_not_counted_is_said_once_for_options_that_lack_the_same() -> None:
    found = {each.rule: each for each in computed(NIM.replace("SPEED", "2400")).found}
    assert found["cost-left-out"].message == 'the cost of "vLLM", "NIM" leaves out 6 things'
    assert "(utilization)" in found["cost-left-out"].hint
    assert "(tokens_per_second)" not in found["cost-left-out"].hint
    assert {each.severity for each in found.values()} == {Severity.WARNING}


def test_zero_is_a_statement_and_nothing_is_left_out() -> None:
    text = HEAD.format(gpu_hour=3, utilization="1", vllm=1, triton=1).replace(
        "options:",
        "  storage_month: 0\n  egress_month: 0\n  other_month: 0\n  peak_rate: 0\n  care_hours: 0\noptions:",
    )
    assert [each for each in computed(text).found if each.rule == "cost-left-out"] == []


def test_too_few_replicas_for_the_peak() -> None:
    text = NIM.replace("SPEED", "2400").replace("75}", "75, peak_rate: 8, replica_rate: 6, spare: 1}")
    assert [each.message for each in computed(text).found if each.rule == "cost-replicas"] == [
        '"vLLM" pays for 1 replica, but the peak needs 3',
        '"NIM" pays for 1 replica, but the peak needs 3',
    ]


def test_a_free_gpu_divides_nothing() -> None:
    found = computed(
        NIM.replace("SPEED", "2400").replace("gpu_hour: 3.25", "gpu_hour: 0").replace("setup_hours: 40, ", "")
    )
    assert found.priced[1].figure("license_speed_up") is None
    assert found.comparisons == ()
