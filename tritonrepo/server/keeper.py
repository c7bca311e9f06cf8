"""The supervisor of one server: starts it, and ends it with all it leaves behind when its own standard input closes.

A script, run as `python -I -S keeper.py` in a separate session by `leash.Leash`. That pipe closes however its owner
ends, even by kill -9, so that no cleanup depends on a process that may be dead. The keeper owns the temporary
directory, adopts every orphan (the stubs of a server that died, an engine's workers, also those with separate
sessions) and removes the stubs' shared memory.

It communicates in JSON lines: sends {"home": directory}; receives one order {"argv", "env", "log", "grace_s", "about"};
sends {"pid": server}; receives "ready", after which it ends the server in order: SIGTERM first, and a second signal to
this process kills it. A file `exited` in home holds the exit code.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import shutil
import signal
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

LEASH = 0
CALLS_OFF = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  where the stubs' regions are, not a place of ours
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
KILLED_S, TRACKERS_S = 10, 1

CLAIM = "keeper"
"""File in home that is locked as long as this process lives, and describes it; see `leftovers`."""

MARK = "TRITONREPO_SERVER_HOME"
"""Environment variable by which everything that the server starts is known."""


def main() -> None:
    """Supervise one server to its end."""
    wake = listen()
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        home = Path(tempfile.mkdtemp(prefix="tritonrepo-"))
    except OSError as error:
        say({"error": f"cannot create a temporary directory: {error}"})
        return
    try:
        keep(home, wake, claim(home))
    except BrokenPipeError:
        pass  # its owner is gone, which is the same as a closed leash
    except OSError as error:  # such as a full disk
        with suppress(BrokenPipeError):
            say({"error": str(error)})
    finally:
        end_all()
        for region in regions(home):
            region.unlink(missing_ok=True)
        shutil.rmtree(home, ignore_errors=True)


def regions(home: Path) -> list[Path]:
    """Return the server's shared memory, by the prefix that it was given or by the pattern in the file `regions`."""
    patterns = [home.name + "-*"]
    with suppress(OSError):
        patterns.append((home / "regions").read_text(encoding="ascii"))
    return [region for pattern in patterns for region in SHARED_MEMORY.glob(pattern)]


def claim(home: Path) -> int:
    """Return the locked file that says that this directory is in use; the lock ends with this process."""
    import fcntl  # not on Windows, where no server runs

    lock = os.open(home / CLAIM, os.O_RDWR | os.O_CREAT, 0o600)
    with suppress(OSError):  # a file system without locks
        fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def describe(lock: int, about: str) -> None:
    """Write who keeps what since when, as a line: a longer one may have been there."""
    said = {"keeper": os.getpid(), "owner": os.getppid(), "about": about, "since": time.time()}
    os.pwrite(lock, json.dumps(said).encode() + b"\n", 0)


def listen() -> int:
    """Return the descriptor that reports signals, one byte each."""
    wake, tell = os.pipe()
    os.set_blocking(tell, False)
    signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, *CALLS_OFF):
        signal.signal(number, lambda *_: None)
    return wake


def say(value: dict[str, Any]) -> None:
    """Send a message to the owner."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def keep(home: Path, wake: int, lock: int) -> None:
    """Receive the order, start the server, and return when it is to end or its time for an orderly end is over."""
    describe(lock, "")
    say({"home": str(home)})
    heard = b""
    while b"\n" not in heard:
        got = hear(wake)
        if called_off(got, wake):
            return
        heard += got.get(LEASH, b"")
    line, _, heard = heard.partition(b"\n")
    order = json.loads(line)
    describe(lock, order["about"])
    server = spawn(order, home)
    say({"pid": server})
    running = True
    got = {}
    while not called_off(got, wake):
        got = hear(wake)
        heard += got.get(LEASH, b"")
        running = running and not ended(server, home)
    if running and b"ready" in heard:
        end_orderly(server, home, wake, order["grace_s"])


def hear(wake: int, timeout_s: float | None = None) -> dict[int, bytes]:
    """Return what the leash and the signals report, as soon as one of them does; nothing after the timeout."""
    ready, _, _ = select.select([LEASH, wake], [], [], timeout_s)
    return {descriptor: os.read(descriptor, 1 << 16) for descriptor in ready}


def called_off(got: dict[int, bytes], wake: int) -> bool:
    """Return whether the leash is closed or a signal asks for the end."""
    return got.get(LEASH) == b"" or any(number in got.get(wake, b"") for number in CALLS_OFF)


def spawn(order: dict[str, Any], home: Path) -> int:
    """Start the server with stdout and stderr in the log; it dies with this process if that is killed."""
    keeper = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for descriptor in (1, 2):
            os.dup2(log, descriptor)
        os.dup2(os.open(os.devnull, os.O_RDONLY), LEASH)
        for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and an ignored signal outlives exec
            signal.signal(number, signal.SIG_DFL)
        if os.getppid() == keeper:
            os.execve(order["argv"][0], order["argv"], {**order["env"], MARK: str(home)})  # noqa: S606  no shell is wanted
    except OSError as error:
        os.write(2, f"error: {order['argv'][0]} cannot be started: {error}\n".encode())
    finally:
        os._exit(127)


def ended(server: int, home: Path) -> bool:
    """Reap what has ended; if the server is among it, end what it left, record its exit code and return True."""
    with suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            if found[0] == server:
                end_all()
                beside = home / "exited.new"
                beside.write_text(str(os.waitstatus_to_exitcode(found[1])), encoding="ascii")
                beside.rename(home / "exited")
                return True
    return False


def end_orderly(server: int, home: Path, wake: int, grace_s: float) -> None:
    """Ask the server to end, and wait for that at most the given time, or until a signal asks for haste."""
    deadline = time.monotonic() + grace_s
    with suppress(ProcessLookupError):
        os.kill(server, signal.SIGTERM)
    while not ended(server, home) and (left := deadline - time.monotonic()) > 0:
        if select.select([wake], [], [], left)[0]:
            arrived = os.read(wake, 1 << 16)
            if any(number in arrived for number in CALLS_OFF):
                return


def end_all() -> None:
    """Kill and reap every descendant; orphans become children of this process, so none escapes.

    Python's trackers of shared memory end by themselves once nobody needs them, after they have removed what is left.
    """
    began = time.monotonic()
    while (family := descendants(os.getpid())) and (lasted := time.monotonic() - began) < KILLED_S:
        for pid in (each for each in family if lasted > TRACKERS_S or not is_tracker(each)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.005)


def is_tracker(pid: int) -> bool:
    """Return whether a process is one of Python's that remove the shared memory of others (multiprocessing)."""
    with suppress(OSError):
        return b"multiprocessing.resource_tracker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def descendants(ancestor: int) -> list[int]:
    """Return the descendants of a process, including zombies, from /proc."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # pid (name) state parent …; the name may contain spaces and parentheses
            parent = int(stat.read_bytes().rpartition(b")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    found: list[int] = []
    level = [ancestor]
    while level:
        level = [child for parent in level for child in children.get(parent, [])]
        found += level
    return found


if __name__ == "__main__":
    main()
