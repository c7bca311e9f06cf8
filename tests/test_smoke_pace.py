"""How a smoke test proceeds: several models at once, a check several times, up to a deadline, whatever hangs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from urllib.parse import unquote

import numpy as np
import pytest

from tests.speaking import Asked, Said, Speaking, arrays, inferred, plain, speaking
from tritonrepo.diagnostics import Diagnostic, Severity, Span, Stop
from tritonrepo.flows.smoke import smoke
from tritonrepo.server.client import Client
from tritonrepo.server.endpoint import Endpoint
from tritonrepo.server.tensors import Request, of_values
from tritonrepo.smoke.asking import MOST_LATE, Asking
from tritonrepo.smoke.case import Case, Check, Crowd, Outcome, Protocol, Result
from tritonrepo.smoke.connection import Connection
from tritonrepo.smoke.crowd import run as crowded
from tritonrepo.smoke.judge import anything
from tritonrepo.smoke.pace import Clock, Pace, again, arriving, together
from tritonrepo.smoke.plan import Known
from tritonrepo.smoke.run import Way, run

PASSED = Result("m", "1", Check.ANSWER, "", "http", 10)
FLAW = Diagnostic("smoke-answer", Severity.ERROR, Span("x"), "wrong", "Look.", model="m")
FAILED = replace(PASSED, ms=20, diagnostics=(FLAW,))
WARNED = replace(PASSED, diagnostics=(replace(FLAW, severity=Severity.WARNING),))


def repeated(*outcomes: Result) -> list[Result]:
    each = iter(outcomes)
    return [*again(lambda: [next(each), Result("m", "1", Check.AGREEMENT)], len(outcomes))]


def test_a_flaky_check_fails_and_says_how_often() -> None:
    first, second = repeated(PASSED, FAILED, PASSED)
    assert (first.outcome, first.ms, first.diagnostics[0].message) == ("failed", 13, "failed 1 of 3 times: wrong")
    assert (second.check, second.outcome) == ("agreement", "passed")
    assert repeated(FAILED, FAILED)[0].diagnostics[0].message == "failed 2 of 2 times: wrong"
    assert repeated(FAILED)[0].diagnostics[0].message == "wrong"
    assert repeated(PASSED, WARNED)[0].diagnostics[0].message == "wrong"
    assert repeated(PASSED, PASSED)[0].outcome == "passed"
    (gone,) = again(lambda: [FAILED], 30, lambda: True)
    assert gone.diagnostics[0].message == "wrong"


def test_models_at_once_keep_the_order_within_each_and_hold_up_no_other() -> None:
    """The first waits until the others are done: one after the other, it would wait for ever."""
    done = threading.Event()

    def work(name: str) -> Iterator[Result]:
        assert name != "dead" or done.wait(60)
        for check in (Check.LOADED, Check.ANSWER):
            yield Result(name, "1", check)

    found: list[Result] = []
    for result in arriving(iter([partial(work, name) for name in ("dead", "a", "b")]), 2):
        found.append(result)
        if len(found) == 4:
            done.set()
    assert [each.model for each in found] == ["a", "a", "b", "b", "dead", "dead"]
    assert [each.check for each in found] == ["loaded", "answer"] * 3


@pytest.mark.parametrize("parallel", [1, 3])
def test_what_breaks_in_a_thread_is_raised_where_the_results_are_read(parallel: int) -> None:
    def broken() -> Iterator[Result]:
        yield PASSED
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(arriving(iter([broken, broken]), parallel))
    with pytest.raises(ZeroDivisionError):
        together([lambda: 1, lambda: 1 // 0])
    assert together([lambda: 1, lambda: 2]) == [1, 2]
    assert together([]) == []
    assert [*arriving(iter([]), parallel)] == []


TENSOR = {"name": "A", "data_type": "TYPE_FP32", "dims": [1]}


Says = Callable[[Asked], Said]


def served(*names: str, dead: threading.Event | None = None) -> Says:
    """Return what a server says that has these models, one after the other; `dead` never answers until it is set."""

    def say(asked: Asked) -> Said:
        if asked.path.endswith("index"):
            return plain([{"name": name, "version": "1", "state": "READY"} for name in names])
        name = unquote(asked.path.split("/")[3])
        if asked.path.endswith("config"):
            return plain({"name": name, "max_batch_size": 8, "input": [TENSOR], "output": [TENSOR]})
        if name == "dead" and dead is not None and asked.path.endswith("infer"):
            dead.wait(60)
        return inferred(A=np.ones([1, 1], np.float32))

    return say


def test_a_pattern_selects_models() -> None:
    with speaking(served("ab", "ac", "b", "[a]")) as server:
        endpoint = Endpoint(server.url, 30, 30, "none")
        for only, models in ({"a*": {"ab", "ac"}, "b": {"b"}, "[a]": {"[a]"}, "?": {"b"}}).items():
            assert {result.model for result in smoke(endpoint, only=[only])} == models
        with pytest.raises(Stop, match=r"A\*: fatal: the server does not have this model"):
            list(smoke(endpoint, only=["A*"]))


class Scripted(Clock):
    """A clock whose time is up once the model `dead` has been asked."""

    def __init__(self, server: Speaking) -> None:
        super().__init__(7)
        self.server = server

    def left(self) -> float:
        return 0 if any(asked.path.endswith("dead/versions/1/infer") for asked in self.server.asked) else 0.2


def test_at_the_deadline_the_test_ends_and_says_what_was_not_tested() -> None:
    release = threading.Event()
    with speaking(served("dead", "m", "n", dead=release)) as server:
        connection = Connection(Client(Endpoint(server.url, 60, 60)), None)
        results = list(run(connection, Known(), frozenset(), Way(clock=Scripted(server))))
        release.set()
    said = {r.model: r.diagnostics[0].message for r in reversed(results) if r.outcome is Outcome.FAILED}
    why = "the deadline of 7 s for the whole test has passed"
    assert said == {
        "dead": f"version 1, http: the response was not complete when {why}",
        "m": f"version 1, http: not tested, because {why}",
        "n": f"version 1, http: not tested, because {why}",
    }


@pytest.mark.parametrize("parallel", [1, 2])
def test_a_deadline_ends_what_never_answers(parallel: int) -> None:
    release = threading.Event()
    with speaking(served("dead", dead=release)) as server:
        results = list(smoke(Endpoint(server.url, 60, 60, "none"), pace=Pace(parallel, deadline_s=0.2)))
        release.set()
    assert "the deadline of 0.2 s for the whole test has passed" in results[-1].diagnostics[0].message


def test_models_that_no_time_was_left_to_look_at_are_named() -> None:
    with speaking(served("m")) as server:
        connection = Connection(Client(Endpoint(server.url, 30, 30)), None)
        results = list(run(connection, Known(), frozenset(), Way(clock=Clock(0))))
    assert [(r.check, r.outcome, r.diagnostics[0].message) for r in results] == [
        ("loaded", "failed", "version 1 was not tested, because the deadline of 0 s for the whole test has passed")
    ]


def rows(count: int) -> Case:
    inputs = (of_values("A", "FP32", [1.0] * count, [count, 1]),)
    return Case(Check.ANSWER, Request("m", "1", inputs), anything, Span("x"), protocols=(Protocol.HTTP,))


def slow_at(batch: int, release: threading.Event) -> Says:
    def say(asked: Asked) -> Said:
        if asked.path.endswith("infer"):
            if len(arrays(asked)["A"]) >= batch:
                release.wait(60)
            return inferred(A=np.ones([1, 1], np.float32))
        return plain({})

    return say


def test_a_model_that_is_slow_only_for_a_batch_is_named_with_it_and_not_waited_for_again_and_again() -> None:
    release = threading.Event()
    with speaking(slow_at(8, release)) as server:
        connection = Connection(Client(Endpoint(server.url, 0.2, 0.2)), None)
        asking = Asking(connection, {}, {"m"})
        cases = [rows(1), *[rows(8)] * (MOST_LATE + 1)]
        results = [result for case in cases for result in asking.run(case)]
        (last,) = crowded(asking, Crowd((rows(1), rows(1)), batched=False))
        release.set()
    late = "version 1, http: the response was not complete within 0.2 s, for a batch of 8"
    assert [[d.message for d in result.diagnostics] for result in results] == [
        [], *[[late]] * MOST_LATE,
        ["version 1, http: not tested, because 2 responses of this version were already late"],
    ]  # fmt: skip
    assert last.diagnostics[0].message.endswith("not tested, because 2 responses of this version were already late")


def test_a_clock_without_a_deadline_never_ends() -> None:
    assert not Clock().over
    assert Clock(0).over
    assert 0 < Clock(60).left() <= 60
