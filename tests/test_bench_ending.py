"""How a load ends from outside: what runs is cancelled once, and signals at other times raise an exception."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator

import pytest

from tritonrepo.bench.ending import Ending
from tritonrepo.cli import Terminated
from tritonrepo.cli.interrupts import ended_by

NUMBERS = (signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in NUMBERS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_what_runs_is_ended_and_nothing_else() -> None:
    ending = Ending()

    async def work() -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return "ended"
        return "over"

    async def from_a_thread() -> str:
        threading.Timer(0.01, ending.end).start()
        return await ending.during(work())

    assert not ending.end()
    assert asyncio.run(from_a_thread()) == "ended"
    assert not ending.end()


def test_the_first_signal_ends_what_runs_and_the_second_one_the_block() -> None:
    ended: list[bool] = []

    def end() -> bool:
        ended.append(True)
        return True

    def twice() -> None:
        signal.raise_signal(signal.SIGHUP)
        assert ended == [True]
        signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Terminated) as caught, ended_by(end):
        twice()
    assert caught.value.number == signal.SIGHUP
    assert ended == [True]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN


def test_a_signal_ends_the_block_if_nothing_runs() -> None:
    with pytest.raises(Terminated) as caught, ended_by(lambda: False):
        signal.raise_signal(signal.SIGTERM)
    assert caught.value.number == signal.SIGTERM


def test_what_is_told_to_be_ignored_stays_ignored_and_other_handlers_come_back() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    before = signal.getsignal(signal.SIGTERM)
    with ended_by(lambda: False):
        signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_ctrl_c_is_no_signal_of_another_kind() -> None:
    with pytest.raises(KeyboardInterrupt) as caught, ended_by(lambda: True):
        raise KeyboardInterrupt
    assert not isinstance(caught.value, Terminated)

    def as_a_command_that_was_ended() -> None:
        signal.raise_signal(signal.SIGTERM)
        raise KeyboardInterrupt

    with pytest.raises(Terminated), ended_by(lambda: True):
        as_a_command_that_was_ended()
