"""The supervisor of a server, with small programs as the server: how they start, how they end, what they leave."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.processes import alive
from tritonrepo.diagnostics import Diagnostic, Stop
from tritonrepo.server import leftovers
from tritonrepo.server.leash import Leash

BOUND_S = 60
WAITS = "import time\nprint('up', flush=True)\ntime.sleep(600)\n"
ON_TERM = """import pathlib, signal, sys, time
def end(*_):
    pathlib.Path(sys.argv[1]).write_text("ended")
    sys.exit(3)
signal.signal(signal.SIGTERM, end)
"""


def soon(holds: Callable[[], object]) -> bool:
    deadline = time.monotonic() + BOUND_S
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


@pytest.fixture
def leash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Leash]:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    leash = Leash()
    yield leash
    leash.release()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def run(leash: Leash, log: Path, *argv: str, grace_s: float = BOUND_S, **env: str) -> int:
    return leash.start(argv, env, log=log, grace_s=grace_s)


def python(leash: Leash, log: Path, code: str, *argv: str, grace_s: float = BOUND_S) -> int:
    """Start a Python program, and wait until it has printed that it is up."""
    pid = run(leash, log, sys.executable, "-c", code, *argv, grace_s=grace_s)
    assert soon(lambda: log.exists() and "up\n" in log.read_text())
    return pid


def test_a_server_that_is_ready_is_asked_to_end_and_may_finish(leash: Leash, log: Path, tmp_path: Path) -> None:
    pid = python(leash, log, ON_TERM + WAITS, str(tmp_path / "said"))
    leash.ready()
    leash.release()
    assert (tmp_path / "said").read_text() == "ended"
    assert not alive(pid)


def test_a_server_that_is_not_ready_is_killed(leash: Leash, log: Path, tmp_path: Path) -> None:
    pid = python(leash, log, ON_TERM + WAITS, str(tmp_path / "said"))
    leash.release()
    assert not (tmp_path / "said").exists()
    assert not alive(pid)


def test_a_server_that_does_not_end_in_time_is_killed(leash: Leash, log: Path) -> None:
    ignores = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    pid = python(leash, log, ignores + WAITS, grace_s=0.1)
    leash.ready()
    leash.release()
    assert not alive(pid)


def test_a_second_signal_kills_a_server_that_takes_its_time(leash: Leash, log: Path, tmp_path: Path) -> None:
    said = tmp_path / "said"
    pid = python(leash, log, ON_TERM.replace("sys.exit(3)", "time.sleep(600)") + WAITS, str(said))
    leash.ready()
    os.kill(leash.session, signal.SIGTERM)
    assert soon(lambda: said.exists() and said.read_text())
    assert alive(pid)
    os.kill(leash.session, signal.SIGTERM)
    assert soon(lambda: not alive(pid))
    assert soon(lambda: not leash.home.exists())


@pytest.mark.parametrize(
    ("code", "expected"),
    [("raise SystemExit(7)", 7), ("pass", 0), ("import os; os.kill(os.getpid(), 15)", -15)],
    ids=["a code", "success", "a signal"],
)
def test_how_a_server_ended_is_known(leash: Leash, log: Path, code: str, expected: int) -> None:
    run(leash, log, sys.executable, "-c", code)
    assert soon(lambda: leash.exit_code() is not None)
    assert leash.exit_code() == expected


def test_a_running_server_has_no_exit_code(leash: Leash, log: Path) -> None:
    pid = python(leash, log, WAITS)
    assert (leash.exit_code(), alive(pid)) == (None, True)


def test_a_server_that_cannot_be_started_says_so_in_its_log(leash: Leash, log: Path, tmp_path: Path) -> None:
    run(leash, log, str(tmp_path / "nothing"))
    assert soon(lambda: leash.exit_code() is not None)
    assert leash.exit_code() == 127
    assert log.read_text() == (
        f"error: {tmp_path / 'nothing'} cannot be started: "
        f"[Errno 2] No such file or directory: '{tmp_path / 'nothing'}'\n"
    )


def test_a_server_has_only_its_own_environment_no_input_and_both_outputs_in_the_log(leash: Leash, log: Path) -> None:
    log.write_text("before\n")
    run(leash, log, "/bin/sh", "-c", "echo $OWN$HOME; echo twice >&2; cat", OWN="mine")
    assert soon(lambda: leash.exit_code() is not None)
    assert log.read_text() == "before\nmine\ntwice\n"


def test_a_server_ignores_no_signal_that_python_ignores(leash: Leash, log: Path) -> None:
    run(leash, log, "/bin/sh", "-c", "exec grep SigIgn /proc/self/status")
    assert soon(lambda: leash.exit_code() is not None)
    assert int(log.read_text().split()[1], 16) & (1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1) == 0


def test_what_a_dead_server_started_is_ended_too(leash: Leash, log: Path) -> None:
    code = "import subprocess; print(subprocess.Popen(['sleep', '600'], start_new_session=True).pid)"
    run(leash, log, sys.executable, "-c", code)
    assert soon(lambda: leash.exit_code() is not None)
    assert not alive(int(log.read_text()))


def test_its_directory_and_its_shared_memory_are_removed_and_no_other(leash: Leash, log: Path) -> None:
    python(leash, log, WAITS)
    home = leash.home
    (home / "inner").mkdir()
    own, other = Path("/dev/shm", f"{home.name}-region"), Path("/dev/shm", f"other-{home.name}")
    own.touch()
    other.touch()
    try:
        leash.release()
        assert [home.exists(), own.exists(), other.exists()] == [False, False, True]
    finally:
        other.unlink()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_the_keeper_ends_the_server(leash: Leash, log: Path, number: signal.Signals) -> None:
    pid = python(leash, log, WAITS)
    os.kill(leash.session, number)
    assert soon(lambda: not alive(pid))
    assert soon(lambda: not leash.home.exists())


def test_a_killed_keeper_takes_the_server_with_it(leash: Leash, log: Path) -> None:
    pid = python(leash, log, WAITS)
    os.kill(leash.session, signal.SIGKILL)
    assert soon(lambda: not alive(pid))
    assert soon(lambda: leash.exit_code() is not None)
    assert leash.exit_code() == -9
    with pytest.raises(Stop, match="the process that supervises the server has exited"):
        leash.ready()


WORKER = """import subprocess, sys
print(subprocess.Popen(["sleep", "600"], start_new_session=True).pid, flush=True)
"""


def killed_run(leash: Leash, log: Path) -> int:
    """Kill a keeper whose server started a process of its own session and has shared memory; return the process."""
    python(leash, log, WORKER + WAITS)
    Path("/dev/shm", f"{leash.home.name}-region").touch()
    os.kill(leash.session, signal.SIGKILL)
    return int(log.read_text().split()[0])


def test_what_a_killed_keeper_could_not_remove_is_removed_by_its_owner(leash: Leash, log: Path) -> None:
    worker = killed_run(leash, log)
    leash.release()
    assert not alive(worker)
    assert not leash.home.exists()
    assert not [*Path("/dev/shm").glob(f"{leash.home.name}*")]


def test_the_next_start_names_what_runs_and_removes_what_is_dead(leash: Leash, log: Path, tmp_path: Path) -> None:
    (tmp_path / "tritonrepo-empty_12").mkdir()
    (tmp_path / "tritonrepo-linked_1").symlink_to(leash.home)
    assert [*leftovers.sweep(tmp_path)] == []  # one is in use, one nobody describes, one is a link
    worker = killed_run(leash, log)
    assert soon(lambda: leftovers.processes(leash.home) == [worker])
    (said,) = leftovers.sweep(tmp_path)
    assert isinstance(said, Diagnostic)
    assert (said.rule, said.at.path) == ("server-leftover", str(leash.home))
    assert said.message.endswith(f"left processes: sleep ({worker})")
    assert said.hint.startswith(f"Run `kill -9 {worker}`.")
    assert leash.home.exists()
    os.kill(worker, signal.SIGKILL)
    assert soon(lambda: not leftovers.processes(leash.home))
    (line,) = leftovers.sweep(tmp_path)
    assert str(line).endswith(f" left: {leash.home} and its shared memory")
    assert not leash.home.exists()
    assert not [*Path("/dev/shm").glob(f"{leash.home.name}*")]


ODD_CLAIMS = {
    "nothing yet": b"",
    "half of it": b'{"keeper": 1, ',
    "another type": b"[]",
    "not a number": b'{"keeper": "x", "owner": 1, "about": "", "since": 0}',
    "no end": b'{"keeper": 1e999, "owner": 1, "about": "", "since": 0}',
    "depth": b"[" * 100_000,
    "no text": b"\xff\x00",
}


@pytest.mark.parametrize("claim", ODD_CLAIMS.values(), ids=ODD_CLAIMS)
def test_a_directory_that_no_keeper_describes_stays(tmp_path: Path, claim: bytes) -> None:
    home = tmp_path / "tritonrepo-abcdefgh"
    home.mkdir()
    (home / "keeper").write_bytes(claim)
    assert [*leftovers.sweep(tmp_path)] == []
    assert home.exists()


def test_a_keeper_that_outlives_its_owner_is_named(leash: Leash, log: Path, tmp_path: Path) -> None:
    python(leash, log, WAITS)
    claim = leash.home / "keeper"
    said = json.loads(claim.read_text().partition("\n")[0])
    assert (said["keeper"], said["owner"]) == (leash.session, os.getpid())
    claim.write_text(json.dumps(said | {"owner": 1, "about": "models\n"}) + "\nwhat a longer line left")
    (found,) = leftovers.sweep(tmp_path)
    assert isinstance(found, Diagnostic)
    assert f"is still being ended, or hangs: keeper.py ({leash.session}), python" in found.message
    assert "run of models\\n that began at 20" in str(found)


def test_releasing_twice_does_nothing_more(leash: Leash) -> None:
    leash.release()
    leash.release()
    assert not leash.home.exists()


def test_a_keeper_that_does_not_start_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nexit 4\n")
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(Stop) as stop:
        Leash()
    (said,) = stop.value.diagnostics
    message = "the process that supervises the server failed: it exited with code 4"
    assert (said.rule, said.severity, said.message) == ("server-keeper", "fatal", message)
    assert said.hint == "Start the server again."


def test_a_keeper_that_cannot_make_its_directory_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the name of a keeper, whose first message is the error."""
    program = tmp_path / "python"
    program.write_text('#!/bin/sh\necho \'{"error": "no space is left"}\'\n')
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(Stop) as stop:
        Leash()
    assert stop.value.diagnostics[0].message == "the process that supervises the server failed: no space is left"
    assert stop.value.diagnostics[0].hint == "Set TMPDIR to a writable directory."
