"""Foreign text never controls a terminal, begins a line, damages a document, or shows a password."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import TextIO, cast
from xml.etree import ElementTree as ET

import pytest

from tests.processes import unmeasured
from tests.servers.s3 import S3Server
from tests.speaking import Asked, Said, plain, speaking, streamed
from tests.tabled import tabled
from tests.test_cli import raising
from tritonrepo.cli import output, root, run
from tritonrepo.cli.asking import ask
from tritonrepo.diagnostics import fatal
from tritonrepo.flows.asking import Pipelines
from tritonrepo.report import json as report_json
from tritonrepo.sync import lock

EVIL = "\x1b]0;t\x07\x9b31m\u202e\u2028\r\n::error::x\n##[group]\x7f\U000e0041"
DRIVING = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\U000e0000-\U000e007f]"
)
"""C0 and C1, bidirectional marks, overrides and isolates, line separators, halves of surrogates, invisible tags."""


def harmless(text: str) -> bool:
    """Whether nothing in a text controls a terminal or begins a line as a CI service's command."""
    return not DRIVING.search(text) and not re.search(r"^\s*(::|##)", text, re.MULTILINE)


def process(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "tritonrepo", *arguments]
    return subprocess.run(command, cwd=cwd, env=unmeasured() | environment, capture_output=True, check=False)


@pytest.fixture
def evil(tmp_path: Path) -> Path:
    """A repository with hostile names: escapes, line breaks, commands, and bytes that are not UTF-8."""
    for name in (EVIL.encode(), b"byte\xff\x9b", b"::error::boo", "nbsp\u00a0\u200d".encode()):
        model = tmp_path / "evil" / os.fsdecode(name)
        (model / "1").mkdir(parents=True)
        (model / "config.pbtxt").write_bytes(b'backend: "x"\nmax_batch_size: -1 # \x1b[31m\xc2\x9b \xe2\x80\xae\n')
    return tmp_path


STREAMS = {
    "as usual": {},
    "a locale without letters": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "a stream of another encoding": {"PYTHONIOENCODING": "latin-1"},
    "a stream that passes bytes on": {"PYTHONIOENCODING": "utf-8:surrogateescape"},
    "colours": {"FORCE_COLOR": "1"},
}


@pytest.mark.parametrize("environment", STREAMS.values(), ids=STREAMS)
def test_names_and_lines_of_a_repository_are_harmless_text(evil: Path, environment: dict[str, str]) -> None:
    done = process("validate", "evil", cwd=evil, **environment)
    said = (done.stdout + done.stderr).decode(environment.get("PYTHONIOENCODING", "utf-8").split(":")[0])
    assert done.returncode == 1, said
    said = re.sub(r"\x1b\[(0|(1;)?3[136]|1)m", "", said) if "FORCE_COLOR" in environment else said
    assert harmless(said)
    assert "byte\\udcff\\udc9b" in said


@pytest.mark.parametrize("environment", STREAMS.values(), ids=STREAMS)
def test_json_is_valid_in_every_stream(evil: Path, environment: dict[str, str]) -> None:
    done = process("validate", "evil", "--format", "json", cwd=evil, **environment)
    assert done.returncode == 1, done.stderr
    text = done.stdout.decode("utf-8")
    assert harmless(text)
    assert not re.search(r"\\ud[89a-f]..(?!\\ud[c-f])", re.sub(r"\\ud[89ab]..\\ud[c-f]..", "", text.replace(r"\\", "")))
    models = {verdict["model"] for verdict in json.loads(text)["verdicts"]}
    assert {r"byte\udcff\udc9b", "::error::boo"} <= models
    if "PYTHONUTF8" not in os.environ | environment:  # where it is 0, names are bytes
        assert {"nbsp\u00a0\u200d", EVIL} <= models


def test_keys_of_a_bucket_are_harmless(s3_server: S3Server, tmp_path: Path) -> None:
    uri = s3_server.fresh()
    bucket, prefix = uri.removeprefix(f"s3://{s3_server.endpoint}/").split("/", 1)
    for name in (EVIL, "::error::boo", "a\n::error::boo"):
        s3_server.client().put_object(Bucket=bucket, Key=f"{prefix}/{name}/config.pbtxt", Body=b'backend: "x"\n')
    done = process("validate", uri, cwd=tmp_path)
    said = done.stdout.decode()
    assert done.returncode == 1, done.stderr
    assert harmless(said + done.stderr.decode())
    assert "boo" in said
    assert not [line for line in said.splitlines() if line.strip().startswith(("boo", "\\x3a:error::boo"))]


def test_a_plan_and_a_build_name_files_harmlessly(evil: Path) -> None:
    (evil / "bucket").mkdir()
    done = process("push", "evil", "bucket/\x1b[31m", cwd=evil)
    assert done.returncode in {1, 2}
    assert harmless((done.stdout + done.stderr).decode())


def test_who_holds_a_lock_is_told_harmlessly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lock, "SILENT_S", 0.05)
    monkeypatch.setattr(lock, "LOOK_S", 0.01)
    model = tmp_path / "models" / "m"
    (model / "1").mkdir(parents=True)
    (model / "1" / "model.py").write_text("class TritonPythonModel:\n    def execute(self, r):\n        return []\n")
    (model / "config.pbtxt").write_text('backend: "python"\n')
    (tmp_path / "bucket" / "p.tritonrepo").mkdir(parents=True)
    holder = {"by": EVIL, "host": EVIL, "at": EVIL, "machine": "m", "pid": "1", "born": "1"}
    (tmp_path / "bucket" / "p.tritonrepo" / "lock.json").write_text(json.dumps(holder))
    run(["push", "models", "bucket/p", "--settle", "0"])
    said = capsys.readouterr()
    assert "to see whether the push by" in said.err
    assert harmless(said.out + said.err)


def hostile(asked: Asked) -> Said:
    """Answer as no Triton server would."""
    if asked.path.endswith("/generate_stream"):
        return streamed("to\x1b[2J be\n", "or \x9bnot\r\n", "\u202e\ud83d", "l'\u00e9t\u00e9\u00a0!")
    if asked.path.endswith("/index"):
        return plain([{"name": EVIL, "version": "1", "state": "READY", "reason": EVIL}])
    body = {"name": EVIL, "versions": ["1"], "error": EVIL, "backend": EVIL, "inputs": [], "outputs": []}
    return plain(body, 400 if "/models/" in asked.path else 200)


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_a_server_says_is_harmless(tmp_path: Path, form: str) -> None:
    with speaking(hostile) as here:
        done = process("smoke", here.url, "--grpc", "none", "--format", form, "--junit", "smoke.xml", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert harmless((done.stdout + done.stderr).decode())
    assert b"error" in done.stdout
    ET.fromstring((tmp_path / "smoke.xml").read_bytes().decode("utf-8"))
    assert harmless((tmp_path / "smoke.xml").read_text("utf-8").split("?>", 1)[1])
    if form == "json":
        assert json.loads(done.stdout)["results"][0]["model"] == EVIL


def test_an_answer_keeps_its_lines_and_letters_and_drives_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with speaking(hostile) as here:
        assert ask(here.url, Pipelines("m", None), "q") == 0
    assert capsys.readouterr().out == "to\\x1b[2J be\nor \\x9bnot\n\\u202e\\ud83dl'\u00e9t\u00e9\u00a0!\n"


SECRET = "p4ss/w@rd"
PLACES = {
    "push": ["push", "models", f"s3://http://user:{SECRET}@127.0.0.1:1/b/p"],
    "push without the inner scheme": ["push", "models", f"s3://user:{SECRET}@127.0.0.1:1/b/p"],
    "push to another scheme": ["push", "models", f"http://user:{SECRET}@127.0.0.1:1/b/p"],
    "push with a slash too few": ["push", "models", f"s3:/user:{SECRET}@b/p"],
    "validate": ["validate", f"s3://https://user:{SECRET}@127.0.0.1:1/b", "--format", "json"],
    "serve": ["serve", f"s3://http://user:{SECRET}@127.0.0.1:1/b/p"],
    "smoke": ["smoke", f"http://user:{SECRET}@127.0.0.1:1", "--junit", "s.xml"],
    "smoke without a scheme": ["smoke", f"user:{SECRET}@127.0.0.1:1"],
    "smoke over gRPC": ["smoke", "127.0.0.1:1", "--grpc", f"user:{SECRET}@127.0.0.1:2"],
    "smoke of a repository": ["smoke", "127.0.0.1:1", f"s3://http://user:{SECRET}@127.0.0.1:1/b/p"],
    "push of a server": ["push", "models", "bucket/p", "--server", f"https://user:{SECRET}@127.0.0.1:1"],
    "build": ["build", "-o", f"s3://http://user:{SECRET}@127.0.0.1:1/b/p"],
    "a word too many": ["build", f"http://user:{SECRET}@127.0.0.1:1"],
    "no number": ["smoke", "127.0.0.1:1", "--timeout", f"http://user:{SECRET}@127.0.0.1:1"],
}


@pytest.mark.parametrize("secret", ["p4ssword", "p4ss@w", "12p4ss", SECRET])
@pytest.mark.parametrize("arguments", PLACES.values(), ids=PLACES)
def test_a_password_is_never_shown(
    inside: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], secret: str
) -> None:
    (inside / "models" / "m" / "1").mkdir(parents=True)
    (inside / "models" / "m" / "config.pbtxt").write_text('backend: "identity"\n')
    assert run([argument.replace(SECRET, secret) for argument in arguments]) == 2
    said = capsys.readouterr()
    assert "p4ss" not in said.out + said.err
    assert "***@" in said.err or "127.0.0.1" not in said.err


SHOWN = {
    "hf://Qwen/Qwen2.5@main": "hf://Qwen/Qwen2.5@main",
    "s3://http://127.0.0.1:9000/b/key@1": "s3://http://127.0.0.1:9000/b/key@1",
    "s3://bucket/a@b:c": "s3://bucket/a@b:c",
    "to http://u:p@h/a and https://t@h": "to http://***@h/a and https://***@h",
    "s3://http://u:p/q@h:1/b": "s3://http://***@h:1/b",
    "mail me@example.org": "mail me@example.org",
}


@tabled(("text", "shown"), SHOWN.items())
def test_what_is_no_password_is_shown(text: str, shown: str) -> None:
    assert str(fatal("r", "f", text)) == f"f: fatal: {shown} [r]"
    assert json.loads(report_json.dumps({"a": [text]})) == {"a": [shown]}


def test_a_bug_is_told_harmlessly(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    error = ZeroDivisionError(EVIL + " http://user:p4ss@127.0.0.1:1")
    monkeypatch.setattr(root, "main", raising(error))
    assert run(["build"]) == 3
    said = capsys.readouterr().err
    assert "ZeroDivisionError" in said
    assert harmless(said)
    assert "p4ss" not in said


def test_what_libraries_print_is_harmless() -> None:
    stream = StringIO()
    guarded = output.Guarded(stream)
    print(f"{EVIL}é\udcff\tx\n", file=cast("TextIO", guarded))
    assert not DRIVING.search(stream.getvalue())
    assert "é\\udcff\tx\n" in stream.getvalue()
