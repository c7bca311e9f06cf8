"""What `tritonrepo bench` does when it is ended at an awkward moment."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.jumping import Scripted, constant, jumped
from tests.openai_endpoint import Endpoint, endpoint
from tritonrepo.bench.clients import client
from tritonrepo.bench.ending import Ending, apart
from tritonrepo.bench.load import Load, Prompt
from tritonrepo.bench.running import Ran, run
from tritonrepo.bench.watching import Observer
from tritonrepo.cli import ENDING, Terminated, interrupts
from tritonrepo.cli import run as command
from tritonrepo.cli.files import write

QUICK = ("--metrics", "none", "--max-tokens", "4", "--input-tokens", "8", "--warmup", "0", "--timeout", "10")


@pytest.fixture
def here() -> Iterator[Endpoint]:
    """An endpoint that repeats what it hears."""
    with endpoint() as found:
        yield found


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """What handles signals stays as it is after a command that one has ended."""
    before = {number: signal.getsignal(number) for number in ENDING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def terminate() -> None:
    """Send SIGTERM to this process, which handles it before this returns."""
    os.kill(os.getpid(), signal.SIGTERM)


def first(call: Callable[..., Any], at: int = 1) -> Callable[..., Any]:
    """Return a function that is ended by SIGTERM when it is called for the first time, or for another one."""
    calls: list[object] = []

    def called(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401  those of any function
        calls.append(arguments)
        if len(calls) == at:
            terminate()
        return call(*arguments, **named)

    return called


def test_a_signal_while_a_result_is_made_keeps_it_and_ends_the_command(
    here: Endpoint, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Observer, "end", first(Observer.end))
    code = command(["bench", here.url, here.url, "--requests", "4", "--format", "json", *QUICK])
    (found,) = json.loads(capsys.readouterr().out)["results"]
    assert (code, found["ended_early"], found["figures"]["succeeded"]) == (143, "", 4)


def test_a_signal_while_the_result_of_a_step_is_made_ends_a_sweep(
    here: Endpoint, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Observer, "end", first(Observer.end, 2))
    arguments = ["bench", "sweep", here.url, "--concurrency", "1,2,4", "--whole", "--requests", "4"]
    code = command([*arguments, "--format", "json", *QUICK])
    found = json.loads(capsys.readouterr().out)["results"]
    assert (code, [each["load"]["concurrency"] for each in found]) == (143, [1, 2])


def test_a_signal_while_files_are_written_lets_them_be_written(
    here: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tritonrepo.cli.bench_writing.write", first(write))
    files = [tmp_path / "now.json", tmp_path / "now.jsonl"]
    options = ["--output", str(files[0]), "--records", str(files[1]), "--requests", "4"]
    assert command(["bench", here.url, *options, *QUICK]) == 143
    assert len(json.loads(files[0].read_text())["results"]) == 1
    assert len(files[1].read_text().splitlines()) == 4


def test_a_second_signal_ends_what_writes_files(
    here: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interrupts, "TWICE_S", 0.0)
    monkeypatch.setattr("tritonrepo.cli.bench_writing.write", first(first(write)))
    assert command(["bench", here.url, "--output", str(tmp_path / "now.json"), "--requests", "4", *QUICK]) == 143
    assert not list(tmp_path.iterdir())


def test_a_signal_between_two_loads_gives_those_before_it(
    here: Endpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tritonrepo.flows.bench.client", first(client, 2))
    file = tmp_path / "now.json"
    options = ["--requests", "4", "--format", "json", "--output", str(file), *QUICK]
    code = command(["bench", here.url, here.url, *options])
    said = capsys.readouterr()
    assert code == 143
    for text in (said.out, file.read_text()):
        (found,) = json.loads(text)["results"]
        assert found["figures"]["succeeded"] == 4
    assert "the run was interrupted; the results are those of 1 load before it" in said.err


def test_a_signal_that_is_sent_twice_at_once_is_one(
    here: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interrupts, "TWICE_S", 60.0)
    monkeypatch.setattr("tritonrepo.cli.bench_writing.write", first(first(write)))
    file = tmp_path / "now.json"
    assert command(["bench", here.url, "--output", str(file), "--requests", "4", *QUICK]) == 143
    assert file.exists()


@pytest.mark.parametrize(
    "target", ["http://{}/v2/models/m/generate_stream", "grpc://{}/m", "https://{}/v1#m"], ids=["HTTP", "gRPC", "TLS"]
)
def test_a_signal_while_the_server_does_not_answer_ends_the_command_at_once(
    target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as mute:
        held = []

        def accept() -> None:
            held.append(mute.accept()[0])
            held[0].recv(1)  # it is asked
            terminate()

        threading.Thread(target=accept, daemon=True).start()
        code = command(["bench", target.format(f"127.0.0.1:{mute.getsockname()[1]}"), *QUICK])
        held[0].close()
    said = capsys.readouterr()
    assert code == 143
    assert "the run was interrupted before anything was measured, so nothing is written" in said.err
    assert "Traceback" not in said.err


class Slow(Scripted):
    """A client that takes an hour to connect, or to end."""

    began_s = ended_s = 0.0

    async def __aenter__(self) -> Slow:
        await asyncio.sleep(self.began_s)
        await super().__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.sleep(self.ended_s)


@pytest.mark.parametrize(("began_s", "ended_s", "answers"), [(3600, 0, 0), (0, 3600, 3)], ids=["start", "end"])
def test_a_run_that_is_cancelled_while_its_client_connects_or_ends(
    began_s: float, ended_s: float, answers: int
) -> None:
    """A run of which everything was answered is whole."""

    async def work(clock: Callable[[], float]) -> Ran:
        client = Slow(clock, constant(1.0))
        client.began_s, client.ended_s = began_s, ended_s
        asked = run(Load(requests=3), lambda number: Prompt(str(number)), client, lambda _: None, clock)
        task = asyncio.create_task(asked)
        await asyncio.sleep(60)
        task.cancel()
        return await task

    found = jumped(work)
    assert (len(found.records), found.interrupted) == (answers, answers == 0)


def test_what_was_ended_before_it_began_does_not_run() -> None:
    async def work() -> None:
        done.append(await asyncio.sleep(0, "done"))

    done: list[str] = []
    ending = Ending()
    assert not ending.end()
    with ending.held():
        assert ending.end()
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(ending.during(work()))
    assert not done


def test_what_waits_in_a_thread_gives_its_value_or_its_error() -> None:
    def fails() -> None:
        raise ValueError("no")

    assert asyncio.run(apart(lambda: 3)) == 3
    with pytest.raises(ValueError, match="no"):
        asyncio.run(apart(fails))


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

    with pytest.raises(Terminated) as caught, interrupts.ended_by(end):
        twice()
    assert caught.value.number == signal.SIGHUP
    assert ended == [True]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN


def test_a_signal_ends_the_block_if_nothing_runs() -> None:
    with pytest.raises(Terminated) as caught, interrupts.ended_by(lambda: False):
        signal.raise_signal(signal.SIGTERM)
    assert caught.value.number == signal.SIGTERM


def test_what_is_told_to_be_ignored_stays_ignored_and_other_handlers_come_back() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    before = signal.getsignal(signal.SIGTERM)
    with interrupts.ended_by(lambda: False):
        signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_ctrl_c_is_no_signal_of_another_kind() -> None:
    with pytest.raises(KeyboardInterrupt) as caught, interrupts.ended_by(lambda: True):
        raise KeyboardInterrupt
    assert not isinstance(caught.value, Terminated)

    def as_a_command_that_was_ended() -> None:
        signal.raise_signal(signal.SIGTERM)
        raise KeyboardInterrupt

    with pytest.raises(Terminated), interrupts.ended_by(lambda: True):
        as_a_command_that_was_ended()
