"""The text of an SLO: metrics, units, and what is said of a wrong one."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from tritonrepo.bench.slo import said, slo

GOOD: Mapping[str, Mapping[str, float]] = {
    "ttft=500": {"ttft": 500},
    "ttft=500,itl=50": {"ttft": 500, "itl": 50},
    "ttft=0.5s": {"ttft": 500},
    "ttft=500ms, tpot = .25 s": {"ttft": 500, "tpot": 250},
    "latency=2s": {"latency": 2000},
    "itl=250us": {"itl": 0.25},
    "TTFT=1.": {"ttft": 1},
}


@pytest.mark.parametrize(("text", "most_ms"), GOOD.items(), ids=GOOD)
def test_the_limits_are_in_milliseconds(text: str, most_ms: Mapping[str, float]) -> None:
    assert slo(text).most_ms == most_ms
    assert slo(said(slo(text))) == slo(text)


BAD = {
    "": '"" is not a metric with its limit; write METRIC=LIMIT, such as ttft=500 in milliseconds, or ttft=0.5s',
    "ttft:500": '"ttft:500" is not a metric with its limit',
    "ttft=500,": '"" is not a metric with its limit',
    "ttft": '"ttft" is not a metric with its limit',
    "tttf=500": 'unknown metric "tttf"; did you mean "ttft"?',
    "e2el=500": 'unknown metric "e2el"; did you mean "latency"?',
    "color=500": 'unknown metric "color"; use one of ttft, itl, tpot, latency',
    "=500": 'unknown metric ""; use one of ttft, itl, tpot, latency',
    "ttft=": 'the limit of ttft must be a time above 0, such as ttft=500 in milliseconds, or ttft=0.5s, not ""',
    "ttft=0": "the limit of ttft must be a time above 0",
    "ttft=-5": "the limit of ttft must be a time above 0",
    "ttft=nan": "the limit of ttft must be a time above 0",
    "ttft=inf": "the limit of ttft must be a time above 0",
    "ttft=5e2": "the limit of ttft must be a time above 0",
    "ttft=5min": "the limit of ttft must be a time above 0",
    f"ttft={'9' * 400}": "the limit of ttft must be a time above 0",
    "ttft=500=1": 'the limit of ttft must be a time above 0, such as ttft=500 in milliseconds, or ttft=0.5s, not "5',
    "ttft=500,ttft=400": "ttft has two limits; set each metric once",
    "tt\x1bft=5": r'unknown metric "tt\x1bft"; did you mean "ttft"?',
}


@pytest.mark.parametrize(("text", "message"), BAD.items(), ids=map(repr, range(len(BAD))))
def test_a_wrong_text_is_told_with_what_to_write(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        slo(text)
