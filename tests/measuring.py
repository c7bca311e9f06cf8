"""What CI does not measure: tests that run again and again what others run once, and the processes that tests start.

Measured, either takes up to twice as long, and the report shows hardly a line more. The same goes for what pytest does
around the tests, and for the collection, in which every process of pytest-xdist imports all test files. A plugin of
pytest: see `.ci/run`.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import contextmanager

import pytest

REPEATED = {"test_depth", "test_push_model", "test_verdicts"}
"""Files with many, large, or all orders of cases, each of a kind that another file has, too."""

CASES = 3
"""How many cases of a test are measured: further ones hardly run another line."""

BEGUN = Counter[str]()
"""How many cases of each test this process has begun."""

IS_MEASURED = pytest.StashKey[bool]()
TRACER = sys.gettrace()
"""What measures; None where nothing does."""


@contextmanager
def measured(wanted: bool = True) -> Iterator[None]:  # noqa: FBT001, FBT002  whether it is
    """Measure what is done here, or do not."""
    before = sys.gettrace()
    sys.settrace(TRACER if wanted else None)
    try:
        yield
    finally:
        sys.settrace(before)


def is_repeated(item: pytest.Item) -> bool:
    """Return whether others run what a test runs: it is a property, or one of many cases."""
    test = item.nodeid.partition("[")[0]
    BEGUN[test] += 1
    is_property = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
    return is_property or item.path.stem in REPEATED or BEGUN[test] > CASES


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Interrupt the measurement in all processes but the first."""
    with measured(os.environ.get("PYTEST_XDIST_WORKER", "gw0") == "gw0"):
        return (yield)


def pytest_collection_finish() -> None:
    """Start processes without measurement from now on; those of pytest-xdist, which run the tests, have started."""
    os.environ.pop("COVERAGE_PROCESS_CONFIG", None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Interrupt the measurement for all that is neither a test nor a fixture."""
    item.stash[IS_MEASURED] = not is_repeated(item)
    with measured(wanted=False):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    """Measure what several tests share, and what a measured test has for itself."""
    with measured(fixturedef.scope != "function" or request.node.stash[IS_MEASURED]):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    with measured(pyfuncitem.stash[IS_MEASURED]):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Generator[None, object, object]:
    with measured():
        return (yield)
