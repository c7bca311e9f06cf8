"""`doctor`: what each part says about a machine that has everything, and about broken ones."""

from __future__ import annotations

import importlib.metadata
import json
import os
import socket
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.test_json import checked
from tests.test_server_parts import GOOD
from tritonrepo.cli import run
from tritonrepo.flows import doctor as flow
from tritonrepo.flows.checks import Check, State
from tritonrepo.flows.doctor import Examination, doctor
from tritonrepo.flows.workspace import Workspace
from tritonrepo.server import keeper, leftovers, machine
from tritonrepo.server.ports import Ports


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory without a stack, an empty home and cache, and no programs."""
    for name in ("home", "temporary", "work"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "work")
    for variable, place in {"HOME": "home", "XDG_CACHE_HOME": "cache", "TMPDIR": "temporary", "PATH": "bin"}.items():
        monkeypatch.setenv(variable, str(tmp_path / place))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "TRITONREPO_VLLM", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(flow, "USUAL", Ports(0, 0, 0))
    return tmp_path


def seen(name: str, given: Examination | None = None) -> list[Check]:
    return [each for each in doctor(Workspace(os.environ), given) if each.name == name]


def test_a_machine_that_has_all_is_described(bare: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--format", "json"]) == 0
    document = checked("doctor", capsys.readouterr().out)
    states = {each["name"]: each["state"] for each in document["checks"]}
    assert states.items() >= {
        ("python", "ok"),
        ("machine", "ok"),
        ("shared memory", "ok"),
        ("cache", "ok"),
        ("ports", "ok"),
        ("docker", "absent"),
        ("gpu", "absent"),
        ("vllm", "absent"),
        ("leftovers", "ok"),
        ("stack", "absent"),
        ("credentials", "absent"),
    }
    assert document["summary"]["error"] == 0
    assert run(["doctor"]) == 0
    text = capsys.readouterr().out
    assert "(Triton 24.10)" in text
    assert text.splitlines()[-1] == ", ".join(f"{n} {state}" for state, n in ordered(document["summary"]) if n)
    assert not (bare / "cache").exists()  # nothing is written


def ordered(summary: dict[str, int]) -> list[tuple[str, int]]:
    return [(state, summary[state]) for state in ("ok", "warning", "error", "absent")]


def test_an_interpreter_that_cannot_serve_is_an_error_with_its_cure(
    bare: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = replace(GOOD, numpy="2.3.5", libpython="")
    monkeypatch.setattr(flow, "asked", lambda *_: facts)
    found = [each for each in doctor(Workspace(os.environ)) if each.state is State.ERROR]
    assert [each.name for each in found] == ["runtime-libpython", "runtime-numpy"]
    assert all(each.cure and each.needed_by == ("serve", "up") for each in found)
    assert run(["doctor"]) == 1
    assert "pip install 'numpy<2'" in capsys.readouterr().out
    monkeypatch.setattr(flow, "asked", lambda *_: replace(GOOD, wheel=str(bare)))
    assert [each.name for each in doctor(Workspace(os.environ)) if each.state is State.ERROR] == ["runtime-wheel"] * 4


@pytest.mark.usefixtures("bare")
def test_another_interpreter_is_examined_and_may_be_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--runtime", "/etc/passwd"]) == 1
    assert "/etc/passwd: this is not a usable Python interpreter" in capsys.readouterr().out


@pytest.mark.usefixtures("bare")
def test_ports_disks_and_memory_that_do_not_suffice_are_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setattr(flow, "USUAL", Ports(taken.getsockname()[1], 0, 0))
        (port,) = seen("ports")
    assert (port.state, port.seen.endswith("is in use by another program")) == (State.WARNING, True)
    monkeypatch.setattr(machine, "memory", lambda: 1 << 20)
    monkeypatch.setattr(machine, "place", lambda _: machine.Place(1 << 30, 1 << 20, writable=True))
    low = [each for each in doctor(Workspace(os.environ)) if each.state is State.WARNING]
    assert [each.name for each in low] == ["machine", "shared memory", "temporary files", "cache"]
    assert "--shm-size" in low[1].cure
    monkeypatch.setattr(machine, "place", lambda _: machine.Place(0, 0, writable=False))
    wrong = [each.name for each in doctor(Workspace(os.environ)) if each.state is State.ERROR]
    assert wrong == ["shared memory", "temporary files", "cache"]


@pytest.mark.parametrize(
    ("files", "bytes_"),
    [
        ({"proc": "MemTotal: 9 kB\nMemAvailable:  2048 kB\n"}, 2 << 20),
        ({"proc": "MemAvailable: 2048 kB\n", "group": "1048576\n"}, 1 << 20),
        ({"proc": "MemAvailable: 2048 kB\n", "group": "max\n"}, 2 << 20),
        ({"proc": "MemAvailable:\n"}, None),
        ({"proc": "MemAvailable: x kB\n", "group": ""}, None),
        ({}, None),
    ],
)
def test_memory_is_that_of_the_container(tmp_path: Path, files: dict[str, str], bytes_: int | None) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text, "ascii")
    assert machine.memory(tmp_path / "proc", tmp_path / "group") == bytes_


def test_a_place_is_that_of_the_nearest_directory(tmp_path: Path) -> None:
    assert machine.place(tmp_path / "a" / "b").writable
    (tmp_path / "file").touch()
    assert not machine.place(tmp_path / "file" / "cache").writable
    assert machine.place(tmp_path / "a\0b").writable


PROGRAMS: dict[str, tuple[str | None, State, str]] = {
    "answers": (
        "echo 'NVIDIA H100, 81559 MiB, 550.54'; echo second",
        State.OK,
        "NVIDIA H100, 81559 MiB, 550.54; second",
    ),
    "fails": ("echo no devices >&2; exit 9", State.WARNING, "nvidia-smi does not answer: no devices"),
    "fails silently": ("exit 9", State.WARNING, "nvidia-smi does not answer: exit code 9"),
    "hangs with a child": (
        "sleep 600 & sleep 600",
        State.WARNING,
        "nvidia-smi does not answer: no response within 0.2 s",
    ),
    "not there": (None, State.ABSENT, "nvidia-smi is not installed"),
    "drives a terminal": ("printf '\\033[2Jx'", State.OK, "\033[2Jx"),
}


@pytest.mark.parametrize(("code", "state", "words"), PROGRAMS.values(), ids=PROGRAMS)
def test_a_program_is_asked_for_a_moment(
    bare: Path, monkeypatch: pytest.MonkeyPatch, code: str | None, state: State, words: str
) -> None:
    monkeypatch.setattr(machine, "PROGRAM_S", 0.2 if code and "sleep" in code else 20)
    if code is not None:
        program = bare / "bin" / "nvidia-smi"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{code}\n", "utf-8")
        program.chmod(0o700)
    assert [(each.state, each.seen) for each in seen("gpu")] == [(state, words)]


@pytest.mark.usefixtures("bare")
def test_what_could_drive_a_terminal_is_escaped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(machine, "program", lambda _: (True, "\033[2J\nline"))
    assert run(["doctor"]) == 0
    assert "\033" not in capsys.readouterr().out


def test_credentials_are_named_and_never_shown(
    bare: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(bare / "nowhere.json"))
    (bare / "home" / ".aws").mkdir()
    (bare / "home" / ".aws" / "credentials").write_text("secret", "utf-8")
    assert run(["doctor"]) == 1
    said = capsys.readouterr().out
    assert "GOOGLE_APPLICATION_CREDENTIALS, HF_TOKEN, ~/.aws/credentials" in said
    assert "the file that GOOGLE_APPLICATION_CREDENTIALS names does not exist" in said
    assert "secret" not in said


def test_what_killed_runs_left_is_named_and_not_removed(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = bare / "temporary" / "tritonrepo-abcdefgh"
    home.mkdir()
    said = {"keeper": 1, "owner": 1, "about": "r", "since": 0}
    (home / keeper.CLAIM).write_text(json.dumps(said) + "\n", "utf-8")
    assert [(each.state, each.seen) for each in seen("leftovers")] == [
        (State.WARNING, f"{home}: a killed run left files")
    ]
    monkeypatch.setattr(leftovers, "processes", lambda _: [11, 12])
    (left,) = seen("leftovers")
    assert left.cure.startswith("Run `kill -9 11 12`.")
    assert home.is_dir()


STACKS: dict[str, tuple[str, State, str]] = {
    "valid": ("name: a\nmodels: {m: {backend: python, source: ./m.py, config: {}}}\n", State.OK, "declares 1 models"),
    "broken": ("a: [", State.ERROR, "tritonrepo.yaml:1"),
    "not UTF-8": ("\udcff", State.ERROR, "tritonrepo.yaml"),
    "empty": ("", State.ERROR, "tritonrepo.yaml"),
}


@pytest.mark.parametrize(("text", "state", "words"), STACKS.values(), ids=STACKS)
def test_the_stack_of_the_directory_is_read(bare: Path, text: str, state: State, words: str) -> None:
    (bare / "work" / "tritonrepo.yaml").write_bytes(text.encode("utf-8", "surrogateescape"))
    found = seen("stack")
    assert {each.state for each in found} == {state}, found
    assert words in found[0].seen


def test_an_environment_of_vllm_that_cannot_be_used_is_a_warning(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = bare / "vllm" / "bin" / "python"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\necho '{}'\n", "utf-8")
    program.chmod(0o700)
    monkeypatch.setenv("TRITONREPO_VLLM", str(bare / "vllm"))
    (found,) = seen("vllm")
    assert (found.state, "has no vLLM" in found.seen) == (State.WARNING, True)


@pytest.mark.usefixtures("bare")
def test_packages_are_compared_with_what_the_extras_need(monkeypatch: pytest.MonkeyPatch) -> None:
    needs = ['boto3>=999; extra == "s3"', "jinja2>=3.1; extra == 'server'", 'no_such>=1 ; extra == "hub"', "click>=8.2"]
    monkeypatch.setattr(importlib.metadata, "requires", lambda _: needs)
    found = {each.seen: (each.state, each.cure) for each in seen("packages")}
    assert found == {
        "s3: boto3 missing or too old": (State.ABSENT, "Run `pip install 'tritonrepo[s3]'`."),
        "server: all packages are installed": (State.OK, ""),
        "hub: no_such missing or too old": (State.ABSENT, "Run `pip install 'tritonrepo[hub]'`."),
    }


@pytest.mark.usefixtures("bare")
def test_the_network_is_used_only_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    real: Callable[..., Any] = machine.reached

    def reached(url: str) -> str:
        called.append(url)
        return str(real(url))

    monkeypatch.setattr(machine, "reached", reached)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
    monkeypatch.setenv("HF_ENDPOINT", "https://[bad")
    with socket.create_server(("127.0.0.1", 0)) as open_port:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{open_port.getsockname()[1]}")
        doctor(Workspace(os.environ))
        assert not called
        found = {each.name: each.state for each in doctor(Workspace(os.environ), Examination(network=True))}
    assert (found["package index"], found["hub"], found["bucket"]) == (State.ERROR, State.ERROR, State.OK)
    assert len(called) == 3


@pytest.mark.usefixtures("bare")
def test_a_part_that_fails_by_surprise_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(machine, "memory", broken)
    (found,) = seen("doctor")
    assert (found.state, "Input/output error" in found.seen) == (State.WARNING, True)
