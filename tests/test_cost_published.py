"""Published tables of costs: the totals from their own parts, and every mistake by its arithmetic."""

from __future__ import annotations

import datetime
from pathlib import Path

from tests.tabled import tabled
from tritonrepo.cost.costs import Costs, costs
from tritonrepo.cost.publishing import Reproduced
from tritonrepo.cost.reading import read

SEED = Path(__file__).parent.parent / "examples" / "models" / "seed" / "cost.yaml"
PLACE = "in the place of a month's"
ONE_YEAR = f"it is the price of one GPU and year, {PLACE}"
TODAY = datetime.date(2026, 11, 28)


def computed(text: str) -> Costs:
    return costs(read(text.encode(), "cost.yaml"), TODAY)


def wrong(found: Costs) -> list[str]:
    return [each.message for each in found.found if each.rule == "cost-published"]


def test_the_published_totals_are_reproduced_to_the_dollar() -> None:
    found = computed(SEED.read_text("utf-8"))
    assert [(each.option, each.text) for each in found.published] == [
        ("vLLM", "12 * 4,745 + 40 h * 75 = 59,940"),
        ("Triton", "12 * 4,745 + 60 h * 110 = 63,540"),
        ("NIM", "12 * 9,245 + 4 h * 0 = 110,940"),
    ]
    assert [_sum(each) for each in found.published] == [59940, 63540, 110940]


def _sum(each: Reproduced) -> object:
    return 12 * each.month + each.hours * (each.rate or 0)


def test_each_mistake_of_the_published_table_is_named() -> None:
    found = computed(SEED.read_text("utf-8"))
    assert not found.ok
    assert wrong(found) == [
        "the totals pay different rates for an hour of work: 75 (vLLM), 110 (Triton), 0 (NIM)",
        '"vLLM" deploys 2 replicas of 2 GPUs, which are 4, but pays for 2',
        'year1 of "Triton" is 63,540, but its inputs give 12 * 4,745 + 4,500 = 61,440',
        f'license_month of "NIM" is 4,500, but 4,500 * 2 GPUs / 12 is 750: {ONE_YEAR}',
        'year1 of "NIM" is 110,940, but its inputs give 12 * 5,495 + 300 = 66,240',
    ]
    (rates,) = (each for each in found.found if "different rates" in each.message)
    assert rates.hint == "Use one rate. At 75 the same parts give 59,940 (vLLM), 61,440 (Triton), 111,240 (NIM)."
    (left_out,) = (each for each in found.found if each.rule == "cost-left-out")
    for what in ("throughput", "idle time", "care_hours", "storage", "egress_month", "embedder", "redundancy"):
        assert what in left_out.hint
    assert {each.rule for each in found.found} == {"cost-published", "cost-left-out", "cost-date", "cost-source"}


def test_a_table_that_holds_is_not_blamed() -> None:
    text = SEED.read_text("utf-8").replace("63540", "61440").replace("110940", "66240")
    text = text.replace("license_month: 4500", "license_month: 750").replace("replicas: 2}", "replicas: 1}")
    found = computed(text)
    assert (wrong(found), found.ok) == ([], True)


ONE = """currency: EUR
options:
  A:
    gpus: 4
    replicas: 3
    hours: 730
    gpu_hour: 2
    INPUT
    published: {FIGURES}
"""
MONTHS = {
    "a year in place of a month": (
        "license_gpu_year: 1200",
        "license_month: 14400",
        f'license_month of "A" is 14,400, but 1,200 * 12 GPUs / 12 is 1,200: it is the price of a year, {PLACE}',
    ),
    "one GPU": (
        "license_gpu_hour: 1",
        "license_month: 730",
        'license_month of "A" is 730, but 1 * 12 GPUs * 730 is 8,760: it is the price of one GPU',
    ),
    "one replica": (
        "spare: 0",
        "gpu_month: 5840",
        'gpu_month of "A" is 5,840, but 2 * 12 GPUs * 730 is 17,520: it is the price of one replica',
    ),
    "nothing that is known": (
        "spare: 0",
        "gpu_month: 9999",
        'gpu_month of "A" is 9,999, but 2 * 12 GPUs * 730 is 17,520',
    ),
    "less than its months": (
        "setup_hours: 10",
        "gpu_month: 17520, year1: 200000",
        "year1 of 200,000 is less than its own months, 12 * 17,520",
    ),
    "rounded": ("spare: 0", "gpu_month: 17500", ""),
}


@tabled(("given", "figures", "said"), MONTHS.values(), ids=MONTHS)
def test_a_figure_of_another_time_or_number_of_gpus(given: str, figures: str, said: str) -> None:
    found = wrong(computed(ONE.replace("INPUT", given).replace("FIGURES", figures)))
    assert found[:1] == ([said] if said else [])


WORK = """currency: EUR
shared: {SHARED}
options:
  A: {setup_hours: 10, published: {gpu_month: 1460, year1: 18520}}
  B: {setup_hours: 20, published: {gpu_month: 1460, year1: 18520}}
"""
RATES = {
    "the first that is paid, if no rate is stated": ("", "At 100 the same parts give 18,520 (A), 19,520 (B)."),
    "the stated one": (", engineer_hour: 60", "At 60 the same parts give 18,120 (A), 18,720 (B)."),
}


@tabled(("given", "hint"), RATES.values(), ids=RATES)
def test_the_rate_of_work_that_is_advised(given: str, hint: str) -> None:
    found = computed(WORK.replace("SHARED", f"gpus: 2, replicas: 1, hours: 730, gpu_hour: 1{given}"))
    (rates,) = (each for each in found.found if "different rates" in each.message)
    assert rates.message.endswith("100 (A), 50 (B)")
    assert rates.hint == f"Use one rate. {hint}"


def test_a_total_within_the_ranges_follows_from_them() -> None:
    text = ONE.replace("gpu_hour: 2", "gpu_hour: [1, 2, 3]").replace("INPUT", "spare: 0")
    assert wrong(computed(text.replace("FIGURES", "year1: 120000"))) == []
    assert wrong(computed(text.replace("FIGURES", "year1: 99000"))) != []
