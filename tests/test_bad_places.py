"""Places that a build cannot work with: locks, outputs and sources, each told in its messages, with nothing written."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.hub import Hub, ranged, refused, running, sha256
from tests.speaking import Asked, Said, speaking
from tests.test_bad_inputs import here, state, told
from tritonrepo.cli import run
from tritonrepo.sources import patience
from tritonrepo.stores.directory import STAGING

__all__ = ["here"]

STACK = """\
name: s
target: {release: "24.10", images: [py3], gpus: 0}
models:
  m:
    backend: python
    source: ./m.py
    config:
      max_batch_size: 8
      input: [{name: IN, data_type: TYPE_FP32, dims: [2]}]
      output: [{name: OUT, data_type: TYPE_FP32, dims: [2]}]
"""
CODE = "class TritonPythonModel:\n    def execute(self, requests):\n        return []\n"
FILE, LOCK, OUT = Path("tritonrepo.yaml"), Path("tritonrepo.lock"), Path("model_repository")
ELSEWHERE = Path("../elsewhere")


@pytest.fixture
def good(here: Path) -> Path:
    """The directory above a stack that builds, which is the current directory."""
    FILE.write_text(STACK, "utf-8")
    Path("m.py").write_text(CODE, "utf-8")
    return here


def filled(path: Path | str, content: str | bytes = "x") -> Callable[[], object]:
    """Return what writes a file, and the directories above it."""

    def write() -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(content if isinstance(content, bytes) else content.encode())

    return write


def linked(path: Path | str, target: Path | str) -> Callable[[], object]:
    """Return what makes a link; a target elsewhere exists."""

    def link() -> None:
        if ELSEWHERE.name in str(target):
            filled(ELSEWHERE / "file")()
        Path(path).unlink(missing_ok=True)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).symlink_to(target)

    return link


def source(text: str, then: Callable[[], object] = lambda: None) -> Callable[[], object]:
    """Return what changes the source of the stack's model, and does something more."""
    return lambda: (FILE.write_text(STACK.replace("./m.py", text), "utf-8"), then())


def instead(make: Callable[[Path], object]) -> Callable[[], object]:
    """Return what makes something else of the stack file."""

    def replace() -> None:
        FILE.unlink()
        make(FILE)

    return replace


class Row(NamedTuple):
    """What is done to the directory, what the command then says, a part of the next step, and the exit code."""

    spoil: Callable[[], object]
    says: str
    hint: str
    code: int = 2


BROKEN = "tritonrepo.lock: the file is not a valid lock file: "
RESTORE = "Restore it from version control"
CONFLICT = """\
{
  "schema": 2,
<<<<<<< HEAD
  "indexes": {},
=======
  "indexes": {"i": {}},
>>>>>>> b
  "models": {},
  "sources": {}
}
"""
NUMBERED = '{"schema": 2, "indexes": {}, "sources": {},\n"models": {"m": {"version": 0, "contents": {}}}}'
LOCKS = {
    "a directory": Row(LOCK.mkdir, "tritonrepo.lock: the lock file is not a regular file", "Move it elsewhere"),
    "a FIFO": Row(lambda: os.mkfifo(LOCK), "tritonrepo.lock: the lock file is not a regular file", "Move it elsewhere"),
    "a link out": Row(
        linked(LOCK, ELSEWHERE / "file"),
        "tritonrepo.lock: tritonrepo.lock leads out of . through a link, which is not followed",
        "Replace the link with the file itself",
    ),
    "a merge conflict": Row(
        filled(LOCK, CONFLICT),
        "tritonrepo.lock:3: the lock file has an unresolved merge conflict",
        "Run `tritonrepo lock`",
    ),
    "a later schema": Row(
        filled(LOCK, '{"schema": 3}'),
        "tritonrepo.lock: the lock file has schema 3, but this tritonrepo reads schemas 1 to 2",
        "Upgrade tritonrepo.",
    ),
    "no schema": Row(filled(LOCK, "{}"), f'{BROKEN}"schema" is missing', RESTORE),
    "empty": Row(filled(LOCK, ""), f"{BROKEN}Expecting value".replace(":", ":1:1:", 1), RESTORE),
    "YAML": Row(filled(LOCK, "schema: 2\n"), f"{BROKEN}Expecting value".replace(":", ":1:1:", 1), RESTORE),
    "a list": Row(filled(LOCK, "[]"), f"{BROKEN}the top level is [], not an object", RESTORE),
    "UTF-16": Row(filled(LOCK, '{"schema": 2}'.encode("utf-16")), f"{BROKEN}it is not valid UTF-8 at byte 0", RESTORE),
    "nested without end": Row(filled(LOCK, "[" * 100_000), f"{BROKEN}it is nested too deeply", RESTORE),
    "version 0": Row(
        filled(LOCK, NUMBERED),
        f'{BROKEN}"version" of "m" is 0, not a number from 1 to 9223372036854775807'.replace(":", ":2:", 1),
        RESTORE,
    ),
    "a key twice": Row(
        filled(LOCK, '{"schema": 2,\n"schema": 2}'), f'{BROKEN}"schema" is set twice'.replace(":", ":2:", 1), RESTORE
    ),
}
NO_DIRECTORY = "model_repository: the output cannot be a directory: Not a directory"
OTHER = "Choose another directory with -o."
BLOCKED = "the build needs a file where a directory is, or a directory where a file is"
MOVE = "Move it elsewhere"
OUTPUTS = {
    "a file": Row(filled(OUT), NO_DIRECTORY, OTHER),
    "a FIFO": Row(lambda: os.mkfifo(OUT), NO_DIRECTORY, OTHER),
    "a link to a file": Row(linked(OUT, "m.py"), NO_DIRECTORY, OTHER),
    "a link to nothing": Row(linked(OUT, "nowhere"), NO_DIRECTORY, OTHER),
    "a link to itself": Row(linked(OUT, OUT), NO_DIRECTORY, OTHER),
    "a record that is a directory": Row(
        filled(OUT / "tritonrepo.json" / "x"),
        "model_repository/tritonrepo.json: the build keeps its record at this path, but it is a directory",
        MOVE,
    ),
    "a record that is a link": Row(
        linked(OUT / "tritonrepo.json", "/etc/passwd"),
        "model_repository/tritonrepo.json: the build keeps its record at this path, but it is a link to /etc/passwd",
        MOVE,
    ),
    "a record of a later schema": Row(
        filled(OUT / "tritonrepo.json", '{"schema": 99}'),
        "model_repository/tritonrepo.json: the build record has schema 99, but this tritonrepo reads schema 1",
        "Upgrade tritonrepo.",
    ),
    "a file in place of the model": Row(filled(OUT / "m"), f"model_repository/m: {BLOCKED}", MOVE),
    "a link in place of the model": Row(linked(OUT / "m", "../../elsewhere"), f"model_repository/m: {BLOCKED}", MOVE),
    "a file in place of the version": Row(filled(OUT / "m" / "1"), f"model_repository/m/1: {BLOCKED}", MOVE),
    "an empty directory in place of the config": Row(
        lambda: (OUT / "m" / "config.pbtxt").mkdir(parents=True), f"model_repository/m/config.pbtxt: {BLOCKED}", MOVE
    ),
    "a directory in place of the config": Row(
        filled(OUT / "m" / "config.pbtxt" / "x"), f"model_repository/m/config.pbtxt: {BLOCKED}", MOVE
    ),
    "a config of somebody else": Row(
        filled(OUT / "m" / "config.pbtxt"),
        "model_repository/m/config.pbtxt: the build needs this path, but tritonrepo did not write the file",
        "Move the file elsewhere",
    ),
    "a link in place of the staging directory": Row(
        linked(STAGING, "nowhere"),
        "{here}/.tritonrepo-staging: the staging directory is a link, which is not followed",
        "Remove the link.",
    ),
    "a file in place of the staging directory": Row(
        filled(STAGING), "{here}/tritonrepo.lock: cannot write: File exists", "Move the file"
    ),
}
SOURCES = {
    "nothing": Row(
        source("./none.py"), 'tritonrepo.yaml:6:13: "./none.py" does not exist', "Check that none.py exists."
    ),
    "a FIFO": Row(
        source("./f", lambda: os.mkfifo("f")),
        'tritonrepo.yaml:6:13: "./f" is neither a file nor a directory',
        "Use a file or a directory.",
    ),
    "a device": Row(
        source("/dev/zero"),
        'tritonrepo.yaml:6:13: "/dev/zero" is neither a file nor a directory',
        "Use a file or a directory.",
    ),
    "a file that cannot be read": Row(
        source("/proc/self/mem"), "/proc/self/mem: the file cannot be read: Input/output error", "use another path"
    ),
    "a path that no system takes": Row(
        source(f"./{'x' * 300}"),
        f'tritonrepo.yaml:6:13: "./{"x" * 300}" cannot be read: File name too long',
        "Use another path.",
    ),
    "a path below a file": Row(
        source("./m.py/x"), 'tritonrepo.yaml:6:13: "./m.py/x" does not exist', "Check that m.py/x exists."
    ),
    "a link to itself": Row(
        source("./l.py", linked("l.py", "l.py")),
        'tritonrepo.yaml:6:13: "./l.py" does not exist',
        "Check that l.py exists.",
    ),
    "a link out": Row(
        source("./l.py", linked("l.py", ELSEWHERE / "file")),
        "tritonrepo.yaml:6:13: l.py leads out of . through a link, which is not followed",
        "Replace the link with the file itself",
    ),
    "an empty directory": Row(
        source("./d", Path("d").mkdir),
        "tritonrepo.yaml:6:13: the Python model file is missing, which hangs the server, in the generated m/1/model.py",
        "Add model.py to the directory 1.",
        1,
    ),
    "no Python": Row(
        filled("m.py", "class (\n"),
        "tritonrepo.yaml:6:13: Python cannot parse model.py: invalid syntax, in the generated m/1/model.py:1:7",
        "Fix this line.",
        1,
    ),
    "Python without the class": Row(
        filled("m.py", "x = 1\n"),
        "tritonrepo.yaml:6:13: model.py does not define the class TritonPythonModel, in the generated m/1/model.py",
        "TritonPythonModel",
        1,
    ),
    "bytes": Row(
        filled("m.py", b"\0\xff"),
        "tritonrepo.yaml:6:13: Python cannot parse model.py: the file contains a null byte, in the generated"
        " m/1/model.py:1",
        "Fix this line.",
        1,
    ),
    "no bucket": Row(source("s3://"), "tritonrepo.yaml:6:13: s3://: the URI has no bucket", "Use `s3://BUCKET/PREFIX`"),
    "a bucket of no name": Row(
        source("s3://B_/k"), 'tritonrepo.yaml:6:13: s3://B_/k: "B_" is not a bucket name', "at least three letters"
    ),
    "a password in a bucket": Row(
        source("s3://KEY:SECRET@b/k"),
        "tritonrepo.yaml:6:13: s3://***@b/k: the URI has a user or password, which Triton does not support",
        "Set AWS_ACCESS_KEY_ID",
    ),
}
STACKS = {
    "nothing": Row(FILE.unlink, "tritonrepo.yaml: the stack file does not exist", "Use the path of a stack file"),
    "a link to nothing": Row(
        linked(FILE, "nowhere"), "tritonrepo.yaml: the stack file does not exist", "Use the path of a stack file"
    ),
    "a directory": Row(instead(Path.mkdir), "tritonrepo.yaml: the stack file is not a regular file", ""),
    "a FIFO": Row(instead(os.mkfifo), "tritonrepo.yaml: the stack file is not a regular file", ""),
    "a link out": Row(
        linked(FILE, ELSEWHERE / "file"),
        "tritonrepo.yaml: tritonrepo.yaml leads out of . through a link, which is not followed",
        "Replace the link with the file itself",
    ),
}
ROWS = {
    f"{kind}: {name}": row
    for kind, rows in (("the lock", LOCKS), ("the output", OUTPUTS), ("a source", SOURCES), ("the stack", STACKS))
    for name, row in rows.items()
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_a_bad_place_is_told_in_one_message_and_nothing_is_written(
    good: Path, capsys: pytest.CaptureFixture[str], row: Row
) -> None:
    row.spoil()
    before = state(good)
    code = run(["build"])
    err = capsys.readouterr().err
    assert (told(err), code) == ([row.says.replace("{here}", str(good / "here"))], row.code)
    assert row.hint in err
    assert state(good) == before


OPTIONS = {
    "the root": (["build", "-o", "/"], ["/: the output directory is the root of the file system"]),
    "a URI": (["build", "-o", "s3://b/k"], ["s3:/b/k: the output must be a directory, not a URI"]),
    "a file": (["build", "-o", "m.py"], ["m.py: the output cannot be a directory: Not a directory"]),
    "below a file": (["build", "-o", "m.py/r"], ["m.py/r: the output cannot be a directory: Not a directory"]),
    "a name that no system takes": (
        ["build", "-o", "x" * 300],
        [f"{'x' * 300}: the output cannot be a directory: File name too long"],
    ),
    "an empty output": (
        ["build", "-o", ""],
        ["Error: Invalid value for '-o' / '--output' (env var: 'TRITONREPO_BUILD_OUTPUT'): the path is empty"],
    ),
    "an empty stack": (
        ["build", "-f", ""],
        ["Error: Invalid value for '-f' / '--file' (env var: 'TRITONREPO_BUILD_FILE'): the path is empty"],
    ),
    "a stack that is not there": (["build", "-f", "none"], ["none: the stack file does not exist"]),
    "a lock as the stack": (["build", "-f", "tritonrepo.lock"], ["tritonrepo.lock: the stack file does not exist"]),
    "a stack that is Python": (
        ["build", "-f", "m.py"],
        [
            'm.py:1:1: unknown key "class TritonPythonModel"',
            'm.py:1:1: required key "name" is missing',
            'm.py:1:1: required key "models" is missing',
        ],
    ),
    "an unknown command": (["biuld"], ['Error: unknown command "biuld". Did you mean "build"?']),
    "an unknown option": (["build", "--outputt"], ["Error: No such option '--outputt'. Did you mean '--output'?"]),
    "an option without its value": (["build", "-o"], ["Error: Option '-o' requires an argument."]),
    "an argument too many": (["build", "x"], ["Error: Got unexpected extra argument (x)"]),
    "a lock that would change": (
        ["build", "--locked"],
        ["tritonrepo.lock: the lock file would change: it pins other sources, versions or digests than this build has"],
    ),
    "an unknown model to upgrade": (
        ["lock", "--upgrade", "mm"],
        ['mm: "mm" in --upgrade is neither a model with sources nor a source'],
    ),
    "an unknown model to renumber": (["lock", "--renumber", "mm"], ['mm: unknown model "mm" in --renumber']),
    "numbers from nowhere": (["lock", "--from", "none"], ["none: the repository does not exist or is empty"]),
    "a drawing of nothing": (
        ["graph", "none"],
        ["none: the path does not exist or has no models, so there is nothing to draw"],
    ),
    "a repository that is not there": (["validate", "none"], ["none: the repository does not exist"]),
    "a repository to adopt that is not there": (
        ["adopt", "none"],
        ["none: the repository does not exist or contains no models"],
    ),
}
"""Usage is told on the lines before."""


@pytest.mark.parametrize(("options", "says"), OPTIONS.values(), ids=OPTIONS)
def test_a_wrong_option_is_told_and_nothing_is_written(
    good: Path, capsys: pytest.CaptureFixture[str], options: list[str], says: list[str]
) -> None:
    before = state(good)
    assert run(options) == 2
    err = capsys.readouterr().err
    assert [line for line in told(err) if not line.startswith(("Usage: ", "Try '"))] == says
    assert state(good) == before


CONTENT = bytes(range(256)) * 40
NAMED = f"#sha256={sha256(CONTENT)}"
CUT = Said(CONTENT[:1000], head={"Content-Length": str(len(CONTENT))})
WEB: dict[str, tuple[Callable[[Asked], Said], str, str]] = {
    "404": (lambda _: Said(b"", 404), "{url}/m.py cannot be downloaded: the server replies with status 404", ""),
    "401": (lambda _: Said(b"", 401), "{url}/m.py cannot be downloaded: the server replies with status 401", ""),
    "403": (lambda _: Said(b"", 403), "{url}/m.py cannot be downloaded: the server replies with status 403", ""),
    "503 again and again": (
        lambda _: Said(b"", 503),
        "{url}/m.py cannot be downloaded: the server replies with status 503",
        "run the command again",
    ),
    "another content": (
        lambda asked: ranged(asked, b"other"),
        f"{{url}}/m.py does not have the SHA-256 {sha256(CONTENT)[:12]}…, so it was not kept",
        "Check why the file has changed.",
    ),
    "less content": (
        lambda asked: CUT if "range" not in asked.head else Said(b"", 503),
        "{url}/m.py cannot be downloaded: the server replies with status 503",
        "What was downloaded is kept: run the command again.",
    ),
    "a redirect round and round": (
        lambda asked: Said(b"", 302, {"Location": asked.path}),
        "{url}/m.py cannot be downloaded: the redirects of the server lead nowhere",
        "",
    ),
    "a redirect to an unencrypted host": (
        lambda _: Said(b"", 302, {"Location": "http://192.0.2.1/m.py?k=s3cret"}),
        "{url}/m.py cannot be downloaded: the server redirects to http://192.0.2.1/m.py, which is not encrypted",
        "",
    ),
    "a redirect to a file": (
        lambda _: Said(b"", 302, {"Location": "file:///etc/passwd"}),
        "{url}/m.py cannot be downloaded: the redirects of the server lead nowhere",
        "",
    ),
}


def blobs(place: Path) -> list[bytes]:
    """Return the contents that the cache has for builds."""
    return [path.read_bytes() for path in (place / "cache").rglob("blobs/*/*")]


@pytest.mark.parametrize(("answer", "says", "hint"), WEB.values(), ids=WEB)
def test_a_file_that_a_server_does_not_give_is_told_in_one_message(
    good: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answer: Callable[[Asked], Said],
    says: str,
    hint: str,
) -> None:
    monkeypatch.setattr(patience, "pause", lambda _: None)
    with speaking(answer) as server:
        source(f"{server.url}/m.py{NAMED}")()
        before = state(good / "here")
        code = run(["build"])
    err = capsys.readouterr().err
    lines = [line for line in told(err) if not line.startswith("downloading ")]
    assert (lines, code) == ([f"tritonrepo.yaml:6:13: {says.format(url=server.url)}"], 2)
    assert hint in err
    assert (state(good / "here"), blobs(good)) == (before, [])


HUB: dict[str, tuple[Callable[[Hub], object], str]] = {
    "a model that is not there": (lambda hub: hub.models.clear(), '"o/m" does not exist on the Hugging Face Hub'),
    "a gated model": (
        lambda hub: setattr(hub, "tampered", lambda _: refused(403, "GatedRepo")),
        '"o/m" is gated: it needs a token whose owner has accepted the licence of the model',
    ),
    "a private model": (
        lambda hub: setattr(hub, "tampered", lambda _: refused(401)),
        '"o/m" needs a token, or does not exist on the Hugging Face Hub',
    ),
    "a name that leads out": (
        lambda hub: hub.put("o/m", {"../../evil.py": b"evil", "model.py": b"x"}),
        'hf://o/m contains the path "../../evil.py", which cannot be a file here',
    ),
    "an absolute name": (
        lambda hub: hub.put("o/m", {"/etc/evil.py": b"evil", "model.py": b"x"}),
        'hf://o/m contains the path "/etc/evil.py", which cannot be a file here',
    ),
    "names that differ in case": (
        lambda hub: hub.put("o/m", {"Model.py": b"evil", "model.py": b"x"}),
        'hf://o/m contains both "Model.py" and "model.py", which is one file where case does not count',
    ),
}


@pytest.mark.parametrize(("spoil", "says"), HUB.values(), ids=HUB)
def test_a_model_that_the_hub_does_not_give_is_told_in_one_message(
    good: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[Hub], object],
    says: str,
) -> None:
    with running() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        hub.put("o/m", {"model.py": CODE.encode()})
        spoil(hub)
        source("hf://o/m")()
        before = state(good / "here")
        code = run(["build"])
    assert (told(capsys.readouterr().err), code) == ([f"tritonrepo.yaml:6:13: {says}"], 2)
    assert state(good / "here") == before
    assert b"evil" not in blobs(good)


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root, and setpriv to be less")
@pytest.mark.parametrize("place", ["here", "here/model_repository"])
def test_a_directory_that_cannot_be_written_is_told_before_anything_is_written(good: Path, place: str) -> None:
    if place != "here":
        assert run(["build"]) == 0
        FILE.write_text(STACK.replace("max_batch_size: 8", "max_batch_size: 4"), "utf-8")
    (good / place).chmod(0o555)
    before = state(good)
    rights = "--bounding-set=-dac_override,-dac_read_search"
    command = ["setpriv", rights, sys.executable, "-m", "tritonrepo", "build"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    there = "." if place == "here" else "model_repository"
    assert (told(done.stderr), done.returncode) == ([f"{there}: this user cannot write to the directory"], 2)
    assert state(good) == before


def test_a_disk_that_is_full_in_the_middle_is_told_and_the_next_build_goes_on(
    good: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A limit to the size of files fails in the same place as a full disk, and needs no rights."""
    filled("large.bin", b"x" * 100_000)()
    FILE.write_text(STACK.replace("source: ./m.py", "source: ./m.py\n    files: {large.bin: ./large.bin}"), "utf-8")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        code = run(["build"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    (line,) = told(capsys.readouterr().err)
    assert code == 2
    assert line == f"{good / 'here' / OUT / 'm' / 'large.bin'}: cannot write: File too large"
    assert not Path(STAGING).exists()
    assert not (OUT / "m" / "large.bin").exists()
    assert run(["build"]) == 0
    assert (OUT / "m" / "large.bin").stat().st_size == 100_000
