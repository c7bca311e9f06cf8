"""The parts of the server room that need no server: preconditions, ports, staging, logs, errors of the client."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tritonrepo.diagnostics import Stop
from tritonrepo.server import loading, logs, ports, probe, runtime, staging
from tritonrepo.server.client import Client, ModelState
from tritonrepo.server.endpoint import Endpoint
from tritonrepo.server.runtime import Facts

BOUND_S = 60
GOOD = Facts(
    system="Linux",
    machine="x86_64",
    glibc="2.35",
    implementation="CPython",
    version="3.11.9",
    executable="/venv/bin/python",
    is_python3=True,
    libpython="/usr/lib/libpython3.11.so.1.0",
    libpython_trouble="",
    wheel="/venv/lib/python3.11/site-packages",
    numpy="1.26.4",
    missing=(),
)


@pytest.mark.parametrize(
    ("change", "rules", "words"),
    [
        pytest.param({}, [], "", id="all is there"),
        pytest.param({"version": "3.12.1"}, [], "", id="Python 3.12"),
        pytest.param({"version": "3.10.13"}, [], "", id="Python 3.10"),
        pytest.param({"system": "Darwin", "machine": "arm64"}, ["runtime-host"], "Darwin on arm64", id="a Mac"),
        pytest.param({"machine": "aarch64"}, ["runtime-host"], "Linux on aarch64", id="an ARM machine"),
        pytest.param({"glibc": "2.34"}, ["runtime-host"], "this system has 2.34", id="an older glibc"),
        pytest.param({"glibc": ""}, ["runtime-host"], "not glibc", id="another C library"),
        pytest.param(
            {"version": "3.13.0"}, ["runtime-python"], "NumPy 1, which supports Python up to 3.12", id="Python 3.13"
        ),
        pytest.param({"version": "3.9.18"}, ["runtime-python"], "3.10 to 3.12", id="Python 3.9"),
        pytest.param({"implementation": "PyPy"}, ["runtime-python"], "this is PyPy", id="not CPython"),
        pytest.param({"wheel": "", "numpy": ""}, ["runtime-wheel"], "pip install 'tritonrepo[local]'", id="no wheel"),
        pytest.param(
            {"libpython": "", "libpython_trouble": "no such file: L"},
            ["runtime-libpython"],
            "no such file: L\nInstall libpython3.11.so.1.0. Without it, the stub hangs. On Debian or Ubuntu, run `apt",
            id="no shared libpython",
        ),
        pytest.param({"numpy": "2.3.5"}, ["runtime-numpy"], "pip install 'numpy<2'", id="NumPy 2"),
        pytest.param({"numpy": ""}, ["runtime-numpy"], "is not installed", id="no NumPy"),
        pytest.param(
            {"missing": ("tokenizers",)}, ["runtime-package"], "tokenizers cannot be imported", id="a package"
        ),
        pytest.param(
            {"is_python3": False}, ["runtime-python"], "/venv/bin/python3 is a different Python", id="another python3"
        ),
        pytest.param(
            {"wheel": "", "libpython": "", "numpy": "2.0.0"},
            ["runtime-wheel", "runtime-libpython", "runtime-numpy"],
            "",
            id="several at once",
        ),
        pytest.param(
            {"glibc": "2.31", "version": "3.13.1", "wheel": "", "libpython": ""},
            ["runtime-host", "runtime-python"],
            "",
            id="machine and Python, without what follows from them",
        ),
    ],
)
def test_preconditions(change: dict[str, Any], rules: list[str], words: str) -> None:
    found = [*runtime.problems(replace(GOOD, **change))]
    assert [diagnostic.rule for diagnostic in found] == rules
    assert {diagnostic.severity for diagnostic in found} <= {"fatal"}
    assert words in "\n".join(f"{d.message}\n{d.hint}" for d in found)
    assert all(diagnostic.hint for diagnostic in found)


def test_an_interpreter_is_asked_by_starting_it() -> None:
    asked = runtime.ask(Path(sys.executable), ["json", "no_such_module"])
    assert asked == Facts.of(probe.facts(["json", "no_such_module"]))
    assert asked.missing == ("no_such_module",)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(None, "No such file", id="nothing there"),
        pytest.param("#!/bin/sh\necho hello\n", "it does not respond as Python does", id="another program"),
        pytest.param("#!/bin/sh\necho broken >&2; exit 3\n", "broken", id="a program that fails"),
        pytest.param("#!/bin/sh\nexit 3\n", "it exited with code 3", id="a program that fails without a word"),
        pytest.param("#!/bin/sh\necho '{}'\n", "it does not respond as Python does", id="too short an answer"),
    ],
)
def test_what_is_no_python(tmp_path: Path, content: str | None, words: str) -> None:
    program = tmp_path / "python"
    if content is not None:
        program.write_text(content, encoding="utf-8")
        program.chmod(0o700)
    with pytest.raises(Stop, match=words) as stop:
        runtime.find(program)
    assert [(d.severity, d.at.path) for d in stop.value.diagnostics] == [("fatal", str(program))]


def test_a_libpython_that_is_not_one(tmp_path: Path) -> None:
    """A LIBDIR with a broken library, and no other location: reported in the loader's words."""
    (tmp_path / "libpython{}.{}.so.1.0".format(*sys.version_info)).touch()
    code = """if True:
        import sys, sysconfig, ctypes
        from tritonrepo.server import probe
        sysconfig.get_config_var = {"LIBDIR": sys.argv[1]}.get
        sys.base_prefix = "/nowhere"
        real = ctypes.CDLL
        def within(path):
            if "/" not in path:
                raise OSError("not in the loader's own places")
            return real(path)
        ctypes.CDLL = within
        print(*probe.libpython(), sep="|")
    """
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    path, trouble = done.stdout.strip().split("|")
    assert not path
    assert "too short" in trouble


def test_a_torn_installation(tmp_path: Path) -> None:
    found = [*runtime.absent_files(replace(GOOD, wheel=str(tmp_path)))]
    assert len(found) == 4
    server = runtime.runtime(replace(GOOD, wheel=str(tmp_path))).server
    server.parent.mkdir(parents=True)
    server.touch(mode=0o600)
    assert f"Run `chmod +x {server}`." in [
        diagnostic.hint for diagnostic in runtime.absent_files(replace(GOOD, wheel=str(tmp_path)))
    ]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        pytest.param(ports.Ports(http=70000), "http port 70000 is not between 0 and 65535", id="too high"),
        pytest.param(ports.Ports(http=24999, metrics=24999), "http port 24999 is requested twice", id="twice"),
    ],
)
def test_ports_that_cannot_be(asked: ports.Ports, words: str) -> None:
    with pytest.raises(Stop, match=words):
        ports.choose(asked)


def test_free_ports_differ_and_only_ones_own_listening_counts() -> None:
    chosen = ports.choose(ports.Ports())
    assert len({*chosen}) == 3
    assert not ports.listens(os.getpid(), chosen)
    with (
        socket.create_server((ports.HOST, chosen.http)),
        socket.create_server((ports.HOST, chosen.grpc)),
        socket.create_server((ports.HOST, chosen.metrics)),
    ):
        assert ports.listens(os.getpid(), chosen)
        assert not ports.listens(os.getppid(), chosen)


def test_the_copy_resolves_links_and_leaves_out_what_cannot_be_served(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    (repository / "m" / "1" / "__pycache__").mkdir(parents=True)
    (repository / "m" / "1" / "weights").write_text("w", encoding="utf-8")
    (repository / "m" / "2").symlink_to("1")
    (repository / "m" / "same").symlink_to("1/weights")
    (repository / "m" / "dangling").symlink_to("nowhere")
    (repository / "m" / "round").symlink_to("round")
    os.mkfifo(repository / "fifo")
    (tmp_path / "by-link").symlink_to(repository)
    staging.copy(tmp_path / "by-link", tmp_path / "copy")
    made = sorted(str(path.relative_to(tmp_path / "copy")) for path in (tmp_path / "copy").rglob("*"))
    assert made == ["m", "m/1", "m/1/weights", "m/2", "m/2/weights", "m/same"]
    assert not any(path.is_symlink() for path in (tmp_path / "copy").rglob("*"))
    assert (tmp_path / "copy/m/same").samefile(repository / "m/1/weights")


def test_the_copy_never_follows_a_link_out(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    (repository / "m").mkdir(parents=True)
    (tmp_path / "secret").write_text("s", encoding="utf-8")
    (repository / "m" / "out").symlink_to("../../secret")
    (repository / "m" / "up").symlink_to("..")
    with pytest.raises(Stop) as stop:
        staging.copy(repository, tmp_path / "copy")
    assert [(d.at.path, d.message) for d in stop.value.diagnostics] == [
        (f"{repository}/m/out", f"the link points to ../../secret, outside {repository}"),
    ]
    (repository / "m" / "out").unlink()
    with pytest.raises(Stop) as stop:
        staging.copy(repository, tmp_path / "copy")
    assert [(d.at.path, d.message) for d in stop.value.diagnostics] == [
        (f"{repository}/m/up", "the link points to .., a directory that contains the link"),
    ]
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        pytest.param(lambda _: None, "the directory does not exist", id="nothing there"),
        pytest.param(lambda path: path.touch(), "a file, not a model repository", id="a file"),
    ],
)
def test_what_is_no_repository(tmp_path: Path, make: Callable[[Path], object], words: str) -> None:
    make(tmp_path / "repository")
    with pytest.raises(Stop, match=words):
        staging.check(tmp_path / "repository")


LOG = r"""W1124 08:22:31.603336 6845 memory.cc:273] "pool not available: CUDA driver version is insufficient for CUDA"
E1124 08:22:31.603524 6845 server.cc:241] "CudaDriverHelper has not been initialized."
[libprotobuf ERROR text_format.cc:337] Error parsing text-format inference.ModelConfig: 2:15: no field named "x".
E1124 08:22:31.604112 6845 manager.cc:1460] "Poll failed for model directory 'cfg': failed to read text proto from cfg"
E1124 08:22:31.604670 6845 manager.cc:724] "failed to load model 'gate': at least one version must be available"
I1124 08:22:31.604679 6845 model_lifecycle.cc:472] "loading: ok:1"
E1124 08:22:31.948469 6845 backend_model.cc:692] "ERROR: Failed to create instance: ValueError: no\n\nAt:\n  m.py(5)\n"
E1124 08:22:31.948469 6845 backend_model.cc:692] "ERROR: Failed to create instance: ValueError: no\n\nAt:\n  m.py(5)\n"
E1124 08:22:31.960868 6845 manager.cc:703] "Invalid argument: ensemble 'pipe' depends on 'gate' which is not valid."
| raises | 1 | UNAVAILABLE: error |
terminate called after throwing an instance of 'std::bad_alloc'
Error: Failed to initialize NVML
"""


def test_a_command_in_a_hint_survives_a_strange_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever pastes it runs what is meant, whatever the directory is called."""
    repository = tmp_path / "models; touch pwned"
    repository.mkdir()
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(Stop) as stopped:
        staging.check(repository)
    assert stopped.value.diagnostics[0].hint == f"Run `chmod u+rx '{repository}'`."


def test_the_telling_lines_of_a_log() -> None:
    assert [line[:40] for line in logs.telling(LOG)] == [
        "[libprotobuf ERROR text_format.cc:337] E",
        "Poll failed for model directory 'cfg': f",
        "failed to load model 'gate': at least on",
        "ERROR: Failed to create instance: ValueE",
        "Invalid argument: ensemble 'pipe' depend",
        "terminate called after throwing an insta",
    ]
    many = "".join(f'E1124 08:22:31.603524 6845 a.cc:1] "fault {n}"\n' for n in range(30))
    assert logs.telling(many) == [f"fault {n}" for n in range(18, 30)]


def test_reasons_that_only_the_log_gives() -> None:
    assert logs.reasons(LOG) == {
        "cfg": 'failed to read text proto from cfg: 2:15: no field named "x".',
        "gate": "at least one version must be available",
        "pipe": "ensemble 'pipe' depends on 'gate' which is not valid.",
    }


@pytest.mark.parametrize(
    ("log", "path", "words"),
    [
        pytest.param(LOG, None, "", id="an ordinary log"),
        pytest.param("x Python model file not found in 'm/1/model.py'", "m/1/model.py", "is missing", id="no model.py"),
        pytest.param(
            "/b/triton_python_backend_stub: error while loading shared libraries: libpython3.11.so.1.0: gone",
            "",
            "libpython3.11.so.1.0: gone",
            id="no libpython",
        ),
    ],
)
def test_what_the_server_hangs_on(log: str, path: str | None, words: str) -> None:
    found = logs.hang(log)
    assert (found.path if found else None) == path
    assert words in (found.message if found else "")


INDEX = [
    ModelState("ok", "1", "READY"),
    ModelState("old", "1", "UNAVAILABLE", "unloaded"),
    ModelState("old", "2", "READY"),
]


@pytest.mark.parametrize(
    ("more", "explicit", "messages"),
    [
        pytest.param([], False, [], id="a version unloaded by policy is no fault"),
        pytest.param(
            [ModelState("bad", "1", "UNAVAILABLE", "Internal: ValueError: no\n\nAt:\n m.py")],
            False,
            ["the server did not load bad version 1: ValueError: no"],
            id="a failed version",
        ),
        pytest.param(
            [ModelState("ok", "2", "UNAVAILABLE", "Internal: ImportError:\n numpy")],
            False,
            ["the server did not load ok version 2: ImportError: numpy"],
            id="a failed version beside one that serves",
        ),
        pytest.param(
            [ModelState("quiet")], False, ["the server did not load quiet: the server gives no reason"], id="no word"
        ),
        pytest.param([ModelState("quiet")], True, [], id="not asked for in explicit mode"),
        pytest.param([ModelState("busy", "1", "LOADING")], False, [], id="still loading"),
    ],
)
def test_models_that_are_not_served(more: list[ModelState], explicit: bool, messages: list[str]) -> None:  # noqa: FBT001
    found = loading.unavailable([*INDEX, *more], "", "repo", explicit=explicit)
    assert [diagnostic.message for diagnostic in found] == messages


def test_dependants_stand_behind_their_root() -> None:
    found = loading.unavailable([*INDEX, ModelState("pipe"), ModelState("cfg")], LOG, "repo")
    assert [(d.at.path, d.hint) for d in found] == [
        ("repo/cfg", ""),
        ("repo/gate", "Fix this model first. Not served because of it: pipe."),
    ]


@contextmanager
def answering(answer: bytes, *, then_wait: bool = False) -> Iterator[tuple[str, threading.Event]]:
    """A server that sends every request the same bytes; the event is set when the client has closed its side."""
    closed = threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1 << 16)
            connection.sendall(answer)
            if not then_wait:  # what is closed with a request half read is reset, and its answer may be lost
                connection.shutdown(socket.SHUT_WR)
            with suppress(ConnectionResetError):
                while connection.recv(1 << 16):
                    pass
            closed.set()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", closed
        thread.join(BOUND_S)


HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENT = b'13\r\ndata: {"OUT":"a"}\n\n\r\n'


def test_closing_a_stream_closes_the_connection() -> None:
    with answering(HEAD + EVENT, then_wait=True) as (url, closed):
        answers = Client(Endpoint(url, timeout_s=BOUND_S)).stream("m", {})
        assert next(answers) == {"OUT": "a"}
        assert not closed.is_set()
        answers.close()
        assert closed.wait(BOUND_S)


@pytest.mark.parametrize(
    ("answer", "ask", "rule", "words"),
    [
        pytest.param(
            HEAD + EVENT,
            lambda c: [*c.stream("m", {})],
            "server-answer",
            "closed before the end of the response",
            id="a stream cut off",
        ),
        pytest.param(
            b"",
            lambda c: c.generate("m", {}),
            "server-answer",
            "closed before the end of the response",
            id="no answer at all",
        ),
        pytest.param(
            b"\0\0\x18\4\0", lambda c: c.index(), "server-answer", "Check that this is the HTTP port", id="gRPC"
        ),
        pytest.param(
            b"SSH-2.0\r\n", lambda c: c.ready(), "server-answer", "the response is not HTTP: SSH", id="another protocol"
        ),
        pytest.param(
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 6\r\n\r\n<html>",
            lambda c: c.index(),
            "server-answer",
            "not JSON: <html>",
            id="another web server",
        ),
        pytest.param(
            b'HTTP/1.1 400 Bad\r\nContent-Length: 26\r\n\r\ndata: {"error":"in m, no"}\n',
            lambda c: [*c.stream("m", {})],
            "server-refused",
            "m: in m, no",
            id="an error event under status 400",
        ),
        pytest.param(
            b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
            lambda c: [*c.stream("m", {})],
            "server-refused",
            "HTTP status 503",
            id="an empty stream under an error status",
        ),
    ],
)
def test_answers_that_are_none(answer: bytes, ask: Callable[[Client], object], rule: str, words: str) -> None:
    with answering(answer) as (url, _), pytest.raises(Stop, match=words) as stop:
        ask(Client(Endpoint(url, timeout_s=BOUND_S)))
    assert [(d.rule, d.severity) for d in stop.value.diagnostics] == [(rule, "error")]


def test_a_server_that_is_silent() -> None:
    with answering(HEAD + EVENT, then_wait=True) as (url, _):
        answers = Client(Endpoint(url, timeout_s=1)).stream("m", {})
        next(answers)
        with pytest.raises(Stop, match="sent nothing for 1 s") as stop:
            next(answers)
    assert [d.severity for d in stop.value.diagnostics] == ["fatal"]


def test_a_server_that_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(Stop, match="cannot be reached: Connection refused") as stop:
        Client(Endpoint(url)).ready()
    assert [(d.severity, d.at.path) for d in stop.value.diagnostics] == [("fatal", url)]


@pytest.mark.parametrize("url", ["ftp://host", "http://", "http://host:port", "http://host:99999"])
def test_urls_that_are_none(url: str) -> None:
    with pytest.raises(Stop, match="not the URL of a server"):
        Client(Endpoint(url))
