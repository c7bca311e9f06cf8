"""A test over a table: all rows are checked, and all that fail are named, but pytest has one test to keep and to run.

For rows without fixtures, whose checks take less time than what pytest does around each test.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import repeat
from typing import Any

import pytest

from tests.measuring import CASES, measured

Check = Callable[..., None]
Test = Callable[[], None]
Names = str | Sequence[str]
Ids = Iterable[object] | Callable[[Any], object] | None
FAILED = (Exception, pytest.fail.Exception)
KEPT = ("__name__", "__qualname__", "__doc__", "__module__")
"""What pytest asks of a test; it would take the arguments of what `__wrapped__` names for fixtures."""


def tabled(names: Names, rows: Iterable[Any], *, ids: Ids = None) -> Callable[[Check], Test]:
    """Give a test the rows as pytest.mark.parametrize does, one after the other, in one test."""
    table = list(_named(names, rows, ids))

    def decorate(check: Check) -> Test:
        def test() -> None:
            failed = [error for place, row in enumerate(table) if (error := _failure(check, place, row))]
            if len(failed) == 1:
                raise failed[0]
            if failed:
                raise BaseExceptionGroup(f"{len(failed)} of {len(table)} rows", failed)

        for each in KEPT:
            setattr(test, each, getattr(check, each))
        return test

    return decorate


def _named(names: Names, rows: Iterable[Any], ids: Ids) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name of each row, and its values by argument."""
    alone = isinstance(names, str) and "," not in names
    arguments = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    called = repeat(None) if ids is None or callable(ids) else iter(ids)
    for row, name in zip(rows, called, strict=False):
        values = [row] if alone else list(row)
        words = [ids(value) for value in values] if callable(ids) else values if name is None else [name]
        yield "-".join(map(str, words)), dict(zip(arguments, values, strict=True))


def _failure(check: Check, place: int, row: tuple[str, dict[str, Any]]) -> BaseException | None:
    name, values = row
    try:
        with _measured(place):
            check(**values)
    except FAILED as error:
        error.add_note(f"in the row {name!r}")
        return error
    return None


def _measured(place: int) -> AbstractContextManager[None]:
    """Measure as many rows as pytest's own cases: see tests/measuring.py."""
    return measured(wanted=False) if place >= CASES and "COVERAGE_RUN" in os.environ else nullcontext()
