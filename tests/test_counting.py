"""The line that shows on a terminal how much of a command is done, and what becomes of it when something is printed."""

from __future__ import annotations

import re
from collections.abc import Callable
from io import BytesIO, TextIOWrapper
from pathlib import Path

import click
import pytest
from rich.console import Console
from rich.live import Live

from tests.facts import PROJECT
from tritonrepo.cli import counting, everywhere, output, run
from tritonrepo.cli.counting import Counting, teller
from tritonrepo.diagnostics import Diagnostic, Severity, Span
from tritonrepo.flows.events import Busy, Counted

Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch
REMOVED = "\x1b[?25h\r\x1b[1A\x1b[2K"


class Screen:
    """A line on a terminal in memory, and a clock."""

    def __init__(self) -> None:
        self.bytes, self.now, self.made = BytesIO(), 100.0, 0
        self.stream = TextIOWrapper(self.bytes, "utf-8", newline="", write_through=True)

    def __call__(self) -> Live:
        self.made += 1
        console = Console(file=self.stream, force_terminal=True, color_system=None, width=80, height=24)
        return Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False)

    def clock(self) -> float:
        return self.now

    @property
    def seen(self) -> str:
        return self.bytes.getvalue().decode()

    @property
    def texts(self) -> list[str]:
        """Each text that was drawn, in order."""
        return [text for text in re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "\n", self.seen)) if text]


def counted(done: int) -> Counted:
    return Counted("checking r", done, 9, "models")


def test_a_count_is_drawn_after_a_second_and_five_times_a_second_at_most() -> None:
    screen = Screen()
    line = Counting(screen, screen.clock)
    for done, passed in enumerate((0.9, 0.2, 0.1, 0.05, 0.1, 0.01)):
        screen.now += passed
        line.tell(counted(done))
    assert screen.texts == ["checking r: 1 of 9 models, 0:02 left", "checking r: 4 of 9 models, 0:01 left"]
    assert screen.made == 1


def test_no_library_is_loaded_for_a_command_that_takes_no_second() -> None:
    screen = Screen()
    line = Counting(screen, screen.clock)
    line.tell(counted(9))
    line.clear()
    assert (screen.made, screen.seen) == (0, "")


def test_another_event_removes_the_line_first(capsys: Capture) -> None:
    screen = Screen()
    line = Counting(screen, screen.clock)
    screen.now += 2
    line.tell(counted(1))
    line.tell(Busy("exporting x"))
    assert screen.seen.endswith(REMOVED)
    assert capsys.readouterr() == ("", "exporting x …\n")
    screen.now += 2
    line.tell(counted(2))
    assert screen.texts[-1] == "checking r: 2 of 9 models"


def test_without_rich_nothing_is_drawn() -> None:
    asked = list[int]()
    clock = Screen()
    line = Counting(lambda: asked.append(1), clock.clock)
    for _ in range(3):
        clock.now += 2
        line.tell(counted(1))
    line.clear()
    assert asked == [1]


@pytest.fixture
def screen(monkeypatch: Patch) -> Screen:
    """A terminal on which a line is drawn at once."""
    screen = Screen()
    monkeypatch.setattr(counting, "drawable", lambda: True)
    monkeypatch.setattr(counting, "AFTER_S", 0.0)
    monkeypatch.setattr(counting, "TICK_S", 0.0)
    monkeypatch.setattr(Counting.__init__, "__defaults__", (screen, screen.clock))
    return screen


@pytest.fixture
def models(tmp_path: Path, monkeypatch: Patch) -> Path:
    for name in ("a", "b"):
        (tmp_path / "models" / name / "1").mkdir(parents=True)
        (tmp_path / "models" / name / "config.pbtxt").write_text('backend: "nothing"\n', "utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("models")
def test_validate_counts_models_and_prints_what_it_prints_elsewhere(screen: Screen, capsys: Capture) -> None:
    assert run(["validate", "models"]) == 1
    on_terminal = capsys.readouterr()
    assert (screen.texts[0], screen.texts[-1]) == ("reading models: 1 of 2 models", "checking models: 2 of 2 models")
    assert screen.seen.endswith(REMOVED)
    assert run(["validate", "models", "-q"]) == 1
    quiet = capsys.readouterr()
    assert screen.made == 1
    assert on_terminal == (f"{quiet.out}2 models: 2 errors\n", "")


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize("end", [KeyboardInterrupt(), ZeroDivisionError()], ids=["Ctrl-C", "a bug"])
def test_the_line_is_removed_however_a_command_ends(
    end: BaseException, screen: Screen, monkeypatch: Patch, capsys: Capture
) -> None:
    seen = list[str]()

    def printable(_: str) -> str:
        seen.append(screen.seen)
        raise end

    monkeypatch.setattr("tritonrepo.report.text.printable", printable)
    assert run(["validate", "models"]) in {3, 130}
    assert "models: 2 of 2 models" in seen[0]
    assert screen.seen.endswith(REMOVED)
    assert ("interrupted" if isinstance(end, KeyboardInterrupt) else "bug") in capsys.readouterr().err


def test_what_is_printed_removes_the_line(screen: Screen, capsys: Capture) -> None:
    prints: dict[str, Callable[[], None]] = {
        "say": lambda: output.say("x"),
        "talk": lambda: output.talk("x"),
        "piece": lambda: output.piece("x"),
        "document": lambda: output.document("x"),
        "painted": lambda: output.painted(["x"], colours=False),
    }
    with click.Context(click.Command("c")):
        tell = teller()
        for name, prints_it in prints.items():
            tell(counted(1))
            assert not screen.seen.endswith(REMOVED), name
            prints_it()
            assert screen.seen.endswith(REMOVED), name
            assert "x" in "".join(capsys.readouterr()), name


WARNING = Diagnostic("r", Severity.WARNING, Span("f"), "bad")
TOLD = {"loud": ([], "exporting x …\nf: warning: bad [r]\n"), "quiet": (["-q"], "f: warning: bad [r]\n")}


@pytest.mark.parametrize(("options", "said"), TOLD.values(), ids=TOLD)
def test_without_a_terminal_events_are_lines(options: list[str], said: str, capsys: Capture) -> None:
    command = click.Command("c")
    everywhere.add(command)
    with command.make_context("c", options):
        tell = teller()
    for event in (Busy("exporting x"), counted(1), WARNING):
        tell(event)
    assert capsys.readouterr() == ("", said)


def test_the_extras_of_what_takes_long_bring_what_draws() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    assert {name for name, packages in extras.items() if "rich>=13" in packages} == {"s3", "gcs", "hub", "onnx"}
