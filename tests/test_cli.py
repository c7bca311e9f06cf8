"""The command line itself: help, exit codes, streams, and the one error boundary."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from tests.documents import commands
from tritonrepo import __version__, cli
from tritonrepo.cli import COMMANDS, root, run
from tritonrepo.diagnostics import Stop, failure, fatal


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"\n  {command} " in out for command in COMMANDS)
    assert "130  interrupted by Ctrl-C" in out


def test_no_command_at_all_is_wrong_usage_and_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert all(f"\n  {command} " in said.err for command in COMMANDS)


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
    "an unknown command": (["biuld"], 'unknown command "biuld". Did you mean "build"?'),
    "an unknown command with an argument": (["biuld", "x"], 'unknown command "biuld". Did you mean "build"?'),
    "a command like no other": (
        ["x"],
        'unknown command "x". Commands: adopt, ask, bench, build, completion, cost, deploy',
    ),
    "an unknown option": (["build", "--lokced"], "--lokced"),
    "an option without value": (["build", "-o"], "-o"),
    "a time that is none": (["serve", "models", "--timeout", "nan"], "nan is not a number of seconds"),
    "no time at all": (["smoke", "http://127.0.0.1:8000", "--timeout", "0"], "--timeout"),
    "a pause before now": (["push", "models", "s3://b/p", "--settle", "-1"], "--settle"),
    "a port that none has": (["up", "--http-port", "65536"], "--http-port"),
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
    "Ctrl-C": (KeyboardInterrupt(), 130, "interrupted\n"),
    "SIGTERM": (cli.Terminated(), 143, "interrupted\n"),
    "SIGHUP": (cli.Terminated(signal.SIGHUP), 129, "interrupted\n"),
    "a bug": (ZeroDivisionError("oops"), 3, f"This is a bug in tritonrepo {__version__}."),
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


LOCALES = {
    "the machine's locale": {},
    "a locale without letters": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}


@pytest.mark.parametrize("locale", LOCALES.values(), ids=LOCALES)
@pytest.mark.parametrize("stream", [1, 2])
def test_a_reader_that_leaves_ends_no_work(tmp_path: Path, stream: int, locale: dict[str, str]) -> None:
    """As `… | head` does: what was asked for is done, with its exit code and without a word."""
    reader, writer = os.pipe()
    os.close(reader)
    repository = tmp_path / "models"
    (repository / "m" / "1").mkdir(parents=True)
    (repository / "m" / "config.pbtxt").write_text('backend: "identity"\n')
    command = [
        sys.executable,
        "-m",
        "tritonrepo",
        *(["validate", "models"] if stream == 1 else ["validate", "nowhere"]),
    ]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | {("stdout", "stderr")[stream - 1]: writer}
    environment = os.environ | locale
    done = subprocess.run(command, cwd=tmp_path, check=False, env=environment, **streams)  # type: ignore[call-overload]
    os.close(writer)
    assert done.returncode == {1: 0, 2: 2}[stream]
    assert not done.stdout
    assert not done.stderr


@pytest.mark.parametrize("locale", LOCALES.values(), ids=LOCALES)
def test_help_may_be_cut(tmp_path: Path, locale: dict[str, str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "tritonrepo", "--help"]
    environment = os.environ | locale
    done = subprocess.run(command, cwd=tmp_path, env=environment, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("colours", ["", "1"], ids=["plain", "colours"])
def test_letters_are_utf_8_in_a_locale_without_them(tmp_path: Path, colours: str) -> None:
    model = tmp_path / "models" / "m"
    (model / "1").mkdir(parents=True)
    (model / "config.pbtxt").write_text('backend: "modèle…"\n', "utf-8")
    environment = os.environ | LOCALES["a locale without letters"] | {"FORCE_COLOR": colours}
    command = [sys.executable, "-m", "tritonrepo", "validate", "models"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert done.returncode == 1, done.stderr
    assert 'named "modèle…"'.encode() in done.stdout


VARIABLES = [
    (name, option)
    for name, command in commands().items()
    for option in command.params
    if isinstance(option, click.Option)
]


def test_every_option_has_a_long_name_and_its_variable_is_of_that_name() -> None:
    for command, option in VARIABLES:
        long = next(name for name in option.opts if name.startswith("--"))
        assert option.envvar == f"TRITONREPO_{command.upper().replace(' ', '_')}_{long[2:].upper().replace('-', '_')}"


def test_a_variable_sets_an_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRITONREPO_VALIDATE_FORMAT", "json")
    assert run(["validate", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("{")
    run(["validate", "--help"])
    assert "env var: TRITONREPO_VALIDATE_FORMAT" in " ".join(capsys.readouterr().out.split())
