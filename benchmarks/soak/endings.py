"""End `serve` and `up` in every way there is, and see that nothing is left: no process, no shared memory, no file.

    python -m benchmarks.soak.endings [--rounds 1] [--only WORD]

Each way is a real server with an idle model, one that streams for a minute and one that answers after a minute. It is
ended in that way, at rest or under load, and afterwards nothing may be there of what it started: processes are known by
a mark in their environment, shared memory by the name of the server's directory, files by a TMPDIR of its own, in which
only a log that a message names may stay. A way has an exit code and, if an end is asked for, five seconds.

Prints a line for each way, then the counts; exit status 1 if anything is not so.

The 18 ways, in 2 minutes on two cores that others used as well: nothing was left.
"""

from __future__ import annotations

import argparse
import os
import pty
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from tests.conftest import EXAMPLE
from tests.processes import MARK, alive, left, marked
from tests.test_server import CODE, STREAMS, model
from tritonrepo.server.keeper import CLAIM

LIMIT_S = 5.0
BOUND_S = 60.0
BUSY_S = 1.5
PORTS = ("--http-port", "0", "--grpc-port", "0", "--metrics-port", "0")
SLOW = CODE.replace("    def execute(self, requests):", "    def execute(self, requests):\n        time.sleep(60)")
TALKS = STREAMS.replace("while gate and not Path(gate).exists():", "for _ in range(6000):")


class Run:
    """A command under way, with a directory for its temporary files."""

    def __init__(self, place: Path, *arguments: str, command: Sequence[str] = (), limits: bool = False) -> None:
        self.temporary = place / "tmp"
        self.temporary.mkdir(exist_ok=True)
        self.mark = uuid.uuid4().hex
        self.homes: set[str] = set()
        self.load: list[subprocess.Popen[bytes]] = []
        own = {MARK: self.mark, "TMPDIR": str(self.temporary), "PYTHONDONTWRITEBYTECODE": "1"}
        self.said = (place / "err").open("w+b")
        self.process = subprocess.Popen(
            [*command, sys.executable, "-m", "tritonrepo", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self.said,
            env=os.environ | own,
            cwd=place,
            preexec_fn=_small_files if limits else _heeding,  # noqa: PLW1509  no thread runs yet
        )

    def up(self) -> str:
        """Return the HTTP URL once it is printed."""
        assert self.process.stdout
        line = self.process.stdout.readline().decode().split()
        self.seen()
        return line[1] if len(line) > 1 else ""

    def seen(self) -> None:
        """Remember the servers' directories, by which their shared memory is known."""
        self.homes |= {path.name for path in self.temporary.glob("tritonrepo-*") if path.is_dir()}

    def loaded(self, url: str) -> None:
        """Put the server under load: three streams and two requests that take a minute."""
        asked = [("stream", "generate_stream", "x")] * 3 + [("slow", "generate", "x")] * 2
        for name, how, text in asked:
            command = ["curl", "-sN", f"{url}/v2/models/{name}/{how}", "-d", f'{{"IN": "{text}"}}']
            self.load.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
        time.sleep(1)

    def pid(self, part: str) -> int:
        """Return a process of the run by a part of its command."""
        for pid in marked(self.mark):
            with suppress(OSError):
                if part in Path(f"/proc/{pid}/cmdline").read_text("utf-8", "replace").replace("\0", " "):
                    return pid
        raise AssertionError(f"no process of this run has {part} in its command")

    def ended(self) -> int:
        self.seen()
        code = self.process.wait(BOUND_S)
        for one in self.load:
            one.kill()
            one.wait()
        return code

    def remains(self) -> list[str]:
        """Return what is left of it once its processes have had time to end; `.ses` is ONNX Runtime's own."""
        processes = left(self.mark)
        regions = [str(path) for home in self.homes for path in Path("/dev/shm").glob(f"{home}-*")]
        files = [str(path) for path in self.temporary.iterdir() if path.suffix != ".log" and path.name != ".ses"]
        return [*processes, *regions, *files]

    def close(self) -> None:
        for pid in marked(self.mark):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.said.close()


def _heeding() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _small_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))


def models(place: Path) -> str:
    where = place / "models"
    model(where, "echo")
    model(where, "slow", code=SLOW)
    model(where, "stream", code=TALKS, config="model_transaction_policy { decoupled: true }\n")
    return str(where)


def by_signals(*numbers: signal.Signals, load: bool = False) -> Callable[[Path], tuple[Run, float]]:
    def way(place: Path) -> tuple[Run, float]:
        run = Run(place, "serve", models(place), *PORTS)
        url = run.up()
        if load:
            run.loaded(url)
        began = time.monotonic()
        for number in numbers:
            run.process.send_signal(number)
            time.sleep(0.2)
        run.ended()
        return run, time.monotonic() - began

    return way


def by_kill(*parts: str, then: signal.Signals | None = None) -> Callable[[Path], tuple[Run, float]]:
    def way(place: Path) -> tuple[Run, float]:
        run = Run(place, "serve", models(place), *PORTS)
        run.loaded(run.up())
        pids = [run.pid(part) if part else run.process.pid for part in parts]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        if then:
            time.sleep(1)
            run.process.send_signal(then)
        run.ended()
        return run, 0

    return way


def killed_with_its_keeper(place: Path) -> tuple[Run, float]:
    """The next start removes what is left."""
    run, _ = by_kill("keeper.py", "")(place)
    assert left(run.mark) == []
    assert list(run.temporary.glob(f"*/{CLAIM}")), "nothing was left for the next start"
    again = Run(place, "serve", str(place / "models"), *PORTS)
    again.up()
    again.process.send_signal(signal.SIGINT)
    again.ended()
    again.said.seek(0)
    assert b"removed what a killed run of" in again.said.read()
    assert again.remains() == []
    again.close()
    return run, 0


def closed_terminal(place: Path) -> tuple[Run, float]:
    return _in_terminal(place, lambda _, master: os.close(master))


def killed_shell(place: Path) -> tuple[Run, float]:
    return _in_terminal(place, lambda leader, _: os.kill(leader, signal.SIGKILL))


def _in_terminal(place: Path, end: Callable[[int, int], None]) -> tuple[Run, float]:
    """Run a shell in a terminal, which runs `serve`; the end is that of the terminal or of the shell."""
    where, run = models(place), Run(place, "--version")
    run.ended()
    leader, master = pty.fork()
    if not leader:
        os.environ |= {MARK: run.mark, "TMPDIR": str(run.temporary)}
        line = f"{sys.executable} -m tritonrepo serve {where} {' '.join(PORTS)} > {place}/out; true"
        os.execv("/bin/bash", ["/bin/bash", "-c", line])
    out = place / "out"
    deadline = time.monotonic() + BOUND_S
    while not (out.exists() and "metrics" in out.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    run.seen()
    began = time.monotonic()
    end(leader, master)
    while marked(run.mark) and time.monotonic() < deadline:
        time.sleep(0.02)
    took = time.monotonic() - began
    with suppress(OSError):
        os.close(master)
    with suppress(ProcessLookupError):
        os.kill(leader, signal.SIGKILL)
    os.waitpid(leader, 0)
    return run, took


def closed_stdout(place: Path) -> tuple[Run, float]:
    run = Run(place, "serve", models(place), *PORTS)
    run.up()
    assert run.process.stdout
    run.process.stdout.close()  # as `| head -1` does
    time.sleep(0.5)
    assert alive(run.process.pid)
    began = time.monotonic()
    run.process.send_signal(signal.SIGTERM)
    run.ended()
    return run, time.monotonic() - began


def while_loading(place: Path) -> tuple[Run, float]:
    marker = place / "marker"
    model(place / "models", "late", f"Path({str(marker)!r}).touch(); time.sleep(60)")
    run = Run(place, "serve", str(place / "models"), *PORTS)
    while not marker.exists():
        time.sleep(0.02)
    run.seen()
    began = time.monotonic()
    run.process.send_signal(signal.SIGINT)
    run.ended()
    return run, time.monotonic() - began


def while_indexing(place: Path) -> tuple[Run, float]:
    stack = place / "stack"
    shutil.copytree(EXAMPLE, stack)
    shutil.rmtree(stack / "index")
    run = Run(place, "up", str(stack), "-o", "out", *PORTS, "--llm-engine", "script")
    while not _busy(run.process.pid):
        time.sleep(0.05)
    began = time.monotonic()
    run.process.send_signal(signal.SIGTERM)
    run.ended()
    return run, time.monotonic() - began


def _busy(pid: int) -> bool:
    """Return whether a process has used so much of its processor that it embeds passages."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") > BUSY_S


def full_disk(place: Path) -> tuple[Run, float]:
    run = Run(place, "serve", models(place), *PORTS, limits=True)
    run.ended()
    return run, 0


def refused_model(place: Path) -> tuple[Run, float]:
    model(place / "models", "raises", 'raise ValueError("no weights")')
    run = Run(place, "serve", str(place / "models"), *PORTS)
    run.ended()
    return run, 0


def asleep(place: Path) -> tuple[Run, float]:
    run = Run(place, "serve", models(place), *PORTS)
    run.loaded(run.up())
    for number in (signal.SIGSTOP, signal.SIGCONT):
        for pid in marked(run.mark):
            os.kill(pid, number)
        time.sleep(3)
    began = time.monotonic()
    run.process.send_signal(signal.SIGINT)
    run.ended()
    return run, time.monotonic() - began


class Way(NamedTuple):
    """A way to end, and the exit codes that it may have; None where the process is not ours to wait for."""

    end: Callable[[Path], tuple[Run, float]]
    codes: frozenset[int] | None


INT, TERM, HUP = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
WAYS: Mapping[str, Way] = {
    "Ctrl-C": Way(by_signals(INT), frozenset({130})),
    "Ctrl-C under load": Way(by_signals(INT, load=True), frozenset({130})),
    "Ctrl-C twice under load": Way(by_signals(INT, INT, load=True), frozenset({130})),
    "SIGTERM under load": Way(by_signals(TERM, load=True), frozenset({143})),
    "SIGHUP": Way(by_signals(HUP), frozenset({129})),
    "a closed terminal": Way(closed_terminal, None),
    "a killed shell": Way(killed_shell, None),
    "SIGKILL": Way(by_kill(""), frozenset({-9})),
    "SIGKILL of the server": Way(by_kill("tritonserver --"), frozenset({1})),
    "SIGKILL of a stub, then Ctrl-C": Way(by_kill("/echo/", then=INT), frozenset({130})),
    "SIGKILL of the keeper": Way(by_kill("keeper.py"), frozenset({1})),
    "SIGKILL with the keeper, then a start": Way(killed_with_its_keeper, frozenset({-9})),
    "a closed stdout, then SIGTERM": Way(closed_stdout, frozenset({143})),
    "Ctrl-C while a model loads": Way(while_loading, frozenset({130})),
    "SIGTERM while an index is built": Way(while_indexing, frozenset({143})),
    "a disk that takes no more": Way(full_disk, frozenset({1, 2})),
    "a model that does not load": Way(refused_model, frozenset({1})),
    "sleep, then Ctrl-C": Way(asleep, frozenset({130})),
}


def faults(way: Way, place: Path) -> tuple[list[str], float]:
    """Return what one end leaves wrong, and how long it took."""
    run, took = way.end(place)
    try:
        found = [f"{each} is left" for each in run.remains()]
        if way.codes is not None and run.process.returncode not in way.codes:
            found.append(f"the exit code is {run.process.returncode}")
        if took > LIMIT_S:
            found.append(f"it took {took:.1f} s")
        run.said.seek(0)
        if b"Traceback" in run.said.read():
            found.append("a traceback is printed")
        return found, took
    finally:
        run.close()


def main() -> int:
    """End, look, and print what is not as it must be."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    done = wrong = 0
    for _ in range(options.rounds):
        for name, way in WAYS.items():
            if options.only not in name:
                continue
            with tempfile.TemporaryDirectory(prefix="endings-") as folder:
                found, took = faults(way, Path(folder))
            done, wrong = done + 1, wrong + bool(found)
            time_ = f" in {took:.1f} s" if took else ""
            print(f"{name}{time_}: {'; '.join(found) or 'nothing is left'}", flush=True)
    print(f"{done} ends, {wrong} wrong")
    return int(wrong > 0)


if __name__ == "__main__":
    raise SystemExit(main())
