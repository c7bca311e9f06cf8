"""Quantiles of histograms, as Prometheus finds them; and the few series of metrics that are looked at beside a load."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tests.speaking import Said, speaking
from tests.tabled import tabled
from tritonrepo.bench.histograms import Quantile, quantile
from tritonrepo.server import metrics, sampling
from tritonrepo.server.endpoint import Endpoint

INF = math.inf

HALF: dict[str, tuple[dict[float, float], Quantile | None]] = {
    "within a bucket": ({1: 0, 2: 10, INF: 10}, Quantile(1.5, 1, 2)),
    "within the first": ({10: 4, INF: 4}, Quantile(5, 0, 10)),
    "in the last, without an end": ({10: 1, INF: 4}, Quantile(None, 10, None)),
    "one bucket": ({INF: 3}, Quantile(None, 0, None)),
    "on a bound": ({1: 5, 2: 10, INF: 10}, Quantile(1, 0, 1)),
    "after empty buckets": ({1: 0, 2: 0, 3: 4, INF: 4}, Quantile(2.5, 2, 3)),
    "counts that fall": ({1: 5, 2: 4, 3: 12, INF: 12}, Quantile(2 + 1 / 7, 2, 3)),
    "a bound below zero": ({-1: 4, INF: 4}, Quantile(-1, -1, -1)),
    "in any order": ({INF: 10, 2: 10, 1: 0}, Quantile(1.5, 1, 2)),
    "nothing": ({}, None),
    "no last bucket": ({1: 0, 2: 10}, None),
    "the count of a bucket is not a number": ({1: 2, 2: math.nan, 3: 10, INF: 10}, Quantile(2.375, 2, 3)),
    "no values": ({1: 0, INF: 0}, None),
}


@tabled(("buckets", "found"), HALF.values(), ids=HALF)
def test_the_middle_of_a_histogram(buckets: dict[float, float], found: Quantile | None) -> None:
    assert quantile(0.5, buckets) == found


@given(
    some.lists(some.floats(0, 100), min_size=1), some.sets(some.integers(1, 99)), some.sampled_from([0.5, 0.9, 0.99])
)
def test_a_quantile_is_in_its_bucket(values: list[float], bounds: set[int], share: float) -> None:
    buckets = {bound: float(sum(value <= bound for value in values)) for bound in (*bounds, INF)}
    found = quantile(share, buckets)
    assert found is not None
    true = sorted(values)[math.ceil(share * len(values)) - 1]
    assert found.above <= true <= (INF if found.upto is None else found.upto)
    assert found.value is None or found.above <= found.value <= (found.upto or INF)


NAMES = ("aa", "aab", "b:c")


@dataclass
class Pauses:
    """How often a look has paused."""

    count: int = 0

    def sleep(self, seconds: float) -> None:
        assert seconds < 0.01
        self.count += 1


@given(some.text("ab:c{} 1\n", max_size=80), some.integers(1, 20))
def test_lines_are_found_whatever_the_pieces_cut(text: str, piece: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sampling, "PIECE", piece)
        patched.setattr(sampling, "time", pauses := Pauses())
        found = [*sampling.lines(text.encode(), NAMES)]
    assert found == [line.encode() for name in NAMES for line in text.split("\n") if line.startswith(name)]
    assert pauses.count > 0 or len(text) < piece


def test_of_many_series_only_a_few_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "time", pauses := Pauses())
    lines = [f'nv_inference_pending_request_count{{model="m{number}"}} {number}' for number in range(120)]
    text = "\n".join([*lines, 'nv_inference_count{model="m"} 7', 'nv_inference_pending_request_count{model="cut'])
    with speaking(lambda _: Said(text.encode())) as server:
        client = metrics.reader(Endpoint("http://127.0.0.1:1", 30, metrics=server.url))
        found = sampling.few(client, ["nv_inference_pending_request_count", "nv_cpu_utilization"])
    assert found.series.keys() == {"nv_inference_pending_request_count"}
    assert sum(found.series["nv_inference_pending_request_count"].values()) == sum(range(120))
    assert pauses.count == 3
