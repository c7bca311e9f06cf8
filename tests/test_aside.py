"""Many models are looked at in several processes; what these say, or that they fail, changes no finding."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tritonrepo import repository
from tritonrepo.repository import Repository, Said, target
from tritonrepo.rules import aside, judge
from tritonrepo.tree import Directory, Entry, of_text

IO = 'input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }\noutput { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }\n'
MAPS = 'input_map { key: "IN" value: "IN" } output_map { key: "OUT" value: "OUT" }'
STEP = f'step {{ model_name: "a1" model_version: -1 {MAPS} }}'
COUNT = 12
OWN = os.getpid()


@pytest.fixture
def there() -> Repository:
    """Return models of which every fourth is refused, and an ensemble."""
    tree: dict[str, Entry] = {
        "e/config.pbtxt": of_text(f'platform: "ensemble"\n{IO}ensemble_scheduling {{ {STEP} }}\n')
    }
    tree["e/1"] = Directory()
    for number in range(COUNT):
        batch = "max_batch_size: -1\n" if number % 4 == 0 else ""
        tree[f"a{number}/config.pbtxt"] = of_text(f'{batch}backend: "identity"\n{IO}')
        tree[f"a{number}/1/weights"] = of_text("")
    return repository.read(tree, target(Said("26.07")))


@pytest.fixture(params=[2, 3, 64])
def cores(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(aside, "MANY", 1)
    monkeypatch.setattr(aside, "cores", lambda: request.param)
    count: int = request.param
    return count


def test_the_findings_are_the_same(there: Repository, cores: int, looked_at: list[str]) -> None:
    judged = judge(there)
    here = set(looked_at)
    with pytest.MonkeyPatch.context() as alone:
        alone.setattr(aside, "cores", lambda: 1)
        looked_at.clear()
        assert judge(there) == judged
    assert len(looked_at) == COUNT + 1
    assert {"a0", "a1", "a4", "a8"} <= here, "what others name, and what has findings"
    assert len(here) <= len(looked_at) - (3 if cores == 2 else 4)


@pytest.mark.usefixtures("cores")
def test_what_is_done_is_told_in_order_up_to_all(there: Repository) -> None:
    told = list[tuple[int, int]]()
    judge(there, told=lambda done, total: told.append((done, total)))
    counts = [done for done, _ in told]
    assert counts == sorted(counts)
    assert told[-1] == (COUNT + 1, COUNT + 1)
    assert {total for _, total in told} == {COUNT + 1}
    assert len(told) > 1


def test_what_processes_have_done_is_known_while_they_run(there: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aside, "PIECE", 2)
    models = [*there.models]
    work = aside.Aside([models[:5], models[5:]], lambda name: name == "a1")
    try:
        work.start()
        while work.done() < len(models):
            os.sched_yield()
        assert work.clean() == {"a1"}
    finally:
        work.stop()


@pytest.mark.parametrize("shares", [1, 3])
def test_what_a_process_has_not_begun_is_taken_from_it(shares: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aside, "PIECE", 1)
    models = [f"m{number}" for number in range(30)]

    def nothing(name: str) -> bool:
        if name in models[6:9]:
            os.kill(os.getpid(), signal.SIGKILL)
        return True

    work = aside.Aside([models[number::shares] for number in range(shares)], nothing)
    try:
        work.start()
        taken = [*work.taken()]
        clean = work.clean()
    finally:
        work.stop()
    assert len(taken) == len({*taken}) >= len(models) - 6 - 3
    assert {*taken} | {*models[:9]} == {*models}
    assert clean <= {*models[:6]} - {*taken}


@pytest.mark.parametrize("shares", [1, 3])
def test_processes_end_once_nobody_hears_them(shares: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aside, "PIECE", 1)
    models = [f"m{number}" for number in range(1 << 18)]  # more than fits into the pipes
    work = aside.Aside([models[number::shares] for number in range(shares)], lambda _: True)
    work.start()
    running = [(each.child, each.reading) for each in work._running]  # noqa: SLF001
    for _, reading in running:
        os.close(reading)
    for child, _ in running:
        assert os.waitpid(child, 0)[0] == child


def ended(number: int) -> Callable[[str], bool]:
    """Return a way to look at a model that ends every process but this one."""

    def nothing(_: str) -> bool:
        if os.getpid() != OWN:
            os.kill(os.getpid(), number)
        return True

    return nothing


def raising(name: str) -> bool:
    raise ValueError(name)


FAILURES = {"killed": ended(signal.SIGKILL), "ended": ended(signal.SIGTERM), "it raises something": raising}


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the processes that are forked, as they come."""
    found, fork = list[int](), os.fork

    def forked() -> int:
        found.append(child := fork())
        return child

    monkeypatch.setattr(os, "fork", forked)
    return found


def are_gone(children: list[int]) -> bool:
    """Return whether processes have ended and were waited for."""
    for child in children:
        with pytest.raises(ChildProcessError):
            os.waitpid(child, os.WNOHANG)
    return bool(children)


@pytest.mark.usefixtures("cores")
@pytest.mark.parametrize("nothing", FAILURES.values(), ids=FAILURES)
def test_a_process_that_fails_knows_of_no_model(
    nothing: Callable[[str], bool], there: Repository, started: list[int], capfd: pytest.CaptureFixture[str]
) -> None:
    with aside.aside([*there.models], ["a1"], nothing) as others:
        assert "a1" not in others.given
        assert others.given
        assert others.clean() == set()
    assert capfd.readouterr() == ("", "")
    assert are_gone(started)


@pytest.mark.usefixtures("cores")
def test_a_system_that_allows_no_more_processes_costs_only_time(
    there: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = judge(there)
    allowed, fork = iter([1]), os.fork

    def few() -> int:
        if next(allowed, 0):
            return fork()
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", few)
    before = len([*Path("/proc/self/fd").iterdir()])
    assert judge(there) == expected
    assert judge(there) == expected
    assert len([*Path("/proc/self/fd").iterdir()]) == before


@pytest.mark.usefixtures("cores")
def test_processes_end_when_the_run_is_interrupted(there: Repository, started: list[int]) -> None:
    def asleep(_: str) -> bool:
        signal.pause()
        return True

    def interrupted() -> None:
        with aside.aside([*there.models], [], asleep):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert are_gone(started)


@pytest.mark.usefixtures("cores")
def test_a_run_whose_parent_ignores_the_end_of_children_finds_the_same(there: Repository, started: list[int]) -> None:
    """As a shell after `trap "" CHLD`: what it starts inherits that, and the system then waits for the children."""
    before = judge(there)
    handler = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        assert judge(there) == before
    finally:
        signal.signal(signal.SIGCHLD, handler)
    assert are_gone(started)


def test_few_models_are_looked_at_here(there: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aside, "cores", lambda: 2)
    with aside.aside([*there.models], [], raising) as others:
        assert others.given == set()
        assert others.clean() == set()


@pytest.mark.parametrize(("count", "threads", "processes"), [(1, 1, 1), (3, 1, 3), (64, 1, 8), (64, 2, 1)])
def test_no_more_processes_than_processors_or_memory_allow(
    count: int, threads: int, processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aside, "usable", lambda: count)
    monkeypatch.setattr("threading.active_count", lambda: threads)
    assert aside.cores() == processes
