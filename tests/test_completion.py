"""Completion of command lines, as each shell asks for it and in a real Bash, and `help`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import click
import pytest
from click.shell_completion import split_arg_string

from tests.documents import commands
from tests.processes import unmeasured
from tests.test_startup import HEAVY
from tritonrepo.cli import COMMANDS, COMPLETE, run
from tritonrepo.cli.completing import SHELLS, prepare
from tritonrepo.cli.values import GpuModel
from tritonrepo.llm.gpus import gpu, gpus
from tritonrepo.releases import RELEASES
from tritonrepo.rules import RULES
from tritonrepo.rules.names import NAMES

Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch
DYNAMIC = [name for name in RULES if name.startswith("dynamic-")]


def completed(line: str, shell: str, patch: Patch, capsys: Capture) -> list[str]:
    """Return what a shell is told when TAB is pressed at the end of a line; of each, the value."""
    words = split_arg_string(line) + [""] * line.endswith(" ")
    patch.setenv("COMP_WORDS", line)
    patch.setenv("COMP_CWORD", words[-1] if shell == "fish" else str(len(words) - 1))
    patch.setenv(COMPLETE, f"{shell}_complete")
    with pytest.raises(SystemExit) as end:
        run([])
    assert end.value.code == 0
    out, err = capsys.readouterr()
    assert err == ""
    if shell == "zsh":
        lines = out.rstrip("\n").split("\n")
        return [f"({kind})" if kind != "plain" else value for kind, value in zip(lines[::3], lines[1::3], strict=False)]
    told = [line.partition(",") for line in out.rstrip("\n").split("\n") if line]
    return [f"({kind})" if kind != "plain" else value.partition("\t")[0] for kind, _, value in told]


KINDS = ["docker", "k8s", "kserve", "nim", "observe", "vllm"]
LINES: dict[str, tuple[str, Sequence[str]]] = {
    "commands": ("tritonrepo ", list(COMMANDS)),
    "a command": ("tritonrepo vali", ["validate"]),
    "a subcommand": ("tritonrepo deploy ", KINDS),
    "an option": ("tritonrepo validate --sel", ["--select"]),
    "an option of every command": ("tritonrepo index --col", ["--color"]),
    "an option before the command": ("tritonrepo --color ", ["auto", "always", "never"]),
    "choices": ("tritonrepo init --template ", ["rag", "search", "llm", "model"]),
    "a rule": ("tritonrepo validate --select dynamic-", DYNAMIC),
    "a rule to hide": ("tritonrepo validate --ignore dynamic-", DYNAMIC),
    "a family": ("tritonrepo validate --select sched", ["scheduling"]),
    "rules and families": ("tritonrepo validate --select ", [*NAMES, *RULES]),
    "a name that is no rule": ("tritonrepo explain stack-sch", ["stack-schema"]),
    "releases, the newest first": ("tritonrepo validate --release ", sorted(RELEASES, reverse=True)),
    "a release to change to": ("tritonrepo validate --upgrade-to 24.1", ["24.12", "24.11", "24.10"]),
    "a release to list": ("tritonrepo releases 24.1", ["24.12", "24.11", "24.10"]),
    "an image": ("tritonrepo validate --image vllm", ["vllm-python-py3"]),
    "a GPU": ("tritonrepo fit --gpu L4", [name for name in gpus() if name.startswith("L4")]),
    "a file": ("tritonrepo validate ", ["(file)"]),
    "a stack": ("tritonrepo up ", ["(file)"]),
    "a directory or URI": ("tritonrepo push mod", ["(file)"]),
    "a directory": ("tritonrepo validate --allow-links ", ["(dir)"]),
    "nothing that is known": ("tritonrepo push models s3", []),
    "a command to read on": ("tritonrepo help rel", ["releases"]),
    "a subcommand to read on": ("tritonrepo help deploy ", KINDS),
    "nothing below a command": ("tritonrepo help validate ", []),
    "a shell": ("tritonrepo completion ", ["bash", "zsh", "fish"]),
    "an unknown command": ("tritonrepo nothing --", []),
    "an unknown option": ("tritonrepo validate --nothing x --form", ["--format"]),
    "a value that is refused": ("tritonrepo serve models --release 1 --llm-eng", ["--llm-engine"]),
    "an open quote": ("tritonrepo validate --select 'dynamic-w", ["dynamic-without-batching"]),
}


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(("line", "offered"), LINES.values(), ids=LINES)
def test_a_shell_is_offered_what_the_line_can_go_on_with(
    line: str, offered: Sequence[str], shell: str, monkeypatch: Patch, capsys: Capture
) -> None:
    assert [*filter(None, completed(line, shell, monkeypatch, capsys))] == list(offered)


WORDS: dict[str, tuple[str, str, str, str]] = {
    "bash, at the =": ("bash", "tritonrepo\nfit\n--format\n=", "3", "plain,text plain,json"),
    "bash, after the =": ("bash", "tritonrepo\nfit\n--format\n=\nj", "4", "plain,json"),
    "bash, if = is of the word": ("bash", "tritonrepo\nfit\n--format=j", "2", "plain,--format=json"),
    "zsh": ("zsh", "tritonrepo fit --format=j", "2", "plain --format=json _"),
    "fish": ("fish", "tritonrepo fit --format=j", "--format=j", "plain,--format=json"),
    "a file, whose shell would look for the whole word": ("zsh", "tritonrepo smoke u --junit=x", "3", ""),
}


@pytest.mark.parametrize(("shell", "words", "at", "said"), WORDS.values(), ids=WORDS)
def test_a_value_after_an_equals_sign_is_completed(
    shell: str, words: str, at: str, said: str, monkeypatch: Patch, capsys: Capture
) -> None:
    for name, value in {"COMP_WORDS": words, "COMP_CWORD": at, COMPLETE: f"{shell}_complete"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit):
        run([])
    assert capsys.readouterr().out.split() == said.split()


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_what_is_offered_is_explained(shell: str, monkeypatch: Patch, capsys: Capture) -> None:
    monkeypatch.setenv("COMP_WORDS", "tritonrepo validate --select version-zero")
    monkeypatch.setenv("COMP_CWORD", {"zsh": "3", "fish": "version-zero"}[shell])
    monkeypatch.setenv(COMPLETE, f"{shell}_complete")
    with pytest.raises(SystemExit):
        run([])
    assert RULES["version-zero"].check.__doc__.strip(".") in capsys.readouterr().out  # type: ignore[union-attr]


def test_a_line_that_no_shell_would_send_offers_nothing(monkeypatch: Patch, capsys: Capture) -> None:
    for words, at in (("", "x"), ("tritonrepo", ""), ("\udcff'\"\\", "0")):
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", at)
        monkeypatch.setenv(COMPLETE, "bash_complete")
        with pytest.raises(SystemExit):
            run([])
        assert capsys.readouterr() == ("\n", "")


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_is_for_its_shell(shell: str, capsys: Capture) -> None:
    assert run(["completion", shell]) == 0
    out, err = capsys.readouterr()
    assert f"{COMPLETE}={shell}_complete" in out
    assert err == ""


def test_another_shell_is_wrong_usage(capsys: Capture) -> None:
    assert run(["completion", "csh"]) == 2
    assert "'csh' is not one of 'bash', 'zsh', 'fish'" in capsys.readouterr().err


BASH = """
eval "$(tritonrepo completion bash)"
complete -p tritonrepo
compopt() { printf 'compopt %s\\n' "$2"; }
for line in 'tritonrepo vali' 'tritonrepo help dep' 'tritonrepo releases --format = j' 'tritonrepo init mo'; do
  COMP_WORDS=($line) COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMPREPLY=()
  _tritonrepo_completion tritonrepo
  printf '%s: %s\n' "$line" "${COMPREPLY[*]}"
done
"""


def test_a_real_bash_reads_the_script_and_completes(tmp_path: Path) -> None:
    program = tmp_path / "tritonrepo"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tritonrepo "$@"\n', "utf-8")
    program.chmod(0o755)
    environment = unmeasured() | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(["bash", "--norc", "-c", BASH], env=environment, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "complete -o nosort -F _tritonrepo_completion tritonrepo",
        "tritonrepo vali: validate",
        "tritonrepo help dep: deploy",
        "tritonrepo releases --format = j: json",
        "compopt default",
        "tritonrepo init mo: ",
    ]


def test_completion_loads_no_heavy_library() -> None:
    script = (
        "import sys\nfrom tritonrepo.cli import run\n"
        "try: run([])\nfinally: print(*{name.split('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    asked = {"COMP_WORDS": "tritonrepo push --allow", "COMP_CWORD": "2", COMPLETE: "bash_complete"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=unmeasured() | asked, capture_output=True, text=True, check=True
    )
    assert "--allow-links" in done.stdout
    assert not HEAVY & set(done.stderr.split())


@pytest.mark.parametrize("name", ["", *commands()])
def test_help_prints_what_the_option_prints(name: str, capsys: Capture) -> None:
    assert run([*name.split(), "--help"]) == 0
    whole = capsys.readouterr().out
    assert run(["help", *name.split()]) == 0
    assert capsys.readouterr().out == whole


UNKNOWN = {
    "a command": (["biuld"], 'unknown command "biuld". Did you mean "build"?'),
    "a command like no other": (["x"], 'unknown command "x". Commands: adopt, ask'),
    "a subcommand": (["deploy", "dokcer"], 'unknown kind of server "dokcer". Use `tritonrepo deploy docker`, '),
    "below a command": (["build", "now"], '"build" has no subcommands, so "now" cannot be one of them'),
    "an option": (["--", "--all"], "No such option '--all'"),
}


@pytest.mark.parametrize(("names", "said"), UNKNOWN.values(), ids=UNKNOWN)
def test_help_of_what_is_unknown_is_wrong_usage(names: list[str], said: str, capsys: Capture) -> None:
    assert run(["help", *names]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err


def test_what_a_shell_is_offered_is_read_as_before() -> None:
    command = click.Command("x", params=[click.Option(["--gpu"], type=GpuModel()), click.Option(["--release"])])
    prepare(command)
    for name, given, read in (("gpu", "L4", gpu("L4")), ("release", "24.10", "24.10")):
        (option,) = (each for each in command.params if each.name == name)
        assert option.type.convert(given, option, None) == read
