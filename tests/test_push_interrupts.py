"""Ctrl-C and SIGTERM in a push: told at once, over soon even if nothing answers, the lock given back, and continued."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.memory import Memory
from tests.processes import unmeasured
from tests.proxy import Forward, Reply, Request, proxy
from tests.pushes import beside, hearing, push, repository
from tests.servers.s3 import CREDENTIALS, S3Server
from tritonrepo.stores.store import Write
from tritonrepo.sync import lock
from tritonrepo.sync.lock import Hold, held
from tritonrepo.sync.pace import Pace
from tritonrepo.sync.place import Place
from tritonrepo.sync.writing import Writer, each
from tritonrepo.tree import of_bytes

LONGEST_S = 60
"""A push that hangs would take longer: its requests time out after 60 s, and are repeated."""

ORDERLY_S = 20
"""How long it may take to end in order where nothing answers; 1.5 s, which users get, is little on a busy machine."""

PUSH = """
import sys
from tritonrepo.cli import interrupts, main
from tritonrepo.sync import lock
lock.ABANDON_S, interrupts.LIMIT_S = map(float, sys.argv[1:3])
sys.argv[1:] = ["push", *sys.argv[3:], "--settle", "0"]
main()
"""
STAYS = (
    "the store has not answered yet, so the lock stays: the next push waits 12 s on this machine, 60 s on another one"
)


@contextmanager
def interrupted(
    server: S3Server, made: Path, moment: str, signals: list[signal.Signals], *, mute: bool
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Yield the URI and the process of a push, which gets these signals when it sends a request that matches.

    If the store is mute, it answers neither this request nor a later one. A busy machine needs longer for what follows.
    """
    direct, begun, over = server.fresh(), threading.Event(), threading.Event()

    def tamper(request: Request, forward: Forward) -> Reply | None:
        if re.search(moment, f"{request.method} {request.path}") and not begun.is_set():
            begun.set()
            for number in signals:
                process.send_signal(number)
        if begun.is_set() and mute:
            over.wait()
            return None
        return forward(request)

    with proxy(server.endpoint, tamper) as endpoint:
        uri = direct.replace(server.endpoint, endpoint)
        limits = [lock.ABANDON_S, ORDERLY_S] if mute else [LONGEST_S, LONGEST_S]
        command = [sys.executable, "-c", PUSH, *map(str, limits), str(made), uri]
        environment, pipe = unmeasured() | CREDENTIALS, subprocess.PIPE
        with subprocess.Popen(command, text=True, env=environment, stdout=pipe, stderr=pipe) as process:
            try:
                yield direct, process
            finally:
                process.kill()
                over.set()


INT, TERM = signal.SIGINT, signal.SIGTERM
MUTE: dict[str, tuple[str, list[signal.Signals], str, str]] = {
    "a file": (r"PUT .*/leaf/1/part-3", [INT], "stopping in phase files after ", STAYS),
    "a config": (r"PUT .*/top/config.pbtxt.*", [TERM], "stopping in phase gate after 0 of 26 actions", STAYS),
    "twice": (r"PUT .*/leaf/1/part-3", [INT, TERM], "", ""),
}


@pytest.mark.parametrize(("moment", "signals", "message", "lock_"), MUTE.values(), ids=MUTE)
def test_nothing_hangs_on_a_store_that_does_not_answer(
    tmp_path: Path, s3_server: S3Server, moment: str, signals: list[signal.Signals], message: str, lock_: str
) -> None:
    with interrupted(s3_server, repository(tmp_path / "m", 1), moment, signals, mute=True) as (_, process):
        said = process.communicate(timeout=LONGEST_S)[1].splitlines()
    assert process.returncode in {128 + number for number in signals}  # of two at once, either may be the last
    assert said[-1] == "interrupted"
    assert not any("Traceback" in line for line in said)
    assert any(line.startswith(message) for line in said), said
    assert (lock_ in said) == bool(lock_)


def test_the_next_push_continues_at_once(
    tmp_path: Path, s3_server: S3Server, capsys: pytest.CaptureFixture[str]
) -> None:
    made = repository(tmp_path / "m", 1)
    with interrupted(s3_server, made, r"PUT .*/leaf/1/part-3", [INT], mute=False) as (uri, process):
        said = process.communicate(timeout=LONGEST_S)[1].splitlines()
    assert process.returncode == 130
    assert [line for line in said if line.startswith("stopping")]
    assert not [name for name in beside(uri) if name.startswith("lock")]
    assert push(made, uri) == 0
    assert "waiting" not in capsys.readouterr().err


STUCK = """\
import os, signal, sys, threading
from tritonrepo.cli.interrupts import interruptible
with interruptible():
    try:
        os.kill(os.getpid(), int(sys.argv[1]))
    finally:
        threading.Event().wait()
"""


UNSEEN = """\
import os, signal, sys, threading
from click.exceptions import Exit
from tritonrepo.cli.interrupts import interruptible
try:
    with interruptible():
        threading.Thread(target=threading.Event().wait, daemon=True).start()
        signal.pthread_sigmask(signal.SIG_BLOCK, [int(sys.argv[1])])
        os.kill(os.getpid(), int(sys.argv[1]))
        threading.Event().wait()
except Exit as seen:  # on a busy machine, the other thread may get the signal before this one waits
    sys.exit(seen.exit_code)
"""


@pytest.mark.parametrize("script", [STUCK, UNSEEN], ids=["it hangs", "the main thread does not notice the signal"])
def test_what_does_not_end_is_ended(script: str) -> None:
    """Such as a name server that does not answer, for which Python waits in vain."""
    command = [sys.executable, "-c", script, str(int(TERM))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LONGEST_S, env=unmeasured())
    assert (done.returncode, done.stderr) == (143, "interrupted\n")


SERVING = """\
import signal, sys, time
from tritonrepo.cli import interrupts, main, root
interrupts.SERVER_LIMIT_S = interrupts.KILL_S = float(sys.argv.pop(1))
@root.command("wait")
def wait():
    with interrupts.stoppable():
        try:
            print("begun", flush=True)
            time.sleep(600)
        finally:
            print("ending", flush=True)
            time.sleep(600)
root.get_command = lambda ctx, name: wait
root.resolve_command = lambda ctx, args: ("wait", wait, args[1:])
main()
"""
HUP = signal.SIGHUP
ENDS = {
    "Ctrl-C twice": (LONGEST_S, [INT, INT], 130),
    "a closed terminal, then Ctrl-C": (LONGEST_S, [HUP, INT], 130),
    "Ctrl-C once": (0.1, [INT], 130),
    "SIGTERM once": (0.1, [TERM], 143),
}


@pytest.mark.parametrize(("limit_s", "signals", "code"), ENDS.values(), ids=ENDS)
def test_a_command_that_runs_a_server_answers_at_once_and_ends(
    limit_s: float, signals: list[signal.Signals], code: int
) -> None:
    """The second signal reaches what is being ended; if even that hangs, the process is ended."""
    command, pipe = [sys.executable, "-c", SERVING, str(limit_s), "wait"], subprocess.PIPE
    with subprocess.Popen(command, text=True, env=unmeasured(), stdout=pipe, stderr=pipe) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signals[0])
        assert process.stderr.readline() == "stopping; press Ctrl-C again to stop at once\n"
        assert process.stdout.readline() == "ending\n"
        for number in signals[1:]:
            process.send_signal(number)
        assert process.communicate(timeout=LONGEST_S)[1] == "interrupted\n"
    assert process.returncode == code


@pytest.mark.parametrize(("number", "said"), [(TERM, "ending\nended\n"), (INT, "ending\n")], ids=["SIGTERM", "Ctrl-C"])
def test_the_same_signal_soon_after_the_first_is_the_first(number: signal.Signals, said: str) -> None:
    """`timeout` sends it to the command, and to the process group. A user who presses Ctrl-C twice means it."""
    script = SERVING.replace("time.sleep(600)\nroot", "time.sleep(1); print('ended', flush=True)\nroot")
    script = script.replace("main()\n", "interrupts.TWICE_S = 3600\nmain()\n")
    command, pipe = [sys.executable, "-c", script, str(LONGEST_S), "wait"], subprocess.PIPE
    with subprocess.Popen(command, text=True, env=unmeasured(), stdout=pipe, stderr=pipe) as process:
        assert process.stdout
        assert process.stdout.readline() == "begun\n"
        process.send_signal(number)
        shown = process.stdout.readline()
        process.send_signal(number)
        assert shown + process.communicate(timeout=LONGEST_S)[0] == said
    assert process.returncode == 128 + number


def test_a_signal_that_is_to_be_ignored_stays_ignored() -> None:
    """As nohup asks for: the command outlives its terminal."""
    script = SERVING.replace("main()", "signal.signal(signal.SIGHUP, signal.SIG_IGN)\nmain()")
    command, pipe = [sys.executable, "-c", script, "0.1", "wait"], subprocess.PIPE
    with subprocess.Popen(command, text=True, env=unmeasured(), stdout=pipe, stderr=pipe) as process:
        assert process.stdout
        process.stdout.readline()
        for number in (HUP, TERM):
            process.send_signal(number)
        process.communicate(timeout=LONGEST_S)
    assert process.returncode == 143


AT_ONCE = Pace(0, lambda: 0, lambda _: None)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "ABANDON_S", 0)


def held_up(store: Memory, then: Callable[[Hold], None], told: list[str]) -> Hold:
    """Interrupt the holder of a lock after `then`."""
    holds = list[Hold]()

    def hold() -> None:
        with held(Place(store, "r", "u"), {"by": "me"}, AT_ONCE, hearing(told)) as mine:
            holds.append(mine)
            then(mine)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hold()
    return holds[0]


def test_the_lock_is_given_back_once_what_was_sent_has_arrived(patient: None) -> None:  # noqa: ARG001  a fixture
    store, told, arrived, sent = Memory(), list[str](), threading.Event(), threading.Event()

    def wait(write: Write) -> None:
        if "lock" not in write.path:
            sent.set()
            arrived.wait()

    store.then = wait

    def send(hold: Hold) -> None:
        writer = Writer(Place(store, "r", "u"), hold)
        threading.Thread(target=writer.add, args=("r/m/1/a", of_bytes(b"a"))).start()
        sent.wait()

    held_up(store, send, told)
    assert told == [STAYS]
    assert "r.tritonrepo/lock.json" in store.objects
    removed = threading.Event()
    store.then = lambda write: removed.set() if write.file is None else None
    arrived.set()
    assert removed.wait(LONGEST_S)


def test_nothing_is_sent_after_the_lock_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "ABANDON_S", LONGEST_S)
    store, told = Memory(), list[str]()
    hold = held_up(store, lambda _: None, told)
    assert told == []
    assert store.objects == {}
    writer = Writer(Place(store, "r", "u"), hold)
    with pytest.raises(KeyboardInterrupt):
        writer.add("r/m/1/a", of_bytes(b"a"))
    with pytest.raises(KeyboardInterrupt), hold.sending():
        pass
    assert store.objects == {}


def test_what_has_begun_is_not_waited_for_after_ctrl_c() -> None:
    over, begun = threading.Event(), list[int]()

    def do(number: int) -> None:
        begun.append(number)
        if number == 0:
            os.kill(os.getpid(), signal.SIGINT)
        over.wait()

    with pytest.raises(KeyboardInterrupt):
        each(do, range(1000), 2)
    assert len(begun) <= 2
    over.set()


def test_what_has_begun_is_waited_for_after_a_fault() -> None:
    done = list[int]()
    both = threading.Barrier(2)

    def do(number: int) -> None:
        both.wait()
        if number == 0:
            raise ValueError("full")
        ThreadPoolExecutor(1).submit(done.append, number).result()

    with pytest.raises(ValueError, match="full"):
        each(do, range(2), 2)
    assert done == [1]
