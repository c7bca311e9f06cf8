"""A server's log as it grows: what is being loaded, and what a user should see of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from tritonrepo.diagnostics import Diagnostic, Severity, Span, some
from tritonrepo.server import logs
from tritonrepo.tree import amount

PIECE = 1 << 20
KEPT = 1000
"""How many different messages are remembered, to count those that are repeated."""

SEVERITIES = {"W": Severity.WARNING, "E": Severity.ERROR, "F": Severity.ERROR}


class Tail:
    """The lines that are added to a file, each once it is complete."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._rest = b""

    def read(self) -> list[str]:
        """Return the lines since the last call; of a file that became shorter, all."""
        with suppress(OSError), self._path.open("rb") as file:
            if os.fstat(file.fileno()).st_size < self._offset:
                self._offset, self._rest = 0, b""
            file.seek(self._offset)
            new = file.read(PIECE)
            self._offset += len(new)
            *whole, self._rest = (self._rest + new).split(b"\n")
            if len(self._rest) >= PIECE:  # it may never end
                whole, self._rest = [*whole, self._rest], b""
            return [line.decode("utf-8", "replace") for line in whole]
        return []


class Loading:
    """Which models the server is loading, by its log, and since when."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def heard(self, text: Iterable[str], now: float) -> None:
        """Take note of lines of the log."""
        for line in text:
            if (found := logs.LINE.match(line)) is None:
                continue
            message = found["message"].strip().strip('"')
            if begun := logs.LOADING.match(message):
                self._since.setdefault(begun["model"], now)
            elif ended := logs.LOADED.match(message):
                self._since.pop(ended["model"], None)

    def waiting(self, now: float) -> dict[str, float]:
        """Return for how many seconds each model has been loading, longest first."""
        return {model: now - since for model, since in sorted(self._since.items(), key=lambda item: item[1])}

    def sentence(self, now: float) -> str:
        """Return a line about what a start waits for."""
        models = self.waiting(now)
        return f"loading {some([*models], 3)}, {max(models.values()):.0f} s" if models else "starting the server"


def still(models: Mapping[str, float]) -> str:
    """Return the end of a sentence about a start that takes too long."""
    named = some([f"{model} (for {seconds:.0f} s)" for model, seconds in models.items()], 3)
    return f": it is still loading {named}" if models else ""


class Shown:
    """What a user sees of the log: trouble with its place, once; a repeated message again the 10th, 100th … time.

    `at` is the place of a model as the user knows it, and `within` the directory whose lines of a traceback are shown.
    """

    def __init__(self, at: Callable[[str], Span], within: str) -> None:
        self._at = at
        self._within = within
        self._over = False
        self._seen: dict[tuple[str, str], int] = {}

    def of(self, text: str) -> Iterator[Diagnostic | str]:
        """Yield what is new in a piece of the log: what models print as it is, the rest filtered."""
        if self._over:
            return
        text, usage, _ = text.partition(logs.USAGE)
        self._over = bool(usage)  # hundreds of lines follow, and the end of the server
        for level, message in logs.lines(text):
            if level == "I" or logs.harmless(message) or (not level and logs.inner(message)):
                continue
            count = self._seen.pop((level, message), 0) + 1
            self._seen[level, message] = count
            if len(self._seen) > KEPT:
                del self._seen[next(iter(self._seen))]
            if str(count).strip("0") == "1":  # 1, 10, 100 …
                yield self._told(level, message, count)

    def _told(self, level: str, message: str, count: int) -> Diagnostic | str:
        times = f" ({count:,} times by now)" if count > 1 else ""
        if not level:
            return f"server: {logs.cut(message)}{times}"
        model = logs.named(message)
        first, *more = [line.strip() for line in logs.reason(message).splitlines() if line.strip()] or [message]
        at = self._at(model)
        said = model in first or at.path.rpartition("/")[2] == model
        text = logs.cut(first if said else f"{model}: {first}")
        hint = "" if times else "\n".join(map(logs.cut, logs.shortened(more, self._within)[: logs.TELLING]))
        return Diagnostic("server-log", SEVERITIES[level], at, text + times, hint)


class Stub(NamedTuple):
    """The process that runs a Python model: its process id, its state, processor time and memory so far."""

    model: str
    pid: int
    state: str
    cpu_s: float
    resident: int

    def __str__(self) -> str:
        """Return what it does, as a sentence about it."""
        does = {"R": "computes", "D": "waits for a disk", "T": "is stopped", "Z": "has ended"}.get(self.state, "waits")
        used = f"{self.cpu_s:.1f} s of processor time and {amount(self.resident)} of memory"
        return f"The stub of {self.model}, process {self.pid}, {does}. It has used {used}."


class Stubs:
    """The stubs of a server that loads models only at its start: one that ends was killed, or crashed.

    Triton 24.10 starts none anew and reports nothing, and the model stays ready.
    """

    def __init__(self, session: int, at: Callable[[str], Span]) -> None:
        self._session = session
        self._at = at
        self._known = {stub.pid: stub.model for stub in stubs(session)}

    def dead(self) -> Iterator[Diagnostic]:
        """Yield an error for each stub that has ended since the last call."""
        for pid in [pid for pid in self._known if _stub(pid, self._session) is None]:  # a zombie has no command
            model = self._known.pop(pid)
            message = (
                f"the stub of {model}, process {pid}, has ended: every request to the model fails, though it is ready"
            )
            hint = "Check the model's messages and the memory of this machine, then start the server again."
            yield Diagnostic("server-stub", Severity.ERROR, self._at(model), message, hint)


def stubs(session: int) -> list[Stub]:
    """Return the stubs of a server's session."""
    found = (_stub(int(entry.name), session) for entry in Path("/proc").glob("[0-9]*"))
    return sorted(stub for stub in found if stub)


def _stub(pid: int, session: int) -> Stub | None:
    """Return a process of a session if it is a stub. Source of the fields: proc(5)."""
    with suppress(OSError, ValueError, IndexError):
        entry = Path("/proc", str(pid))
        fields = (entry / "stat").read_bytes().rpartition(b")")[2].split()
        if int(fields[3]) != session:
            return None
        words = (entry / "cmdline").read_bytes().split(b"\0")
        if words[0].endswith(b"triton_python_backend_stub"):
            cpu_s = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            resident = int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
            model = Path(os.fsdecode(words[1])).parts[-3]
            return Stub(model, pid, fields[0].decode(), cpu_s, resident)
    return None
