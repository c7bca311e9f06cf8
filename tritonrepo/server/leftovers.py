"""What runs that were killed together with their keeper left: directories, shared memory, processes.

A keeper holds a lock on a file in its directory as long as it lives, which ends however it ends. So a directory whose
lock can be taken belongs to nobody, and the processes that have it in their environment are what its server started.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from tritonrepo.diagnostics import Diagnostic, Severity, Span
from tritonrepo.server.keeper import CLAIM, MARK, SHARED_MEMORY

HOME = re.compile(r"tritonrepo-[a-z0-9_]{8}")
KILLED_S = 5


class Run(NamedTuple):
    """A run as its keeper describes it: the keeper, the process that started it, what is served, since when."""

    keeper: int
    owner: int
    about: str
    since: float

    @property
    def name(self) -> str:
        """What the user knows it by."""
        began = time.strftime("%Y-%m-%d %H:%M", time.localtime(self.since))
        return f"run of {self.about} that began at {began}" if self.about else f"run that began at {began}"


def sweep(place: Path) -> Iterator[Diagnostic | str]:
    """Remove what dead runs left in a directory of temporary files, and in shared memory.

    Yield a line for each; for one whose processes still run, and for one whose keeper hangs, a warning with the command
    that ends them.
    """
    for home in sorted(path for path in place.glob("tritonrepo-*") if HOME.fullmatch(path.name)):
        with suppress(OSError):  # another start removes it at the same time
            if (lock := _opened(home)) is not None:
                try:
                    yield from _swept(home, lock)
                finally:
                    os.close(lock)


def dead(place: Path) -> Iterator[tuple[Path, list[int]]]:
    """Yield the directories of dead runs, each with the processes that it left; nothing is removed."""
    for home in sorted(path for path in place.glob("tritonrepo-*") if HOME.fullmatch(path.name)):
        with suppress(OSError):
            if (lock := _opened(home)) is not None:
                try:
                    if _run(os.pread(lock, 1 << 16, 0)) is not None and _taken(lock):
                        yield home, processes(home)
                finally:
                    os.close(lock)


def remove(home: Path) -> None:
    """Kill what a dead keeper's server left, and remove its directory and its shared memory."""
    deadline = time.monotonic() + KILLED_S
    while (family := processes(home)) and time.monotonic() < deadline:
        for pid in family:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
    _cleared(home)


def processes(home: Path) -> list[int]:
    """Return the living processes that a keeper's server started."""
    wanted = f"{MARK}={home}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return sorted(found)


def _opened(home: Path) -> int | None:
    """Return the keeper's file of a directory, None if it is not one of this user's."""
    if home.is_symlink() or home.stat().st_uid != os.getuid():
        return None
    return os.open(home / CLAIM, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)


def _swept(home: Path, lock: int) -> Iterator[Diagnostic | str]:
    run = _run(os.pread(lock, 1 << 16, 0))
    if run is None:
        return
    if not _taken(lock):
        if _parent(run.keeper) not in {run.owner, 0}:
            yield _warning(home, run, [run.keeper, *processes(home)], "is still being ended, or hangs")
        return
    if left := processes(home):
        yield _warning(home, run, left, "left processes")
        return
    regions = _cleared(home)
    also = f" and {regions} regions of shared memory" if regions > 1 else " and its shared memory" if regions else ""
    yield f"removed what a killed {run.name} left: {home}{also}"


def _warning(home: Path, run: Run, pids: list[int], state: str) -> Diagnostic:
    named = ", ".join(f"{_command(pid)} ({pid})" for pid in pids)
    hint = f"Run `kill -9 {' '.join(map(str, pids))}`. The next start then removes the directory."
    return Diagnostic(
        "server-leftover", Severity.WARNING, Span(str(home)), f"a killed {run.name} {state}: {named}", hint
    )


def _run(content: bytes) -> Run | None:
    """Return what a keeper wrote about itself, None if it has not yet done so."""
    try:
        said: Any = json.loads(content.partition(b"\n")[0])
        return Run(int(said["keeper"]), int(said["owner"]), str(said["about"]), float(said["since"]))
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
        return None


def _taken(lock: int) -> bool:
    import fcntl  # not on Windows, where no server runs

    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _cleared(home: Path) -> int:
    """Remove a directory, its keeper's file last, and its shared memory; return the number of regions."""
    regions = [*SHARED_MEMORY.glob(f"{home.name}-*")]
    for region in regions:
        with suppress(OSError):
            region.unlink()
    with suppress(OSError):
        for path in home.iterdir():
            if path.name != CLAIM:
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()
    shutil.rmtree(home, ignore_errors=True)
    return len(regions)


def _parent(pid: int) -> int:
    """Return the parent of a process; 0 if it does not run."""
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
    return 0


def _command(pid: int) -> str:
    """Return the name of a process's program."""
    with suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        script = next((word for word in words[1:] if word.endswith(b".py")), words[0])
        return os.fsdecode(script).rpartition("/")[2]
    return "process"
