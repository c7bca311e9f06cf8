"""The command line itself: help, exit codes, streams, and the one error boundary."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import click
import pytest

from tritonrepo import __version__, cli
from tritonrepo.cli import COMMANDS, root, run
from tritonrepo.diagnostics import Stop, failure, fatal


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"\n  {command} " in out for command in COMMANDS)
    assert "130  stopped by Ctrl-C" in out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_its_options_examples_and_exit_codes(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([command, "--help"]) == 0
    out = capsys.readouterr().out
    assert out.count(f"\n    tritonrepo {command}") >= 2
    assert "Exit codes:" in out
    for parameter in root.get_command(click.Context(root), command).params:  # type: ignore[union-attr]
        assert not isinstance(parameter, click.Option) or parameter.help, parameter.name


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"tritonrepo, version {__version__}\n"


USAGE = {
    "an unknown command": (["biuld"], 'there is no command "biuld". Did you mean build?'),
    "a command like no other": (["x"], 'there is no command "x". Commands: build, explain'),
    "an unknown option": (["build", "--lokced"], "--lokced"),
    "an option without value": (["build", "-o"], "-o"),
    "a word too many": (["build", "x"], "unexpected extra argument"),
}


@pytest.mark.parametrize(("arguments", "message"), USAGE.values(), ids=USAGE)
def test_wrong_usage_is_exit_2_with_the_way_out(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert run(arguments) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert said.out == ""


def raising(error: BaseException) -> Callable[..., int]:
    def command(*_: object, **__: object) -> int:
        raise error

    return command


ENDS: dict[str, tuple[BaseException, int, str]] = {
    "what cannot be used": (fatal("r", "f", "is wrong", "Mend it."), 2, "f: fatal: is wrong [r]\n  Mend it.\n"),
    "what has problems": (failure("r", "f", "is wrong"), 1, "f: error: is wrong [r]\n"),
    "nothing to say": (Stop([]), 1, ""),
    "Ctrl-C": (KeyboardInterrupt(), 130, "stopped\n"),
    "SIGTERM": (cli.Terminated(), 130, "stopped\n"),
    "a bug": (ZeroDivisionError("oops"), 3, f"This is a bug of tritonrepo {__version__}."),
}


@pytest.mark.parametrize(("error", "code", "message"), ENDS.values(), ids=ENDS)
def test_every_end_has_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, message: str
) -> None:
    monkeypatch.setattr(root, "main", raising(error))
    assert run(["build"]) == code
    assert message in capsys.readouterr().err


def test_names_cannot_drive_the_terminal() -> None:
    assert "\\x1b[31m" in str(fatal("r", "a\x1b[31m\nb", "is wrong"))


def test_a_closed_pipe_is_left_quietly() -> None:
    command = f"{sys.executable} -m tritonrepo --help | head -1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.returncode == 0
