"""How texts are grouped into calls of a model, as plain Python."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from threading import Barrier, get_ident
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tritonrepo.generate.steps import grouping
from tritonrepo.generate.steps.grouping import FEWEST, call_tokens, called, groups


def price(parts: list[list[int]], cost: int) -> int:
    """Return what calls for these lengths cost in tokens."""
    return sum(cost + len(part) * max(part) for part in parts)


@given(
    lengths=st.lists(st.integers(0, 30), min_size=1, max_size=8),
    cost=st.integers(0, 40),
    most=st.integers(1, 9),
)
def test_no_other_calls_cost_less(lengths: list[int], cost: int, most: int) -> None:
    found = groups(np.array(lengths), cost, lambda _: most)
    assert sorted(place for part in found for place in part.tolist()) == list(range(len(lengths)))
    parts = [[lengths[place] for place in part] for part in found]
    assert max(map(len, parts)) <= most
    ordered, ends = sorted(lengths), range(1, len(lengths))
    every = [
        [ordered[begin:end] for begin, end in zip((0, *cuts), (*cuts, len(ordered)), strict=True)]
        for count in range(len(ordered))
        for cuts in combinations(ends, count)
    ]
    assert price(parts, cost) == min(price(each, cost) for each in every if max(map(len, each)) <= most)


def test_a_single_call_has_the_texts_in_their_own_order() -> None:
    (only,) = groups(np.array([5, 1, 3]), FEWEST, lambda _: 9)
    assert only.tolist() == [0, 1, 2]


def test_long_texts_have_smaller_calls_than_short_ones() -> None:
    found = groups(np.array([10, 1, 10, 1, 1]), FEWEST, lambda longest: 10 // longest)
    assert [part.tolist() for part in found] == [[1, 3, 4], [0], [2]]


KINDS: dict[str, tuple[dict[str, object], str, int]] = {
    "on a CPU": ({"kind": "cpu", "call_tokens": 7}, "device", 7),
    "on a GPU": ({}, "device", FEWEST),
    "on a GPU that is there": ({"kind": "auto", "call_tokens": 7}, "device", FEWEST),
    "on a GPU that is not there": ({"kind": "auto", "call_tokens": 7}, "another", 7),
}


@pytest.mark.parametrize(("settings", "there", "worth"), KINDS.values(), ids=KINDS)
def test_what_a_call_is_worth_depends_on_where_the_model_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, object], there: str, worth: int
) -> None:
    monkeypatch.setattr(grouping, "GPUS", (str(tmp_path / "none"), str(tmp_path / "device")))
    (tmp_path / there).touch()
    assert call_tokens(settings) == worth


def test_so_many_calls_run_at_once_and_the_longest_texts_begin() -> None:
    """Each call waits for another one, so that none would return if they followed each other."""
    met, begun = Barrier(2), list[int]()

    def call(part: NDArray[Any]) -> NDArray[Any]:
        begun.append(int(part[0]))
        met.wait(30)
        return part

    parts = [np.array([place]) for place in range(4)]
    assert called(call, parts, 2) == parts
    assert sorted(begun[:2]) == [2, 3]


@pytest.mark.parametrize(("count", "at_once"), [(3, 1), (1, 3)])
def test_calls_that_follow_each_other_are_made_in_their_order_by_the_same_thread(count: int, at_once: int) -> None:
    seen: list[tuple[int, int]] = []

    def call(part: NDArray[Any]) -> NDArray[Any]:
        seen.append((int(part[0]), get_ident()))
        return part

    parts = [np.array([place]) for place in range(count)]
    assert called(call, parts, at_once) == parts
    assert seen == [(place, get_ident()) for place in range(count)]
