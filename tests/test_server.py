"""The real server on small models: a start, a response, every way a start can fail, and nothing left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from tests.processes import killed
from tritonrepo.diagnostics import Stop
from tritonrepo.server import runtime
from tritonrepo.server.client import Client
from tritonrepo.server.endpoint import Endpoint
from tritonrepo.server.launch import Launch, Mode
from tritonrepo.server.ports import Ports
from tritonrepo.server.process import Server, start

BOUND_S = 60
CONFIG = """backend: "python"
max_batch_size: 0
input [ { name: "IN" data_type: TYPE_STRING dims: [ 1 ] } ]
output [ { name: "OUT" data_type: TYPE_STRING dims: [ 1 ] } ]
instance_group [ { kind: KIND_CPU count: 1 } ]
"""
ENSEMBLE = """platform: "ensemble"
max_batch_size: 0
input [ { name: "IN" data_type: TYPE_STRING dims: [ 1 ] } ]
output [ { name: "OUT" data_type: TYPE_STRING dims: [ 1 ] } ]
ensemble_scheduling { step [ { model_name: "STEP" model_version: 1
  input_map { key: "IN" value: "IN" } output_map { key: "OUT" value: "OUT" } } ] }
"""
CODE = """import time
from pathlib import Path
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def initialize(self, args):
        INITIALIZE

    def execute(self, requests):
        return [pb_utils.InferenceResponse([pb_utils.get_input_tensor_by_name(r, "IN")]) for r in requests]
""".replace('[pb_utils.get_input_tensor_by_name(r, "IN")]', '[pb_utils.Tensor("OUT", self.text(r))]')
CODE += '\n    def text(self, r):\n        return pb_utils.get_input_tensor_by_name(r, "IN").as_numpy()\n'
STREAMS = CODE + textwrap.indent(
    """
def execute(self, requests):
    for request in requests:
        sender = request.get_response_sender()
        gate = self.text(request)[0].decode()
        self.send(sender, b"first")
        while gate and not Path(gate).exists():
            time.sleep(0.01)
        if gate:
            self.send(sender, b"second")
            sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
        else:
            failed = pb_utils.InferenceResponse(error=pb_utils.TritonError("no gate was named"))
            sender.send(failed, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)

def send(self, sender, text):
    sender.send(pb_utils.InferenceResponse([pb_utils.Tensor("OUT", np.array([text], dtype=np.object_))]))
""",
    "    ",
)
SCRIPT = """
import json, signal, sys
from pathlib import Path
from tritonrepo.server import runtime
from tritonrepo.server.launch import Launch
from tritonrepo.server.process import start

def interrupt(number, frame):
    raise SystemExit(143)

def at_a_point(event, where):
    def watch(frame, happened, _):
        code = frame.f_code
        if happened == event and code.co_qualname == where and "tritonrepo" in code.co_filename:
            sys.setprofile(None)
            raise KeyboardInterrupt
    return watch

signal.signal(signal.SIGTERM, interrupt)
found = runtime.find()
if sys.argv[2:]:
    sys.setprofile(at_a_point(*sys.argv[2:]))
try:
    with start(Launch(Path(sys.argv[1]), found, exit_timeout_s=0)) as server:
        print(json.dumps([server.session, str(server.home)]), flush=True)
        sys.stdin.read()
except (KeyboardInterrupt, SystemExit) as end:
    print(type(end).__name__, flush=True)
"""


@pytest.fixture(scope="module")
def found() -> runtime.Runtime:
    try:
        return runtime.find()
    except Stop as stop:
        pytest.skip(str(stop))


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where servers of this test put their directories and kept logs: empty at the end."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


@pytest.fixture(scope="module")
def served(found: runtime.Runtime, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with `echo`, `own` (the same with a backend of ours) and `stream`, which waits for a file in between."""
    place = tmp_path_factory.mktemp("served")
    models = place / "models"
    model(models, "echo")
    own = model(models, "own")
    (own / "1" / "model.py").unlink()
    (own / "config.pbtxt").write_text(CONFIG.replace("python", "ours"), encoding="utf-8")
    model(models, "stream", code=STREAMS, config="model_transaction_policy { decoupled: true }\n")
    backend = place / "backend"
    backend.mkdir()
    (backend / "model.py").write_text(CODE.replace("INITIALIZE", "pass"), encoding="utf-8")
    with start(Launch(models, found, backends={"ours": backend})) as server:
        yield server
    assert nothing_of(server)


def model(root: Path, name: str, initialize: str = "pass", *, code: str = CODE, config: str = "") -> Path:
    """Write a Python model that returns IN as OUT, and return its directory."""
    version = root / name / "1"
    version.mkdir(parents=True)
    (version / "model.py").write_text(code.replace("INITIALIZE", initialize), encoding="utf-8")
    (root / name / "config.pbtxt").write_text(CONFIG + config, encoding="utf-8")
    return root / name


def ensemble(root: Path, name: str, step: str) -> None:
    (root / name / "1").mkdir(parents=True)
    (root / name / "config.pbtxt").write_text(ENSEMBLE.replace("STEP", step), encoding="utf-8")


def session_of(session: int) -> list[int]:
    """Return the processes of a session from /proc: pid (name) state parent group session."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(stat.read_bytes().rpartition(b")")[2].split()[3]) == session:
                found.append(int(stat.parent.name))
    return found


def with_token(token: str) -> list[Path]:
    """Return the processes that have this text in their environment."""
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if token.encode() in environ.read_bytes():
                found.append(environ.parent)
    return found


def nothing_of(server: Server) -> bool:
    return not (session_of(server.session) or server.home.exists() or shared_memory(server.home))


def shared_memory(home: Path) -> list[Path]:
    return [*Path("/dev/shm").glob(home.name + "*")]


def soon(holds: Callable[[], object]) -> bool:
    """Return whether something becomes true within the bound; the test waits for it, not for a fixed time."""
    deadline = time.monotonic() + BOUND_S
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def script(repository: Path, *point: str) -> subprocess.Popen[str]:
    """Start a separate program that serves a repository and, if a point is named, is interrupted there."""
    command = [sys.executable, "-c", SCRIPT, str(repository), *point]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)


def refused(launch: Launch) -> Stop:
    with pytest.raises(Stop) as stop:
        start(launch).stop()
    return stop.value


def test_a_model_answers(served: Server) -> None:
    client = Client(Endpoint(served.http))
    assert served.alive()
    assert client.ready()
    assert {(state.name, state.state) for state in client.index()} == {(n, "READY") for n in ("echo", "own", "stream")}
    assert client.metadata("echo")["inputs"] == [{"name": "IN", "datatype": "BYTES", "shape": [1]}]
    assert client.generate("echo", {"IN": "grüß"})["OUT"] == "grüß"
    assert client.generate("own", {"IN": "a"})["OUT"] == "a"
    assert "Started HTTPService" in served.log_tail()


def test_shared_memory_is_known_by_the_servers_name(served: Server) -> None:
    assert len(shared_memory(served.home)) == 3  # one region a stub


def test_the_users_directory_stays_as_it_is(served: Server) -> None:
    models = Path(served.launch.repository)
    assert [*(served.home / "repository").rglob("__pycache__")]
    assert not [*models.rglob("__pycache__")]
    copied = served.home / "repository" / "echo" / "1" / "model.py"
    assert copied.samefile(models / "echo" / "1" / "model.py")


def test_two_servers_side_by_side(served: Server, found: runtime.Runtime, tmp_path: Path) -> None:
    model(tmp_path / "models", "other")
    with start(Launch(tmp_path / "models", found)) as second:
        assert not set(second.ports) & set(served.ports)
        assert Client(Endpoint(second.http)).generate("other", {"IN": "b"})["OUT"] == "b"
        assert Client(Endpoint(served.http)).generate("echo", {"IN": "a"})["OUT"] == "a"
        assert len(session_of(second.session)) == 3  # the keeper, the server, one stub
        assert shared_memory(second.home)
    assert nothing_of(second)
    assert not second.alive()
    second.stop()


def test_a_stream_comes_as_it_is_made(served: Server, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    answers = Client(Endpoint(served.http, timeout_s=BOUND_S)).stream("stream", {"IN": str(gate)})
    assert next(answers)["OUT"] == "first"
    gate.touch()  # the second is made only now
    assert [answer["OUT"] for answer in answers] == ["second"]


def test_an_error_inside_a_stream(served: Server) -> None:
    answers = Client(Endpoint(served.http)).stream("stream", {"IN": ""})
    assert next(answers)["OUT"] == "first"
    with pytest.raises(Stop, match="stream: no gate was named"):
        next(answers)


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        pytest.param(lambda c: c.generate("none", {"IN": "a"}), "unknown model: 'none'", id="an unknown model"),
        pytest.param(lambda c: c.generate("echo", {}), "missing required input", id="a missing input"),
        pytest.param(lambda c: list(c.stream("none", {"IN": "a"})), "unknown model: 'none'", id="a stream of none"),
        pytest.param(lambda c: c.metadata("none"), "unknown model: 'none'", id="metadata of none"),
    ],
)
def test_the_servers_own_words(served: Server, ask: Callable[[Client], object], words: str) -> None:
    with pytest.raises(Stop, match=words) as stop:
        ask(Client(Endpoint(served.http)))
    assert [d.severity for d in stop.value.diagnostics] == ["error"]


def test_models_that_fail(found: runtime.Runtime, tmp_path: Path, temporary: Path) -> None:
    models = tmp_path / "models"
    model(models, "good")
    model(models, "raises", 'raise ValueError("no weights")')
    model(models, "imports", "import no_such_module")
    ensemble(models, "inner", "raises")
    ensemble(models, "outer", "inner")
    (model(models, "typo") / "config.pbtxt").write_text("max_batch_sise: 1\n", encoding="utf-8")
    stop = refused(Launch(models, found))
    missing, raises, typo = stop.diagnostics
    assert missing.message.startswith("the server did not load imports version 1: ModuleNotFoundError")
    assert (raises.rule, raises.severity, raises.at.path) == ("server-model-unavailable", "error", f"{models}/raises")
    assert raises.message == "the server did not load raises version 1: ValueError: no weights"
    assert f"{models}/raises/1/model.py" in raises.hint
    assert "Not served because of it: inner, outer" in raises.hint
    assert 'no field named "max_batch_sise"' in typo.message
    (log,) = temporary.iterdir()  # nothing but the log that the message names
    assert str(log) in typo.hint
    assert "loading: good:1" in log.read_text(encoding="utf-8")


def test_a_version_without_model_py_is_not_waited_for(found: runtime.Runtime, tmp_path: Path, temporary: Path) -> None:
    models = tmp_path / "models"
    (model(models, "empty") / "1" / "model.py").unlink()
    stop = refused(Launch(models, found, deadline_s=BOUND_S))
    assert [(d.rule, d.at.path) for d in stop.diagnostics] == [("server-hangs", f"{models}/empty/1/model.py")]
    assert [path.suffix for path in temporary.iterdir()] == [".log"]


def test_a_stub_without_libpython_is_not_waited_for(found: runtime.Runtime, tmp_path: Path) -> None:
    model(tmp_path / "models", "echo")
    fake = tmp_path / "lib"
    fake.mkdir()
    minor = ".".join(found.version.split(".")[:2])
    (fake / f"libpython{minor}.so.1.0").touch()
    stop = refused(
        Launch(tmp_path / "models", replace(found, library_path=(fake, *found.library_path)), deadline_s=BOUND_S)
    )
    (diagnostic,) = stop.diagnostics
    assert diagnostic.rule == "server-hangs"
    assert f"libpython{minor}.so.1.0" in diagnostic.message


def test_a_deadline_of_ones_own(found: runtime.Runtime, tmp_path: Path, temporary: Path) -> None:
    model(tmp_path / "models", "slow", f"time.sleep({BOUND_S})")
    (late,) = refused(Launch(tmp_path / "models", found, deadline_s=1)).diagnostics
    assert (late.rule, late.at.path) == ("server-deadline", str(tmp_path / "models" / "slow"))
    assert re.search(r"within 1 s: it is still loading slow \(for [01] s\)$", late.message)
    assert re.match(r"The stub of slow, process \d+, ", late.hint)
    assert [path.suffix for path in temporary.iterdir()] == [".log"]


def test_a_server_that_ends_by_itself(found: runtime.Runtime, tmp_path: Path) -> None:
    model(tmp_path / "models", "echo")
    (diagnostic,) = refused(Launch(tmp_path / "models", found, extra_args=["--no-such-flag"])).diagnostics
    assert (diagnostic.rule, diagnostic.severity) == ("server-died", "error")
    assert "unrecognized option" in diagnostic.hint


CRASHES = """
        import os, signal, sys
        with Path(PLACE).open("a") as crashes:
            crashes.write("x")
        if len(Path(PLACE).read_text()) <= TIMES:
            print("  what():  boost::interprocess::lock_exception", file=sys.stderr, flush=True)
            os.kill(os.getppid(), signal.SIGABRT)
            time.sleep(60)"""


@pytest.mark.parametrize("times", [1, 2])
def test_a_crash_of_the_python_backend_itself_is_tried_again_once(
    found: runtime.Runtime, tmp_path: Path, times: int
) -> None:
    crashes = tmp_path / "crashes"
    model(tmp_path / "models", "m", CRASHES.replace("PLACE", repr(str(crashes))).replace("TIMES", str(times)))
    launch = Launch(tmp_path / "models", found)
    if times == 1:
        with killed(start(launch)) as server:
            assert Client(Endpoint(server.http)).ready()
    else:
        (diagnostic,) = refused(launch).diagnostics
        assert "with signal 6" in diagnostic.message
        assert "lock_exception" in diagnostic.hint
    assert crashes.read_text() == "xx"


def test_a_taken_port_is_told_before_anything_starts(found: runtime.Runtime, tmp_path: Path, temporary: Path) -> None:
    model(tmp_path / "models", "echo")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (diagnostic,) = refused(Launch(tmp_path / "models", found, ports=Ports(grpc=port))).diagnostics
    assert (diagnostic.severity, diagnostic.message) == ("fatal", f"grpc port {port} is in use by another program")
    assert not [*temporary.iterdir()]


def test_polling_serves_the_directory_itself(found: runtime.Runtime, tmp_path: Path) -> None:
    models = tmp_path / "models"
    model(models, "good")
    broken = model(models, "broken", 'raise ValueError("not yet")')
    launch = Launch(models, found, mode=Mode.POLL, poll_s=1, exit_timeout_s=0)
    with start(launch) as server:
        client = Client(Endpoint(server.http))
        assert [d.message for d in server.unavailable] == [
            "the server did not load broken version 1: ValueError: not yet"
        ]
        (broken / "1" / "model.py").write_text(CODE.replace("INITIALIZE", "pass"), encoding="utf-8")
        assert soon(lambda: ("broken", "READY") in {(state.name, state.state) for state in client.index()})
    assert nothing_of(server)


@pytest.mark.usefixtures("found")
def test_a_killed_parent_leaves_nothing(tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left, not even what a model started in a separate session, as engines do with their workers."""
    token = f"TRITONREPO_TEST={tmp_path}"
    monkeypatch.setenv(*token.split("="))
    worker = 'import subprocess; subprocess.Popen(["sleep", "1000"], start_new_session=True)'
    model(tmp_path / "models", "echo", worker)
    with script(tmp_path / "models") as parent:
        assert parent.stdout
        session, home = json.loads(parent.stdout.readline())
        assert len(session_of(session)) == 3
        assert len(with_token(token)) == 5  # the script, the keeper, the server, the stub, the worker
        assert shared_memory(Path(home))
        parent.kill()
    assert soon(lambda: not with_token(token))
    assert not [*temporary.iterdir()]
    assert not shared_memory(Path(home))


def test_a_killed_keeper_takes_the_server_with_it(found: runtime.Runtime, tmp_path: Path) -> None:
    model(tmp_path / "models", "echo")
    with start(Launch(tmp_path / "models", found)) as server:
        os.kill(server.session, signal.SIGKILL)
        assert soon(lambda: not server.alive())
        assert soon(lambda: not session_of(server.session))
    assert nothing_of(server)


@pytest.mark.usefixtures("found")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_signal_while_a_model_initializes(tmp_path: Path, temporary: Path, number: signal.Signals) -> None:
    marker = tmp_path / "marker"
    model(tmp_path / "models", "slow", f"Path({str(marker)!r}).write_text(__file__); time.sleep({BOUND_S})")
    with script(tmp_path / "models") as parent:
        assert soon(lambda: marker.exists() and marker.read_text(encoding="utf-8"))
        home = Path(marker.read_text(encoding="utf-8")).parents[3]
        parent.send_signal(number)
        ended, _ = parent.communicate(timeout=BOUND_S)
    assert ended.strip() in {"KeyboardInterrupt", "SystemExit"}
    assert home.parent == temporary
    assert not [*temporary.iterdir()]
    assert not shared_memory(home)


@pytest.mark.usefixtures("found")
@pytest.mark.parametrize(
    ("event", "where"),
    [
        ("call", "choose"),
        ("call", "Leash.__init__"),
        ("call", "Leash._hear"),
        ("return", "Leash.__init__"),
        ("call", "place"),
        ("call", "backends"),
        ("call", "Leash.start"),
        ("return", "Leash._say"),
        ("return", "Leash.start"),
        ("call", "await_up"),
        ("return", "Server.log"),
        ("return", "await_up"),
        ("call", "Client.index"),
        ("call", "Leash.ready"),
        ("return", "Leash.ready"),
        ("return", "start"),
        ("call", "Server.__enter__"),
        ("return", "Leash.release"),
    ],
)
def test_an_interrupt_at_any_point_leaves_nothing(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch, event: str, where: str
) -> None:
    token = f"TRITONREPO_TEST={tmp_path}"
    monkeypatch.setenv(*token.split("="))
    model(tmp_path / "models", "echo")
    with script(tmp_path / "models", event, where) as parent:
        ended, _ = parent.communicate(timeout=BOUND_S)
    assert ended.splitlines()[-1:] == ["KeyboardInterrupt"]
    assert soon(lambda: not with_token(token))
    assert not [*temporary.iterdir()]
