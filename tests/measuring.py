"""What CI does not measure: tests that run again and again what others run once, and the processes that tests start.

Measured, either takes up to twice as long, and the report shows hardly a line more. The same goes for the collection,
in which every process of pytest-xdist imports all test files. A plugin of pytest: see `.ci/run`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager, nullcontext

import pytest

REPEATED = {"test_depth", "test_verdicts"}
"""Files with many cases, or with large ones, each of a kind that another file has, too."""


@contextmanager
def interrupted() -> Iterator[None]:
    """Interrupt the measurement."""
    tracer = sys.gettrace()
    sys.settrace(None)
    try:
        yield
    finally:
        sys.settrace(tracer)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Interrupt the measurement in all processes but the first."""
    with interrupted() if os.environ.get("PYTEST_XDIST_WORKER", "gw0") != "gw0" else nullcontext():
        return (yield)


def pytest_collection_finish() -> None:
    """Start processes without measurement from now on; those of pytest-xdist, which run the tests, have started."""
    os.environ.pop("COVERAGE_PROCESS_CONFIG", None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Interrupt the measurement for properties and repeated cases."""
    repeated = item.path.stem in REPEATED or getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
    with interrupted() if repeated else nullcontext():
        return (yield)
