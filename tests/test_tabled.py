"""A test over a table: every row is checked, and every one that fails is named."""

from __future__ import annotations

import pytest

from tests.tabled import tabled

ROWS = {"even": (2, 0), "odd": (3, 0), "less": (4, 1), "more": (6, 0)}


def test_every_row_is_checked_and_those_that_fail_are_named() -> None:
    seen: list[int] = []

    @tabled(("number", "rest"), ROWS.values(), ids=ROWS)
    def check(number: int, rest: int) -> None:
        seen.append(number)
        assert number % 2 == rest

    with pytest.raises(BaseExceptionGroup) as raised:
        check()
    assert seen == [2, 3, 4, 6]
    assert str(raised.value) == "2 of 4 rows (2 sub-exceptions)"
    assert [each.__notes__ for each in raised.value.exceptions] == [["in the row 'odd'"], ["in the row 'less'"]]


def test_the_only_row_that_fails_is_the_failure_itself() -> None:
    @tabled("word", ["a", "b"], ids=str.upper)
    def check(word: str) -> None:
        if word == "b":
            pytest.fail("it is b")

    with pytest.raises(pytest.fail.Exception, match="it is b") as raised:
        check()
    assert raised.value.__notes__ == ["in the row 'B'"]


def test_a_row_without_a_name_is_named_by_its_values() -> None:
    @tabled("a, b", [(1, 2)])
    def check(a: int, b: int) -> None:
        assert a == b

    with pytest.raises(AssertionError) as raised:
        check()
    assert raised.value.__notes__ == ["in the row '1-2'"]


def test_rows_that_pass_are_silent() -> None:
    @tabled("word", ["a"])
    def test_of_a_name(word: str) -> None:
        """What it proves."""
        assert word

    test_of_a_name()
    assert (test_of_a_name.__name__, test_of_a_name.__doc__) == ("test_of_a_name", "What it proves.")
