"""What the command line does with its streams, its exit codes and its options, each alone."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from typing import Any, TextIO, cast

import click
import pytest

from tests.tabled import tabled
from tritonrepo import cli
from tritonrepo.cli import output, progress, root, run, stack, values
from tritonrepo.cli.collecting import uncollected
from tritonrepo.cli.selecting import selected
from tritonrepo.cli.targets import aim
from tritonrepo.diagnostics import Diagnostic, Severity, Span, Stop, failure, fatal
from tritonrepo.flows.events import Built, Busy, Indexed
from tritonrepo.repository import NOTHING, Said
from tritonrepo.rules import RULES
from tritonrepo.sync.plan import Phase, Plan, Put
from tritonrepo.sync.telling import Line
from tritonrepo.tree import of_text


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


COLOURS: dict[str, tuple[bool, dict[str, str], bool]] = {
    "a terminal": (True, {}, True),
    "a file": (False, {}, False),
    "NO_COLOR": (True, {"NO_COLOR": "1"}, False),
    "NO_COLOR, whatever its value": (True, {"NO_COLOR": "0"}, False),
    "NO_COLOR, empty": (True, {"NO_COLOR": ""}, True),
    "a dumb terminal": (True, {"TERM": "dumb"}, False),
    "another terminal": (True, {"TERM": "xterm"}, True),
    "forced in a file": (False, {"FORCE_COLOR": "1"}, True),
    "forced, empty": (False, {"FORCE_COLOR": ""}, False),
    "forced in spite of NO_COLOR": (True, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, True),
    "forced on a dumb terminal": (True, {"FORCE_COLOR": "1", "TERM": "dumb"}, True),
}


@pytest.mark.parametrize(("terminal", "environment", "colours"), COLOURS.values(), ids=COLOURS)
def test_colour_is_for_terminals_unless_the_environment_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
    terminal: bool,  # noqa: FBT001
    environment: dict[str, str],
    colours: bool,  # noqa: FBT001
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert output.colour(Terminal() if terminal else StringIO()) is colours


def test_what_is_said_goes_to_the_stream_that_is_meant(capsys: pytest.CaptureFixture[str]) -> None:
    output.say("a\nb", "::c\x1b")
    output.say("d", err=True)
    output.piece("e\r\nf\x1b\n")
    said = capsys.readouterr()
    assert (said.out, said.err) == ("a\\nb\n\\x3a:c\\x1b\ne\nf\\x1b\n", "d\n")


ENCODINGS = {
    "utf-8": '{"a": "é😀"}\n',
    "UTF8": '{"a": "é😀"}\n',
    "latin-1": '{"a": "\\u00e9\\ud83d\\ude00"}\n',
    "ascii": '{"a": "\\u00e9\\ud83d\\ude00"}\n',
}


@pytest.mark.parametrize(("encoding", "written"), ENCODINGS.items(), ids=ENCODINGS)
def test_a_document_can_be_written_to_every_stream(
    monkeypatch: pytest.MonkeyPatch, encoding: str, written: str
) -> None:
    raw = BytesIO()
    monkeypatch.setattr(sys, "stdout", TextIOWrapper(raw, encoding))
    output.document('{"a": "é😀"}')
    sys.stdout.flush()
    assert raw.getvalue().decode(encoding) == written


@pytest.mark.parametrize("colours", [True, False])
def test_colours_pass_the_guard_of_the_stream_if_they_are_wanted(
    monkeypatch: pytest.MonkeyPatch,
    colours: bool,  # noqa: FBT001
) -> None:
    stream = StringIO()
    monkeypatch.setattr(sys, "stdout", cast("TextIO", output.Guarded(stream)))
    output.painted(["\033[1ma\033[0m", "b"], colours=colours)
    assert stream.getvalue() == ("\033[1ma\033[0m\nb\n" if colours else "a\nb\n")


def made(found: Sequence[Diagnostic]) -> str:
    return f"document of {len(found)}"


@pytest.mark.parametrize(("form", "out"), [("json", "document of {}\n"), ("text", "")])
def test_a_document_is_printed_once_however_the_command_ends(
    capsys: pytest.CaptureFixture[str], form: str, out: str
) -> None:
    with output.concluded(form, made):
        pass
    assert capsys.readouterr().out == out.format(0)
    stop = fatal("r", "f", "x")
    with pytest.raises(Stop) as caught, output.concluded(form, made):
        raise stop
    assert caught.value is stop
    assert capsys.readouterr().out == out.format(1)
    with pytest.raises(ZeroDivisionError), output.concluded(form, made):
        raise ZeroDivisionError
    assert capsys.readouterr().out == ""


def test_what_nobody_reads_is_dropped_and_the_work_goes_on() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", buffering=1) as stream:
        patient = output.Patient(stream)
        assert patient.write("a\n") == 2
        assert patient.write("b\n") == 2
        patient.flush()
        assert patient.encoding == stream.encoding


def test_a_full_disk_is_told_at_the_end_and_the_work_goes_on() -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-m", "tritonrepo", "releases"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    said = "stdout: fatal: the output is incomplete: No space left on device [output-incomplete]"
    assert done.stderr == f"{said}\n  Free some space, and run the command again.\n"
    assert done.returncode == 2


ENDS: dict[str, tuple[list[Diagnostic], int]] = {
    "errors": ([Diagnostic("r", Severity.ERROR, Span("f"), "x")] * 2, 1),
    "a fatal one among errors": (
        [Diagnostic("r", Severity.ERROR, Span("f"), "x"), Diagnostic("r", Severity.FATAL, Span("f"), "x")],
        2,
    ),
    "a warning": ([Diagnostic("r", Severity.WARNING, Span("f"), "x")], 1),
}


@pytest.mark.parametrize(("found", "code"), ENDS.values(), ids=ENDS)
def test_the_worst_diagnostic_of_a_stop_decides(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], found: list[Diagnostic], code: int
) -> None:
    def main(*_: object, **__: object) -> int:
        raise Stop(found)

    monkeypatch.setattr(root, "main", main)
    assert run([]) == code
    said = capsys.readouterr()
    assert (said.out, len(said.err.splitlines())) == ("", len(found))


CODES: dict[str, tuple[Any, int]] = {"a code": (7, 7), "no code": (None, 0), "anything else": ("x", 0)}


@pytest.mark.parametrize(("returned", "code"), CODES.values(), ids=CODES)
def test_a_commands_own_code_is_the_exit_code(monkeypatch: pytest.MonkeyPatch, returned: object, code: int) -> None:
    monkeypatch.setattr(root, "main", lambda *_, **__: returned)
    assert run([]) == code


def test_an_aborted_question_is_told_as_an_interrupt(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def main(*_: object, **__: object) -> int:
        raise click.Abort

    monkeypatch.setattr(root, "main", main)
    assert run([]) == 130
    assert capsys.readouterr() == ("", "interrupted\n")


HELD = """\
import os, signal, sys
from tritonrepo import cli
def ended(arguments):
    print(arguments, flush=True)
    try:
        os.kill(os.getpid(), int(sys.argv[2]))
    except KeyboardInterrupt as error:
        os.kill(os.getpid(), int(sys.argv[2]))
        print(type(error).__name__, flush=True)
    return 7
cli.run = ended
cli.main()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_command_in_order_and_a_second_one_changes_nothing(number: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HELD, "validate", str(int(number))], capture_output=True, text=True, check=False
    )
    assert done.stdout == f"['validate', '{int(number)}']\nTerminated\n"
    assert done.returncode == 7
    assert cli.ENDING == (signal.SIGTERM, signal.SIGHUP)


SECONDS = {
    "a wait": (values.WAIT, "0.5", 0.5),
    "a pause": (values.PAUSE, "0", 0.0),
    "no wait": (values.WAIT, "0", None),
    "a negative pause": (values.PAUSE, "-0.1", None),
    "forever": (values.WAIT, "inf", None),
    "not a number": (values.PAUSE, "nan", None),
}


@tabled(("kind", "written", "seconds"), SECONDS.values(), ids=SECONDS)
def test_seconds_are_finite(kind: values.Seconds, written: str, seconds: float | None) -> None:
    if seconds is None:
        with pytest.raises(click.BadParameter):
            kind.convert(written, None, None)
    else:
        assert kind.convert(written, None, None) == seconds


@pytest.mark.parametrize(("port", "taken"), [("0", True), ("65535", True), ("-1", False), ("65536", False)])
def test_a_port_has_16_bits(port: str, taken: bool) -> None:  # noqa: FBT001
    if taken:
        assert values.PORT(port) == int(port)
    else:
        with pytest.raises(click.BadParameter):
            values.PORT(port)


def test_events_are_told_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    plan = Plan((Put(Phase.FILES, "m/1/a", of_text("x"), "new"), Put(Phase.FILES, "m/1/b", of_text("x"), "new")))
    for event in (
        Busy("fetching x"),
        Line("phase"),
        Indexed("r", Path("i"), 3),
        Built(Path("out"), plan),
        Built(Path("out"), Plan(())),
        Built(Path("out"), Plan((), kept=("m/a",))),
        Diagnostic("r", Severity.WARNING, Span("f"), "x", "Do."),
    ):
        progress.show(event)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == (
        "fetching x …\nphase\nr: i holds 3 passages\nout: 2 files written\nout: up to date\nout: nothing written\n"
        "f: warning: x [r]\n  Do.\n"
    )


def test_a_workspace_is_this_process_and_its_links() -> None:
    work = stack.workspace((Path("a"),))
    assert work.environ is os.environ
    assert (work.links, work.tell) == ((Path("a"),), progress.show)


INFO = next(rule for rule in RULES.values() if rule.severity is Severity.INFO)
ERROR, OTHER = RULES["dynamic-preferred-above-max"], RULES["version-zero"]
SHOWN = {
    "nothing named": ((), (), False, {"error", "other"}),
    "verbose": ((), (), True, {"error", "other", "info"}),
    "one selected": ((ERROR.name,), (), False, {"error"}),
    "two selected": ((ERROR.name, OTHER.name), (), False, {"error", "other"}),
    "one ignored": ((), (OTHER.name,), False, {"error"}),
    "selected and ignored": ((ERROR.name,), (ERROR.name,), False, set()),
    "two in one value": ((f"{ERROR.name}, {OTHER.name}",), (), False, {"error", "other"}),
    "all": (("ALL",), (OTHER.name,), False, {"error"}),
    "info selected": ((INFO.name,), (), False, set()),
    "info selected and verbose": ((INFO.name,), (), True, {"info"}),
}


@tabled(("select", "ignore", "verbose", "names"), SHOWN.values(), ids=SHOWN)
def test_rules_are_shown_as_the_options_say(
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    verbose: bool,  # noqa: FBT001
    names: set[str],
) -> None:
    shown = selected(select, ignore, verbose=verbose)
    assert {
        name for name, rule in (("error", ERROR), ("other", OTHER), ("info", INFO)) if shown.shows(rule, rule.severity)
    } == names


@pytest.mark.parametrize(("select", "ignore"), [((f"{ERROR.name},nosuch",), ()), ((), ("nosuch",))])
def test_each_rule_that_an_option_names_must_exist(select: tuple[str, ...], ignore: tuple[str, ...]) -> None:
    with pytest.raises(click.UsageError, match='unknown rule "nosuch"'):
        selected(select, ignore, verbose=False)


def test_options_make_the_target() -> None:
    found = aim("24.10", ("py3",), 3, no_auto_complete=True)(Said("24.05", gpus=2), Said("24.06", auto_complete=True))
    assert (found.release.name, found.images, found.gpus, found.auto_complete) == ("24.10", ("py3",), 3, False)
    kept = aim(None, (), None, no_auto_complete=False)(Said("24.05", ("py3",), 0), Said(auto_complete=False))
    assert (kept.release.name, kept.images, kept.gpus, kept.auto_complete) == ("24.05", ("py3",), 0, False)
    none = aim(None, (), 0, no_auto_complete=False)(NOTHING, NOTHING)
    assert (none.gpus, none.auto_complete) == (0, True)


UNKNOWN = {
    "a release": (("24.13", (), None), 'unknown Triton release "24.13". Use a release from 24.01 to 26.11.'),
    "an image": (("24.10", ("py3", "py33"), None), 'Triton 24.10 has no image "py33". Did you mean "py3"?'),
}


@pytest.mark.parametrize(("options", "message"), UNKNOWN.values(), ids=UNKNOWN)
def test_a_target_that_does_not_exist_is_wrong_usage(options: tuple[str, tuple[str, ...], None], message: str) -> None:
    with pytest.raises(click.UsageError) as caught:
        aim(*options, no_auto_complete=False)(NOTHING, NOTHING)
    assert caught.value.message == message
    assert aim("26.11", ("anything",), None, no_auto_complete=False)(NOTHING, NOTHING).images == ("anything",)


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_as_it_was_after_judging(enabled: bool) -> None:  # noqa: FBT001
    was = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        with suppress(ZeroDivisionError), uncollected():
            assert not gc.isenabled()
            raise ZeroDivisionError
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if was else gc.disable)()


CLEAN = 'backend: "identity"\ninput { name: "I" data_type: TYPE_FP32 dims: [ 1 ] }\n'
CLEAN += 'output { name: "O" data_type: TYPE_FP32 dims: [ 1 ] }\n'


@pytest.fixture
def models(inside: Path) -> Path:
    """Repositories `clean`, `warned` (version 0) and `broken`, each of one model, and no `model_repository`."""
    configs = {"clean": CLEAN, "warned": CLEAN, "broken": "max_batch_size: x\n"}
    for name, config in configs.items():
        version = inside / name / "m" / ("0" if name == "warned" else "1")
        version.mkdir(parents=True)
        (version / "weights").touch()
        (version.parent / "config.pbtxt").write_text(config, "utf-8")
    return inside


VALIDATED = {
    "clean": (["clean"], 0, "1 model: no problems found"),
    "a warning": (["warned"], 0, "1 model: 1 warning"),
    "a warning, strictly": (["warned", "--strict"], 1, "1 model: 1 warning"),
    "clean, strictly": (["clean", "--strict"], 0, "1 model: no problems found"),
    "an error": (["broken"], 1, "1 model: 1 error"),
    "several": (["clean", "warned", "broken"], 1, "3 models: 1 error, 1 warning"),
    "one that is not there": (["clean", "nowhere", "broken"], 2, "2 models: 1 error"),
    "the only one is not there": (["nowhere"], 2, ""),
    "none named": ([], 2, ""),
}


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize(("arguments", "code", "last"), VALIDATED.values(), ids=VALIDATED)
def test_validate_ends_with_a_count_and_its_code(
    capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, last: str
) -> None:
    assert run(["validate", *arguments, "--release", "24.10"]) == code
    said = capsys.readouterr()
    assert said.out.rstrip("\n").rpartition("\n")[2] == last
    missing = {"none named": "model_repository"}.get("none named" if not arguments else "", "nowhere")
    assert said.err.startswith(f"{missing}: fatal: the repository does not exist [validate-path]\n") == (code == 2)


def test_validate_reads_model_repository_by_default(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (models / "broken").rename(models / "model_repository")
    assert run(["validate", "--release", "24.10"]) == 1
    assert capsys.readouterr().out.startswith("model_repository/m/config.pbtxt:1:17: error: ")


@pytest.mark.usefixtures("models")
def test_what_is_only_good_to_know_is_told_if_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", "clean", "--release", "26.11"]) == 0
    quiet = capsys.readouterr().out
    assert run(["validate", "clean", "--release", "26.11", "-v", "--strict"]) == 0
    assert quiet.count("info:") <= capsys.readouterr().out.count("info:")


def test_explain_wants_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain"]) == 2
    assert "RULE or --all is required" in capsys.readouterr().err
    assert run(["explain", "--all"]) == 0
    every = capsys.readouterr().out.splitlines()
    assert len(every) > 300
    assert every == sorted(every)
    assert run(["explain", "version-zero"]) == 0
    assert capsys.readouterr().out.startswith("version-zero (warning): ")


def test_a_stop_of_one_diagnostic_is_an_error_or_fatal() -> None:
    for make, severity in ((fatal, "fatal"), (failure, "error")):
        stop = make("r", "f", "is wrong", "Do.")
        assert [(each.rule, each.severity, each.at, each.hint) for each in stop.diagnostics] == [
            ("r", severity, Span("f"), "Do.")
        ]
        assert make("r", Span("f", 2), "x").diagnostics[0].at == Span("f", 2)
        assert str(stop) == f"f: {severity}: is wrong [r]\n  Do."
