"""The line that shows on a terminal what a push does: what it says, when it is drawn, and how it is removed."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from typing import cast

import pytest
from rich.console import Console
from rich.live import Live

from tests.processes import unmeasured
from tests.pushes import push, repository
from tests.tabled import tabled
from tests.terminal import on_terminal
from tritonrepo.cli import output
from tritonrepo.cli.display import Display, displayed
from tritonrepo.cli.doing import Status
from tritonrepo.diagnostics import Diagnostic, Severity, Span
from tritonrepo.flows.events import Busy, Counted, Event
from tritonrepo.sync.telling import Began, Interrupted, Line, Sent, Waits

MIB = 1 << 20
Step = Event | float
"""An event, or seconds that pass."""

LINES: dict[str, tuple[Sequence[Step], str]] = {
    "before anything": ((), "comparing"),
    "something that takes a while": ((Busy("fetching x"),), "fetching x …"),
    "a wait": ((Waits("waiting 30 s for x", 30), 8.6), "0:21 left, waiting 30 s for x"),
    "a wait for long": ((Waits("waiting for x", 3725), 0.2), "1:02:05 left, waiting for x"),
    "a wait that is over": ((Waits("waiting 30 s for x", 30), 31), "waiting 30 s for x"),
    "nothing sent yet": ((Began("files", 5000, 1 << 30), 2), "files: 0 of 5,000, 0 B of 1.0 GiB"),
    "some is sent": (
        (Began("files", 3, 200 * MIB), 2, Sent(80 * MIB, 1), Sent(20 * MIB)),
        "files: 1 of 3, 100.0 MiB of 200.0 MiB, 50.0 MiB/s, 0:02 left",
    ),
    "the rate is that of the last seconds": (
        (Began("files", 3, 200 * MIB), 1, Sent(100 * MIB), 9, Sent(5 * MIB), 1, Sent(5 * MIB)),
        "files: 0 of 3, 110.0 MiB of 200.0 MiB, 1.0 MiB/s, 1:30 left",
    ),
    "thousands of files in a moment": (
        (Began("files", 6000, 200 * MIB), *[each for _ in range(5000) for each in (Sent(1 << 10, 1), 0.001)], 2),
        "files: 5,000 of 6,000, 4.9 MiB of 200.0 MiB, 601.4 KiB/s, 5:32 left",
    ),
    "nothing more comes": (
        (Began("files", 3, 200 * MIB), 1, Sent(100 * MIB), 600),
        "files: 0 of 3, 100.0 MiB of 200.0 MiB",
    ),
    "all is sent": ((Began("files", 2, 10), 1, Sent(10, 2)), "files: 2 of 2, 10 B of 10 B"),
    "deletions": ((Began("prune", 9, 0), Sent(0, 0, 4)), "prune: 4 of 9"),
    "the next phase": ((Began("gate", 1, 5), Sent(5, 1), Began("files", 2, 10)), "files: 0 of 2, 0 B of 10 B"),
    "a count": ((Counted("checking r", 1200, 5000, "models"), 4), "checking r: 1,200 of 5,000 models"),
    "a count that goes on": (
        (Counted("checking r", 0, 5000, "models"), 2, Counted("checking r", 2000, 5000, "models")),
        "checking r: 2,000 of 5,000 models, 0:03 left",
    ),
    "a slow count": (
        (Counted("r: embedding", 0, 20, "passages"), 4, Counted("r: embedding", 2, 20, "passages")),
        "r: embedding: 2 of 20 passages, 0:36 left",
    ),
    "all is counted": (
        (Counted("checking r", 0, 50, "models"), 2, Counted("checking r", 50, 50, "models")),
        "checking r: 50 of 50 models",
    ),
    "bytes": (
        (Counted("downloading x", MIB, 9 * MIB), 2, Counted("downloading x", 5 * MIB, 9 * MIB)),
        "downloading x: 5.0 MiB of 9.0 MiB, 2.0 MiB/s, 0:02 left",
    ),
    "bytes of who knows how many": (
        (Counted("downloading x", MIB, 0), 2, Counted("downloading x", 5 * MIB, 0)),
        "downloading x: 5.0 MiB, 2.0 MiB/s",
    ),
    "another count": (
        (Counted("downloading x", 0, 9), 2, Counted("downloading x", 9, 9), Counted("downloading y", 1, 8), 1),
        "downloading y: 1 B of 8 B",
    ),
    "what comes after a count": ((Counted("downloading x", 0, 9), Busy("exporting x")), "exporting x …"),
    "a phase after a count": ((Counted("downloading x", 0, 9), Began("files", 2, 10)), "files: 0 of 2, 0 B of 10 B"),
    "what is no state": ((Began("gate", 1, 5), Line("x"), Interrupted("gate", 0, 1)), "gate: 0 of 1, 0 B of 5 B"),
}


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@tabled(("steps", "line"), LINES.values(), ids=LINES)
def test_the_line_says_what_is_done_and_how_long_it_still_takes(steps: Sequence[Step], line: str) -> None:
    clock = Clock()
    status = Status("comparing", clock)
    for step in steps:
        if isinstance(step, float | int):
            clock.now += step
        else:
            status.hear(step)
    assert status.line == line


class Screen:
    """A display on a terminal in memory."""

    def __init__(self, *, width: int = 80, encoding: str = "utf-8", quiet: bool = False) -> None:
        self.bytes, self.encoding, self.clock = BytesIO(), encoding, Clock()
        self.stream = TextIOWrapper(self.bytes, encoding, errors="backslashreplace", newline="", write_through=True)
        console = Console(file=self.stream, force_terminal=True, color_system=None, width=width, height=24)
        line = Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False)
        self.display = Display("comparing", quiet=quiet, line=line, now=self.clock)

    def drawn(self, *events: Event, after: float = 2) -> str:
        for event in events:
            self.display.tell(event)
        self.clock.now += after
        self.display.draw()
        return self.seen

    @property
    def seen(self) -> str:
        return self.bytes.getvalue().decode(self.encoding)


def test_the_line_appears_once_the_work_takes_over_a_second() -> None:
    screen = Screen()
    assert screen.drawn(after=0.9) == ""
    assert "comparing" in screen.drawn(after=0.2)


HOSTILE = "waiting for x: \x1b[31m[red]\r\n\x07\u202e::error::\ud800"


def test_a_foreign_text_in_the_line_is_text() -> None:
    drawn = Screen(width=120).drawn(Waits(HOSTILE, 60))
    assert r"0:58 left, waiting for x: \x1b[31m[red]\r\n\x07\u202e::error::\ud800" in drawn
    assert not {"\x07", "\u202e", "\n"} & {*drawn}
    assert re.findall(r"\x1b\[[0-9;?]*[A-Za-z]", drawn) == ["\x1b[?25l"]


WIDTHS = {
    "narrow": (20, "x" * 50, "x" * 19),
    "wide characters": (20, "界" * 20, "界" * 9),
    "too narrow": (9, "x" * 50, ""),
    "no width": (0, "x" * 50, ""),
}


@pytest.mark.parametrize(("width", "text", "shown"), WIDTHS.values(), ids=WIDTHS)
def test_the_line_is_one_line_and_never_in_the_last_column(width: int, text: str, shown: str) -> None:
    drawn = Screen(width=width).drawn(Busy(text))
    assert drawn.replace("\x1b[?25l", "").strip() == shown


def test_what_a_terminal_cannot_show_is_written_out() -> None:
    assert "m\\u754c\xe9" in Screen(encoding="latin-1").drawn(Waits("m界\xe9", 0))


def test_what_is_printed_meanwhile_removes_the_line_first(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen()
    drawn = screen.drawn(Began("files", 2, 10))
    assert drawn.endswith("files: 0 of 2, 0 B of 10 B")
    screen.display.tell(Began("switch", 1, 5))
    removed = screen.seen.removeprefix(drawn)
    assert removed.endswith("\x1b[?25h\r\x1b[1A\x1b[2K")
    screen.display.tell(Interrupted("switch", 1, 3))
    screen.display.draw()
    assert screen.seen == drawn + removed
    assert capsys.readouterr().err == (
        "files: 2 actions\nswitch: 1 action\nstopping in phase switch after 1 of 3 actions:"
        " the next run continues from here\n"
    )


BEFORE = {"nothing": ((), "stopping before anything was sent\n"), "a phase": ((Began("gate", 1),), "gate: 1 action\n")}


@pytest.mark.parametrize(("events", "said"), BEFORE.values(), ids=BEFORE)
def test_ctrl_c_before_the_first_action_says_that_nothing_was_sent(
    events: Sequence[Event], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted() -> None:
        with displayed("comparing") as display:
            for event in events:
                display.tell(event)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert capsys.readouterr().err == said


EVENTS: tuple[Event, ...] = (
    Busy("x"),
    Began("files", 2, 10),
    Sent(5, 1),
    Waits("waiting 5 s", 5),
    Line("y"),
    Diagnostic("r", Severity.WARNING, Span("f"), "bad"),
    Interrupted("files", 1, 2),
)
ENDING = ["f: warning: bad [r]", "stopping in phase files after 1 of 2 actions: the next run continues from here"]
SHOWN = {
    "no terminal": (False, False, ["x …", "files: 2 actions", "waiting 5 s", "y", *ENDING]),
    "a terminal, whose line shows waits": (True, False, ["x …", "files: 2 actions", "y", *ENDING]),
    "quiet": (False, True, ENDING),
}


@pytest.mark.parametrize(("terminal", "quiet", "lines"), SHOWN.values(), ids=SHOWN)
def test_each_event_is_a_line_where_it_is_worth_one(
    terminal: bool,  # noqa: FBT001
    quiet: bool,  # noqa: FBT001
    lines: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    display = Screen().display if terminal else Display("", quiet=quiet, line=None)
    for event in EVENTS:
        display.tell(event)
    assert capsys.readouterr().err.splitlines() == lines


class Tty(StringIO):
    def isatty(self) -> bool:
        return True


TERMINALS: dict[str, tuple[StringIO | None, dict[str, str], bool]] = {
    "a terminal": (Tty(), {"TERM": "xterm"}, True),
    "without colours": (Tty(), {"TERM": "xterm", "NO_COLOR": "1"}, True),
    "a file": (StringIO(), {"TERM": "xterm"}, False),
    "closed": (None, {"TERM": "xterm"}, False),
    "a dumb terminal": (Tty(), {"TERM": "dumb"}, False),
    "an unknown terminal": (Tty(), {"TERM": ""}, False),
}


@pytest.mark.parametrize(("stream", "environment", "drawn"), TERMINALS.values(), ids=TERMINALS)
def test_a_line_is_drawn_on_terminals_that_can_do_that(
    monkeypatch: pytest.MonkeyPatch,
    stream: StringIO | None,
    environment: dict[str, str],
    drawn: bool,  # noqa: FBT001
) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert (output.live() is not None) == drawn


def test_without_rich_there_is_a_line_a_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Tty())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setitem(sys.modules, "rich.live", None)
    assert output.live() is None


def test_a_terminal_that_is_gone_ends_the_line_and_not_the_work() -> None:
    class Gone(StringIO):
        def write(self, _: str) -> int:
            raise OSError(errno.ENOSPC, "full")

    screen = Screen()
    screen.display._line = Live(console=Console(file=Gone(), force_terminal=True), auto_refresh=False)  # noqa: SLF001
    screen.drawn(Began("files", 1, 1))
    assert not screen.display.animated
    screen.display.close()


def test_a_stream_whose_terminal_is_gone_takes_everything_and_keeps_nothing(tmp_path: Path) -> None:
    class Gone:
        def __init__(self) -> None:
            self.file = (tmp_path / "x").open("w")

        def write(self, _: str) -> int:
            raise OSError(errno.EIO, "gone")

        def fileno(self) -> int:
            return self.file.fileno()

    gone = Gone()
    stream = output.Patient(cast("StringIO", gone))
    assert stream.write("text") == 4
    assert Path(f"/proc/self/fd/{gone.fileno()}").readlink() == Path(os.devnull)
    gone.file.close()


def test_a_closed_stream_takes_everything() -> None:
    command = ["bash", "-c", 'exec "$@" >&- 2>&-', "x", sys.executable, "-m", "tritonrepo", "explain", "push-locked"]
    assert subprocess.run(command, check=False, env=unmeasured()).returncode == 0


def test_on_a_real_terminal_the_line_comes_and_goes_and_the_rest_is_as_ever(tmp_path: Path) -> None:
    place = tmp_path / "prod"
    assert push(repository(tmp_path / "m", 1), place) == 0
    command = [sys.executable, "-m", "tritonrepo", "push", str(repository(tmp_path / "m", 2)), str(place)]
    environment = {**unmeasured(), "TERM": "xterm"}
    environment.pop("COLUMNS", None)
    ran = on_terminal([*command, "--settle", "0"], environment, columns=30, resized=20)
    assert ran.code == 0
    assert ran.out.endswith("24 to write (936 B), 0 to delete\n")
    note, *texts, last = ran.texts
    assert note.startswith("note: ")
    assert last.startswith("go back with ")
    lasting = ["files: 21 actions", "expand: 1 action", "switch: 1 action", "contract: 1 action"]
    assert [text for text in texts if text in lasting] == lasting
    assert texts[-1].startswith(f"{place}: revision 2 is published: 24 objects written")
    drawn = [text for text in texts[:-1] if text not in lasting]
    assert "expand: 1 of 1, 210" in drawn
    assert max(map(len, drawn)) < 30
    assert ran.drawn.count("\x1b[?25l") == ran.drawn.count("\x1b[?25h")
