"""Pushes of a small repository: a leaf in some version and the pipeline that pins it; what a store then holds."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import EXAMPLE
from tests.processes import alive, killed
from tritonrepo.cli import run
from tritonrepo.flows.events import Event
from tritonrepo.flows.serve import ServeOptions, serve
from tritonrepo.flows.workspace import Workspace
from tritonrepo.server.launch import Mode
from tritonrepo.server.ports import Ports
from tritonrepo.server.process import Server
from tritonrepo.stores import open_store
from tritonrepo.sync import history
from tritonrepo.sync.telling import Began, Interrupted, Line, Waits
from tritonrepo.tree import File

LEAF = """name: "leaf"
backend: "python"
max_batch_size: 0
input {{ name: "IN" data_type: TYPE_FP32 dims: [ 1 ] }}
output {{ name: "OUT" data_type: TYPE_FP32 dims: [ 1 ] }}
version_policy {{ specific {{ versions: [ {version} ] }} }}
"""
TOP = """name: "top"
platform: "ensemble"
max_batch_size: 0
input {{ name: "IN" data_type: TYPE_FP32 dims: [ 1 ] }}
output {{ name: "OUT" data_type: TYPE_FP32 dims: [ 1 ] }}
ensemble_scheduling {{
  step {{
    model_name: "leaf"
    model_version: {version}
    input_map {{ key: "IN" value: "IN" }}
    output_map {{ key: "OUT" value: "OUT" }}
  }}
}}
version_policy {{ specific {{ versions: [ 1 ] }} }}
"""
CODE = "class TritonPythonModel:\n    def execute(self, requests):\n        return []\n"
CRASH = "Triton has crashed"
"""How a failure begins that is none of ours; pyproject.toml names it too, and such a test is run once more."""
OWN_LOCK = "boost::interprocess::lock_exception"
"""What the server's log may say of it."""
CRASHES = (-signal.SIGABRT, -signal.SIGBUS, -signal.SIGFPE, -signal.SIGILL, -signal.SIGSEGV)
"""How a process ends that nobody has ended; a killed one was killed by a test, or by the machine."""
ENDS_S = 10


def repository(place: Path, version: int) -> Path:
    """Write a leaf in this version, and the pipeline that pins it."""
    for name, text in (("leaf", LEAF), ("top", TOP)):
        (place / name).mkdir(parents=True, exist_ok=True)
        (place / name / "config.pbtxt").write_text(text.format(version=version), "utf-8")
    shutil.rmtree(place / "leaf" / "1", ignore_errors=True)
    (place / "leaf" / str(version)).mkdir()
    (place / "leaf" / str(version) / "model.py").write_text(CODE, "utf-8")
    for number in range(20):
        (place / "leaf" / str(version) / f"part-{number}").write_text(f"{version} {number}", "utf-8")
    (place / "top" / "1").mkdir(exist_ok=True)
    return place


def stored(uri: str) -> dict[str, bytes]:
    """Return every object of the prefix, according to the store itself."""
    store, prefix = open_store(uri)
    return {path: entry.content() for path, entry in store.scan(prefix).items() if isinstance(entry, File)}


def push(*arguments: object) -> int:
    """Push to where no server reads, so that no write has to wait for the next second of the store's clock."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tritonrepo.sync.pace.GRAIN_S", 0)
        return run(["push", *map(str, arguments), "--settle", "0"])


def hearing(told: list[str]) -> Callable[[Event], None]:
    """Return a receiver of progress that adds each event that is a line to these."""

    def tell(event: Event) -> None:
        if isinstance(event, Began | Waits | Line | Interrupted):
            told.append(event.text)

    return tell


def own_files(made: Path) -> dict[str, bytes]:
    """Return what a repository directory holds, as a bucket must hold it."""
    found = {str(path.relative_to(made)): path.read_bytes() for path in made.rglob("*") if path.is_file()}
    return found | {"top/1/.keep": b""}


def beside(uri: str) -> list[str]:
    """Return what is next to the repository besides its earlier revisions."""
    store, prefix = open_store(uri)
    earlier = (f"{history.KEPT}/", f"{history.REVISIONS}/")
    return [path for path in store.scan(f"{prefix}.tritonrepo") if not path.startswith(earlier)]


@contextmanager
def polling(uri: str, every_s: int = 1) -> Iterator[Server]:
    """Run the real server on a bucket or a directory, as `serve --poll 1 --llm-engine script` does."""
    chosen = ServeOptions(Ports(0, 0, 0), None, "script", 120, Mode.POLL, every_s)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITONREPO_SCRIPT_TOKEN_MS", "0")
        with killed(serve(uri, chosen, Workspace(os.environ), None, EXAMPLE)) as server, explaining(server):
            yield server


@contextmanager
def explaining(server: Server) -> Iterator[None]:
    """Show how a server ended, and its log, in the failure of a test that needed it.

    On a busy machine, the Python backend of 24.10 may break a lock of its own while versions load, and end the server:
    triton-inference-server/server#5949 and #8882. A test that fails beside such a crash says so, and is run once more.
    """
    try:
        yield
    except (Exception, pytest.fail.Exception) as error:
        code = ended(server)
        if code is None and OWN_LOCK not in server.log():
            raise
        how = "runs" if code is None else f"ended with signal {-code}" if code < 0 else f"ended with exit code {code}"
        crashed = code in CRASHES or OWN_LOCK in server.log()
        raise RuntimeError(f"{CRASH if crashed else 'Triton is gone'}: it {how}\n{server.log_tail(100)}") from error


def ended(server: Server) -> int | None:
    """Return how the server's process ended, which its supervisor knows a moment later; None while it runs."""
    deadline = time.monotonic() + ENDS_S
    while (code := server.exit_code()) is None and not alive(server.pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return code
