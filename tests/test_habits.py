"""What every command takes: -h, -q and --color, before its name and after it, or from a variable."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from tests.documents import commands
from tests.tabled import tabled
from tritonrepo.cli import everywhere, output, root, run

Capture = pytest.CaptureFixture[str]
RED = "\x1b[1;31merror\x1b[0m"


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The parent of a repository with an error."""
    (tmp_path / "models" / "m" / "1").mkdir(parents=True)
    (tmp_path / "models" / "m" / "config.pbtxt").write_text('backend: "nothing"\n', "utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["", *commands()])
def test_h_is_help(name: str, capsys: Capture) -> None:
    assert run([*name.split(), "--help"]) == 0
    whole = capsys.readouterr().out
    assert run([*name.split(), "-h"]) == 0
    assert capsys.readouterr().out == whole
    assert "  -h, --help  " in whole


@tabled(("name", "command"), [("tritonrepo", root), *commands().items()])
def test_every_command_has_the_options_once(name: str, command: click.Command) -> None:
    words = [word for each in command.params for word in each.opts]
    for option in ("-q", "--quiet", "--color"):
        assert words.count(option) == 1, f"{name} {option}"
    assert {"quiet", "color"} <= {each.name for each in command.params if not each.expose_value}


COLORS = {
    "none": ([], {}, False),
    "always": (["validate", "--color", "always"], {}, True),
    "always, before the command": (["--color", "always", "validate"], {}, True),
    "the command's own comes last": (["--color", "always", "validate", "--color", "never"], {}, False),
    "auto is the command's own as well": (["--color", "always", "validate", "--color", "auto"], {}, False),
    "from a variable": ([], {"TRITONREPO_COLOR": "always"}, True),
    "from the command's variable": ([], {"TRITONREPO_VALIDATE_COLOR": "always"}, True),
    "the command's variable comes last": (
        [],
        {"TRITONREPO_COLOR": "always", "TRITONREPO_VALIDATE_COLOR": "never"},
        False,
    ),
    "what is typed comes before a variable": (
        ["--color", "never", "validate"],
        {"TRITONREPO_VALIDATE_COLOR": "always"},
        False,
    ),
    "always, in spite of NO_COLOR": (["validate", "--color", "always"], {"NO_COLOR": "1"}, True),
    "always, on a dumb terminal": (["validate", "--color", "always"], {"TERM": "dumb"}, True),
    "never, in spite of FORCE_COLOR": (["validate", "--color", "never"], {"FORCE_COLOR": "1"}, False),
    "auto heeds FORCE_COLOR": (["validate", "--color", "auto"], {"FORCE_COLOR": "1"}, True),
    "an empty variable is none": ([], {"TRITONREPO_COLOR": ""}, False),
}


@pytest.mark.usefixtures("broken")
@pytest.mark.parametrize(("arguments", "environment", "colored"), COLORS.values(), ids=COLORS)
def test_color_is_used_as_the_option_says(
    arguments: list[str],
    environment: dict[str, str],
    colored: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert run([*(arguments or ["validate"]), "models"]) == 1
    out = capsys.readouterr().out
    assert (RED in out) == colored
    assert ("\x1b" in out) == colored


@pytest.mark.usefixtures("broken")
def test_color_of_another_value_is_wrong_usage(capsys: Capture) -> None:
    for arguments in (["--color", "yes", "validate"], ["validate", "--color", "yes"]):
        assert run(arguments) == 2
        assert "'yes' is not one of 'auto', 'always', 'never'" in capsys.readouterr().err


QUIET = {
    "after": ["validate", "-q", "models"],
    "before": ["-q", "validate", "models"],
    "long": ["validate", "models", "--quiet"],
}


@pytest.mark.usefixtures("broken")
@pytest.mark.parametrize("arguments", QUIET.values(), ids=QUIET)
def test_a_quiet_validate_prints_findings_without_a_summary(arguments: list[str], capsys: Capture) -> None:
    assert run(["validate", "models"]) == 1
    loud = capsys.readouterr().out.splitlines()
    assert run(arguments) == 1
    assert capsys.readouterr() == ("\n".join(loud[:-1]) + "\n", "")
    assert loud[-1] == "1 model: 1 error"


def test_a_quiet_command_still_says_what_is_wrong(tmp_path: Path, capsys: Capture) -> None:
    assert run(["validate", "-q", str(tmp_path / "none")]) == 2
    assert "fatal: the repository does not exist" in capsys.readouterr().err


def test_a_quiet_init_and_build_print_only_their_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["init", "-q", "--template", "model"]) == 0
    out, err = capsys.readouterr()
    assert "+ tritonrepo.yaml" in out
    assert err == ""
    assert run(["-q", "build"]) == 0
    out, err = capsys.readouterr()
    assert " to write (" in out
    assert err == ""


def test_a_run_keeps_nothing_for_the_next_one(broken: Path, capsys: Capture) -> None:
    assert run(["-q", "--color", "always", "validate", str(broken / "models")]) == 1
    assert "\x1b" in capsys.readouterr().out
    assert not everywhere.quiet()
    assert everywhere.color() == "auto"
    assert run(["validate", str(broken / "models")]) == 1
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert out.endswith("1 model: 1 error\n")


TIMED = re.compile(r" \(\d+\.\d s\)$", re.MULTILINE)
LINES = {
    "validate": (["validate", "models"], "1 model: 1 error"),
    "a quiet validate": (["validate", "models", "-q"], None),
    "JSON": (["validate", "models", "--format", "json"], None),
    "build": (["build", "-f", "stack/tritonrepo.yaml", "-o", "built"], "built: written"),
    "a build that only shows": (["build", "-f", "stack/tritonrepo.yaml", "-o", "built", "--dry-run"], None),
}


@pytest.mark.usefixtures("broken")
@pytest.mark.parametrize(("arguments", "closing"), LINES.values(), ids=LINES)
def test_on_a_terminal_the_closing_line_has_a_time(
    arguments: list[str], closing: str | None, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    assert run(["init", "-q", "stack", "--template", "model"]) == 0
    capsys.readouterr()
    with monkeypatch.context() as terminal:
        terminal.setattr(output, "on_terminal", lambda: True)
        terminal.setattr("tritonrepo.cli.build.on_terminal", lambda: True)
        run(arguments)
    shown = "".join(capsys.readouterr())
    found = [line for line in shown.splitlines() if TIMED.search(line)]
    assert [TIMED.sub("", line) for line in found] == ([closing] if closing else [])


@pytest.mark.usefixtures("broken")
def test_elsewhere_no_output_has_a_time(capsys: Capture) -> None:
    assert run(["validate", "models"]) == 1
    assert not TIMED.search("".join(capsys.readouterr()))


def test_h_is_known_in_whatever_context_help_is_first_asked() -> None:
    (command,) = (each for name, each in commands().items() if name == "fit")
    fresh = click.Command("fresh")
    everywhere.add(fresh)
    for each in (command, fresh):
        option = each.get_help_option(click.Context(each))
        assert option is not None
        assert option.opts == ["--help", "-h"]
