"""What CI does not measure: tests that run again and again what others run once, and the processes that tests start.

Measured, either takes up to twice as long, and the report shows hardly a line more. A plugin of pytest: see `.ci/run`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator

import pytest

REPEATED = {"test_depth", "test_verdicts"}
"""Files with many cases, or with large ones, each of a kind that another file has, too."""


def pytest_collection_finish() -> None:
    """Start processes without measurement from now on; those of pytest-xdist, which run the tests, have started."""
    os.environ.pop("COVERAGE_PROCESS_CONFIG", None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Interrupt the measurement for properties and repeated cases."""
    if item.path.stem not in REPEATED and not getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
        return (yield)
    tracer = sys.gettrace()
    sys.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(tracer)
