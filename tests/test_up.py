"""`up` and `serve` as processes: what they print, how they exit, and that nothing is left behind."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import urllib.request
import uuid
from pathlib import Path
from typing import IO

import pytest

from tests.conftest import EXAMPLE
from tests.documents import ROOT
from tests.load import first_stack, lean
from tests.pages import DATA
from tests.processes import MARK, left, marked, unmeasured
from tests.pushes import repository
from tests.servers.browser import chromium
from tritonrepo import api
from tritonrepo.cli import run
from tritonrepo.flows.up import prove, up
from tritonrepo.smoke.case import Outcome

GATE = "How do I stop a half-uploaded version from being served?"
PORTS = ["--http-port", "0", "--grpc-port", "0", "--metrics-port", "0"]


@pytest.fixture
def mark() -> str:
    return uuid.uuid4().hex


def start(mark: str, *arguments: str, stdout: IO[bytes] | int = subprocess.PIPE) -> subprocess.Popen[bytes]:
    environment = os.environ | {MARK: mark}
    command = [sys.executable, "-m", "tritonrepo", *arguments]
    return subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE, env=environment)


def traces(tmp: Path, homes: list[str]) -> list[str]:
    """Return what is left in a temporary directory, and in the shared memory of servers that used it."""
    regions = [path for home in homes for path in Path("/dev/shm").glob(f"{home}-*")]
    return sorted(str(path) for path in (*regions, *tmp.glob("tritonrepo-*")) if path.suffix != ".log")


def test_up_ask_prints_sources_streams_an_answer_and_ends(inside: Path, mark: str) -> None:
    with start(mark, "up", str(EXAMPLE), "--ask", GATE) as process:
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err.decode()
    assert b"version_policy" in out
    said = err.decode()
    assert "stand-in: ONNX Runtime with 8-bit weights instead of vLLM" in said
    assert "\n[1] Hiding a version until it is uploaded  0." in said
    assert "  https://example.com/handbook/version-gate\n" in said
    assert "the repository is for Triton 26.07" in said
    assert (inside / "model_repository" / "rag" / "config.pbtxt").is_file()
    assert left(mark) == []


MOMENTS = [
    "import",
    "record",
    "built",
    "copied",
    "backends",
    "spawned",
    "listening",
    "decided",
    "asked",
    "token",
    "ending",
]
"""Where a run is interrupted: at the import of a module, or after a step of the build, the start or the answer."""

ENDS = [(moment, (signal.SIGINT, signal.SIGTERM)[place % 2]) for place, moment in enumerate(MOMENTS)]
"""Ctrl-C and SIGTERM in turn, since cli.main raises one as it raises the other, whatever is under way."""

BEFORE_A_SERVER = {"import", "record", "built"}

SCRIPT = """
import os, signal, sys
moment, number, note = sys.argv.pop(1), int(sys.argv.pop(1)), sys.argv.pop(1)
def hit(here):
    global moment
    if here == moment:
        moment = None
        os.kill(os.getpid(), number)
def after(owner, name, here, before=False):
    real = getattr(owner, name)
    def wrapped(*args, **kwargs):
        if before: hit(here)
        result = real(*args, **kwargs)
        if not before: hit(here)
        return result
    setattr(owner, name, wrapped)
from tritonrepo import cli
from tritonrepo.cli import asking, up
from tritonrepo.flows import build, up as flow
from tritonrepo.server import process, staging
from tritonrepo.server.client import Client
real_init = process.Leash.__init__
def init(self):
    real_init(self)
    with open(note, "a") as homes: homes.write(self.home.name + "\\n")
process.Leash.__init__ = init
real_load = up.load
def load(*given):
    hit("import")
    return real_load(*given)
up.load = load
after(build.records, "load", "record")
after(flow, "apply_build", "built")
after(staging, "copy", "copied")
after(staging, "backends", "backends")
after(process.Leash, "start", "spawned")
after(process, "await_up", "listening")
after(process, "decided", "decided")
after(asking, "_line", "asked")
real_ready = process.Leash.ready
def ready(self):
    real_ready(self)
    after(self._keeper, "wait", "ending", before=True)
process.Leash.ready = ready
real_stream = Client.stream
def stream(self, *args):
    for event in real_stream(self, *args):
        hit("token")
        yield event
Client.stream = stream
cli.main()
"""


@pytest.fixture(scope="module")
def without_reranker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example with two processes of the server less to start."""
    stack = first_stack(tmp_path_factory.mktemp("lean"))
    file = stack / "tritonrepo.yaml"
    file.write_text(lean(file.read_text("utf-8")), "utf-8")
    return stack


@pytest.mark.parametrize(("moment", "number"), ENDS, ids=[f"{moment}-{number.name}" for moment, number in ENDS])
def test_interrupted_at_any_moment_nothing_is_left(
    inside: Path, tmp_path: Path, mark: str, without_reranker: Path, moment: str, number: signal.Signals
) -> None:
    place, note = tmp_path / "tmp", tmp_path / "homes"
    place.mkdir()
    note.touch()
    command = [sys.executable, "-c", SCRIPT, moment, str(int(number)), str(note)]
    command += ["up", str(without_reranker), "--ask", GATE, "--llm-engine", "script"]
    environment = unmeasured() | {MARK: mark, "TMPDIR": str(place)}
    done = subprocess.run(command, env=environment, check=False, capture_output=True, timeout=120)
    assert done.returncode == 128 + number, done.stderr.decode()
    assert b"Traceback" not in done.stderr
    assert left(mark, within_s=2) == []
    homes = note.read_text("utf-8").split()
    assert bool(homes) == (moment not in BEFORE_A_SERVER)
    assert traces(place, homes) == []
    assert not any(inside.glob(".tritonrepo-*"))


def test_serve_gives_its_urls_and_ends_by_sigterm(rag_repository: Path, mark: str, tmp_path: Path) -> None:
    log = ["-v", "--log", str(tmp_path / "log")]
    with start(mark, "serve", str(rag_repository), *PORTS, "--llm-engine", "script", *log) as process:
        assert process.stdout is not None
        urls = dict(process.stdout.readline().decode().split() for _ in range(3))
        assert set(urls) == {"http", "grpc", "metrics"}
        request = urllib.request.Request(
            f"{urls['http']}/v2/models/search/generate", json.dumps({"query": GATE}).encode()
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            assert json.load(response)["ids"][0] == "version-gate"
        with urllib.request.urlopen(urls["metrics"], timeout=60) as response:
            assert b"nv_inference_count" in response.read()
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 143
    assert b"CudaDriverHelper has not been initialized" in said
    assert b"CudaDriverHelper has not been initialized" in (tmp_path / "log").read_bytes()
    assert left(mark) == []
    assert not list(rag_repository.rglob("__pycache__"))


def test_the_path_from_the_installation_to_the_page(inside: Path, mark: str) -> None:
    """Word by word what docs/ui.md says, but for the ports and the engine, and for the installation, which was done."""
    pytest.importorskip("uvicorn")
    blocks = re.findall(r"^```sh\n(.*?)```", (ROOT / "docs" / "ui.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
    install, command = blocks[0].splitlines()
    assert install == "pip install -q '.[local,ui]'"
    _, *arguments = shlex.split(command)
    (inside / "examples").symlink_to(ROOT / "examples")
    links = ["--allow-links", str(ROOT / "examples")]
    with start(mark, *arguments, *PORTS, *links, "--llm-engine", "script") as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().decode() for _ in range(5)]
        with chromium(inside / "profile") as tab:
            tab.open(lines[4].removeprefix("page ").strip())
            tab.until("document.querySelector('.models option')")
            tab.write("How do I roll a model back?")
            tab.press("Enter")
            tab.until("/all after/.test(document.querySelector('.state').textContent)")
            assert "Rolling back a model" in tab.run("document.querySelector('.sources').textContent")
            tab.run("document.querySelector('.trace').click()")
            tab.until("/^5 steps, /.test(document.querySelector('.state').textContent)")
            assert tab.errors == []
        url = lines[0].split()[1]
        assert (
            lines[3]
            == f"""try it   curl -N {url}/v2/models/rag/generate_stream -d '{{"query": "…", "stream": true}}'\n"""
        )
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 130
    assert said.endswith("\nstopping; press Ctrl-C again to stop at once\ninterrupted\n")
    assert left(mark) == []
    assert (inside / "model_repository").is_dir()


def test_a_server_that_dies_is_told(tmp_path: Path, mark: str) -> None:
    with start(mark, "serve", str(repository(tmp_path / "r", 1)), *PORTS) as process:
        assert process.stdout is not None
        process.stdout.readline()
        (server,) = [pid for pid in marked(mark) if Path(f"/proc/{pid}/exe").readlink().name == "tritonserver"]
        os.kill(server, signal.SIGKILL)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert b"the server stopped unexpectedly with exit code" in err
    assert left(mark) == []


def test_a_model_that_does_not_load_is_told_with_the_servers_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    version = tmp_path / "r" / "m" / "1"
    version.mkdir(parents=True)
    (version / "model.py").write_text(
        "class TritonPythonModel:\n    def initialize(self, args): raise ValueError('no weights')\n"
    )
    (version.parent / "config.pbtxt").write_text('backend: "python"\ninstance_group { kind: KIND_CPU }\n')
    shutil.copytree(version.parent, tmp_path / "r" / "odd")
    (tmp_path / "r" / "odd" / "config.pbtxt").write_text('backend: "python"\nmax_batch_size: -2\n')
    assert run(["serve", str(tmp_path / "r"), *PORTS]) == 1
    said = capsys.readouterr().err
    assert "no weights" in said
    assert "`tritonrepo explain max-batch-size-negative` explains it" in said


def test_of_models_that_no_cpu_can_serve_at_least_one_other_is_needed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    version = tmp_path / "r" / "m" / "1"
    version.mkdir(parents=True)
    (version / "model.pt").write_bytes(b"")
    tensor = 'put { name: "X__0" data_type: TYPE_FP32 dims: [ 1 ] }'
    text = f'backend: "pytorch"\nin{tensor}\nout{tensor}\n'
    (version.parent / "config.pbtxt").write_text(text)
    assert run(["serve", str(tmp_path / "r"), *PORTS]) == 1
    assert (
        "m is not served here: this server has no pytorch backend [server-backend-missing]" in capsys.readouterr().err
    )


TWO = """\
name: two
target: {release: "24.10", images: [py3], gpus: 0}
models:
  here:
    backend: python
    source: ./model.py
    config: &config
      input: [{name: x, data_type: TYPE_FP32, dims: [1]}]
      output: [{name: y, data_type: TYPE_FP32, dims: [1]}]
      instance_group: [{kind: KIND_CPU}]
  elsewhere: {backend: pytorch, source: ./model.pt, config: *config}
smoke:
  - {model: here, inputs: {x: 3}, expect: {y: {equals: 3}}}
  - {model: elsewhere, inputs: {x: 3}, expect: {y: {equals: 3}}}
"""
SAME = """\
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        values = [pb_utils.get_input_tensor_by_name(request, "x").as_numpy() for request in requests]
        return [pb_utils.InferenceResponse([pb_utils.Tensor("y", value)]) for value in values]
"""


def test_up_names_what_no_cpu_can_serve_and_tests_the_rest(inside: Path) -> None:
    for name, text in {"tritonrepo.yaml": TWO, "model.py": SAME}.items():
        (inside / name).write_text(text, "utf-8")
    shutil.copy(DATA / "torchscript.pt", inside / "model.pt")
    told: list[object] = []
    loaded = api.load(["tritonrepo.yaml"], api.Workspace(os.environ, tell=told.append))
    with up(loaded, "out", api.ServeOptions(api.Ports(0, 0, 0))) as running:
        results = prove(running)
    (warning,) = (str(each) for each in told if "is not served here" in str(each))
    assert warning.startswith(
        "tritonrepo.yaml:11:14: warning: elsewhere is not served here: this server has no pytorch backend"
    )
    unchecked = {result.model: result.unchecked for result in results if result.unchecked}
    assert unchecked["elsewhere"] == "this server has no pytorch backend"
    assert Outcome.FAILED not in {result.outcome for result in results}
    assert {result.model for result in results} == {"here", "elsewhere"}


BAD = {
    "no repository": (["serve", "nowhere"], 2, "nowhere: fatal: the model repository does not exist or is empty"),
    "two modes": (["serve", ".", "--poll", "1", "--explicit"], 2, "--poll and --explicit cannot be combined"),
    "a directory with a space": (["serve", "a b", "--explicit"], 2, "a b: fatal: a server cannot load Python models"),
    "a directory with a quote": (["serve", "a'b", "--poll", "1"], 2, 'a path that contains "\'" [server-repository]'),
    "a stack without an answer": (["up", "search.yaml", "--ask", "x"], 2, "no ensemble ends in a generator"),
    "no stack": (["up", "nowhere"], 2, "nowhere: fatal: the stack file does not exist"),
    "a bucket of no name": (["serve", "s3://b/p"], 2, 's3://b/p: fatal: "b" is not a bucket name'),
    "another runtime": (["serve", ".", "--runtime", "/nowhere/python"], 2, "/nowhere/python"),
}


@pytest.mark.parametrize(("arguments", "code", "message"), BAD.values(), ids=BAD)
def test_what_cannot_be_served_is_told(
    inside: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str
) -> None:
    (inside / "search.yaml").write_text("name: s\nmodels: {e: {role: embedder, source: ./e}}\n")
    for name in ("a b", "a'b", "config"):
        (inside / name / "m" / "1").mkdir(parents=True)
    assert run(arguments) == code
    assert message in capsys.readouterr().err
    assert sorted(path.name for path in inside.iterdir()) == ["a b", "a'b", "config", "search.yaml"]
