"""One push as a separate process, and what happens to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from benchmarks.soak.push_histories import HOLDING, KILLING, Fault, Job
from benchmarks.soak.push_wire import Wire

FAR = {"BEAT_S": 1.0, "SILENT_S": 6.0, "VALID_S": 3, "LOOK_S": 0.25}
NEAR = {"BEAT_S": 7.0, "SILENT_S": 40.0, "VALID_S": 20, "LOOK_S": 0.25}
"""The lock's times in this soak, short where another machine waits for them; in the order of the real ones."""

DRIVER = """
import sys
import tritonrepo.sync.lock as lock
for name, value in {times}.items():
    assert hasattr(lock, name) or name == "VALID_S", name
    setattr(lock, name, value)
from tritonrepo.cli import main
main()
"""
APART = ["unshare", *([] if os.geteuid() == 0 else ["--map-root-user"]), "--pid", "--fork", "--mount-proc"]


class Push:
    """A push: before, while and after it runs. Faults come one after the other."""

    def __init__(self, number: int, job: Job, wire: Wire, tell: Callable[[str], None]) -> None:
        self.number, self.job, self.wire, self._tell = number, job, wire, tell
        self.began = self.ended = self.struck = 0.0
        self.killed = self._lose = False
        self.active: Fault | None = None
        self.said = ""
        self._left = list(job.faults)
        self._since = self._delay = 0.0
        self._guard = threading.RLock()
        self._process: subprocess.Popen[bytes] | None = None
        wire.before, wire.after = self._before, self._after

    def start(self, folder: Path, times: Mapping[str, float], *arguments: str) -> None:
        apart = [*APART, "--kill-child"] if self.job.apart else []
        self._said = folder / f"said-{self.number}"
        with self._said.open("wb") as stream:
            self._process = subprocess.Popen(
                [
                    "setpriv",
                    "--pdeathsig",
                    "KILL",
                    *apart,
                    sys.executable,
                    "-c",
                    DRIVER.format(times=dict(times)),
                    "push",
                    *arguments,
                ],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )
        self.began = time.monotonic()
        kind = f"{'apart' if self.job.apart else 'here'}, {'watching' if self.job.watched else 'settling'}"
        self._tell(f"begins: revision {self.job.revision}, {kind}")

    @property
    def running(self) -> bool:
        return bool(self.began and not self.ended)

    @property
    def code(self) -> int | None:
        return self._process.returncode if self._process and not self.killed else None

    def tick(self, others: Sequence[Push]) -> None:
        """Check whether it ended, whether its current fault is over, and whether it is time for another one."""
        now = time.monotonic()
        if self.running and self._process and self._process.poll() is not None:
            self.ended = now
            self.said = self._said.read_text("utf-8", "replace")
            how = "killed" if self.killed else f"exit {self._process.returncode}"
            self._tell(f"ends: {how}; {' / '.join(self.said.strip().splitlines()[-2:])}")
        with self._guard:
            if self.active and self._is_over(self.active, others, now):
                self._over()
            first = next((fault for fault in self._left if fault.step == 0), None)
            if first and self.running and not self.active and now > self.began + first.after_s and self._pid():
                self._strike(first)

    def _is_over(self, fault: Fault, others: Sequence[Push], now: float) -> bool:
        seconds, push, step = fault.until
        if now > self._since + seconds:
            return True
        if push < 0 or push >= len(others):
            return False
        return bool(others[push].ended) or bool(step and others[push].wire.steps >= step)

    def _over(self) -> None:
        self._tell(f"over: {self.active.kind if self.active else ''}")
        self.active = None
        self.wire.open()
        self._signal(signal.SIGCONT)

    def _before(self, step: int) -> bool:
        with self._guard:
            fault = next((fault for fault in self._left if step != 0 and fault.step == step), None)
            if fault and not self.active and not fault.kind.endswith(("after", "answer")):
                self._strike(fault)
            lost = bool(fault and fault.kind == "kill before" and self.killed)
            wait_s, self._delay = self._delay, 0.0
        if wait_s:
            time.sleep(wait_s)
        return not lost

    def _after(self, step: int) -> bool:
        with self._guard:
            fault = next((fault for fault in self._left if step != 0 and fault.step == step), None)
            if fault and not self.active:
                self._strike(fault)
            lost, self._lose = self._lose, False
        return not lost

    def _strike(self, fault: Fault) -> None:
        self._left.remove(fault)
        self._since = self.struck = time.monotonic()
        self._tell(f"befalls: {fault.kind}" + (f", at write {fault.step}" if fault.step else ""))
        if fault.kind == "delay":
            self._delay = fault.until.seconds
        self._lose = self._lose or fault.kind == "lose answer"
        if fault.kind in HOLDING or fault.kind == "kill late":
            self.active = fault
            (self.wire.back if fault.kind == "cut off after" else self.wire.there).clear()
        if fault.kind in KILLING:
            self.kill()
        elif fault.kind.startswith("stop"):
            self._signal(signal.SIGSTOP)

    def kill(self) -> None:
        if self.running and self._process and self._process.poll() is None:
            self.killed = True
            self._signal(signal.SIGKILL)

    def _pid(self) -> int:
        """Return the id of the process itself; 0 if it does not exist yet or any longer."""
        if self._process is None or self._process.returncode is not None:
            return 0
        pid = self._process.pid
        if not self.job.apart:
            return pid
        with suppress(OSError, IndexError):
            return int(Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()[0])
        return 0

    def _signal(self, number: int) -> None:
        if pid := self._pid():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def close(self) -> None:
        """End it, whatever it is doing."""
        if self._process and self._process.poll() is None:
            self._signal(signal.SIGKILL)
            self._process.kill()
            self._process.wait()
        self.wire.close()
