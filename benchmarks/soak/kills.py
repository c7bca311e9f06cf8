"""Kill builds and locks at random moments, and see that each leaves what the next one repairs.

    python -m benchmarks.soak.kills [--kills 200] [--seed 1] [--show]

Each run is a process of its own that gets SIGKILL after a random part of the time that a whole run takes, every other
one together with what it started (pip): a first build, an upgrade, a build and a `lock` that download a file of several
mebibytes from a slow web server on this machine, and a build that fetches its vendored packages with pip. Then every
file of the repository and the lock must be that of before or of after, whole. The same command is run again: it must
succeed, give the repository and the lock of a run that nobody killed, and leave nothing half-written: no staging
directory, no temporary file next to the lock, in the cache or in the directory of temporary files.

Prints what is not so, then the counts; exit status 1 if anything is not. Wheels come from `pip download`, once.

The 200 kills of seed 1, in 8 minutes on two cores that others used as well: none was wrong.
"""

from __future__ import annotations

import argparse
import hashlib
import http.server
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from tests.hub import sha256
from tests.test_own_stacks import SEARCH, weights
from tritonrepo.sources.vendored import VERSIONS
from tritonrepo.spec import lock_text
from tritonrepo.stores.directory import STAGING

TARGET = 'name: own\ntarget: {release: "24.10", images: [py3], gpus: 0}\n'
WEB = """\
  m:
    backend: python
    source: ./m.py
    files: {weights.bin: "URL"}
    config: {max_batch_size: 8, input: [{name: I, data_type: TYPE_FP32, dims: [2]}], \
output: [{name: O, data_type: TYPE_FP32, dims: [2]}]}
"""
PAYLOAD = random.Random(7).randbytes(6 << 20)
PIECE, PAUSE_S = 1 << 19, 0.05
"""How the server sends: a download takes 0.6 s."""


class Kind(NamedTuple):
    """What is killed: the command, whether a build was there before, whether wheels are cached, whether files are."""

    command: str
    before: bool
    wheels: bool
    web: bool


KINDS = {
    "first build": Kind("build", before=False, wheels=True, web=False),
    "upgrade": Kind("build", before=True, wheels=True, web=False),
    "vendored packages": Kind("build", before=False, wheels=False, web=False),
    "download": Kind("build", before=True, wheels=True, web=True),
    "lock": Kind("lock", before=True, wheels=True, web=True),
}


class State(NamedTuple):
    """A working directory and a cache, at rest: the digests of the repository's files, and the lock."""

    repository: Mapping[str, str]
    lock: bytes


def digests(place: Path) -> dict[str, str]:
    files = [path for path in place.rglob("*") if path.is_file()]
    return {path.relative_to(place).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def state(place: Path) -> State:
    lock = place / "own" / "tritonrepo.lock"
    return State(digests(place / "own" / "model_repository"), lock.read_bytes() if lock.exists() else b"")


def command(place: Path, name: str) -> tuple[list[str], dict[str, str]]:
    """Return the command and the environment in which nothing outside of the place is written."""
    temporary = place / "tmp"
    temporary.mkdir(exist_ok=True)
    own = {
        "XDG_CACHE_HOME": str(place / "cache"),
        "TMPDIR": str(temporary),
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(place.parent / "wheels"),
        "PIP_NO_CACHE_DIR": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return [sys.executable, "-m", "tritonrepo", name], os.environ | own


def run(place: Path, name: str) -> tuple[int, str, float]:
    words, environment = command(place, name)
    began = time.monotonic()
    done = subprocess.run(words, env=environment, cwd=place / "own", capture_output=True, text=True, check=False)
    return done.returncode, done.stderr, time.monotonic() - began


def killed(place: Path, name: str, after_s: float, *, alone: bool) -> bool:
    """Run a command and kill it after a time; return whether it was still running."""
    words, environment = command(place, name)
    process = subprocess.Popen(words, env=environment, cwd=place / "own", stdout=-3, stderr=-3, start_new_session=True)
    try:
        process.wait(after_s)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL) if alone else os.killpg(process.pid, signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


class Bench:
    """The states in which runs begin, as directories that are copied, and those in which they must end."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        self.begins: dict[str, Path] = {}
        self.ends: dict[str, State] = {}
        self.takes: dict[str, float] = {}
        self._wheels()
        old = folder / "old"
        self.written(old / "own", upgrade=False, web=False)
        assert run(old, "index")[0] == 0
        assert run(old, "build")[0] == 0
        shutil.rmtree(old / "tmp")  # ONNX Runtime, which made the index, leaves a file there
        for name, kind in KINDS.items():
            self.begins[name] = begin = folder / f"begin-{name.replace(' ', '-')}"
            copied(old, begin)
            if not kind.before:
                shutil.rmtree(begin / "own" / "model_repository")
                lock = begin / "own" / "tritonrepo.lock"
                indexed = lock_text.load(lock.read_bytes(), str(lock))
                lock.write_text(lock_text.dump(replace(indexed, models={}, sources={})), "utf-8")
            if not kind.wheels:
                shutil.rmtree(begin / "cache")
            self.written(begin / "own", upgrade=kind.before, web=kind.web)
            place = folder / "whole"
            copied(begin, place)
            code, said, self.takes[name] = run(place, kind.command)
            assert code == 0, said
            self.ends[name] = state(place)
            shutil.rmtree(place)

    def _wheels(self) -> None:
        """Fetch what vendored packages need."""
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:"]
        command += [f"--platform={name}_x86_64" for name in ("manylinux_2_28", "manylinux_2_17", "manylinux2014")]
        command += ["--python-version=3.10", "--abi=abi3", "--abi=cp310", "--abi=none", "--implementation=cp"]
        command += ["-d", str(self.folder / "wheels"), *(f"{name}=={version}" for name, version in VERSIONS.items())]
        subprocess.run(command, check=True)

    def written(self, own: Path, *, upgrade: bool, web: bool) -> None:
        """Write the stack, or its next revision: another batch size, fewer passages, a model more."""
        if not (own / "d").exists():
            weights(own / "w")
            (own / "d").mkdir()
            (own / "d" / "a.jsonl").write_text('{"id": "x", "text": "a b"}\n{"id": "y", "text": "c"}\n')
        text = SEARCH.replace("name: own\n", TARGET)
        if upgrade:
            text = text.replace("source: ./w", "source: ./w, batching: {max_batch_size: 8}")
            text = text.replace("top_k: 2", "top_k: 1")
            (own / "n.py").write_text("class TritonPythonModel:\n    def execute(self, requests):\n        return []\n")
            text = text.replace(
                "ensembles:",
                WEB.replace("m:\n", "n:\n", 1)
                .replace("m.py", "n.py")
                .replace('    files: {weights.bin: "URL"}\n', "")
                .rstrip("\n")
                + "\nensembles:",
            )
        if web:
            (own / "m.py").write_text("class TritonPythonModel:\n    def execute(self, requests):\n        return []\n")
            source = f"{self.url}/weights.bin#sha256={sha256(PAYLOAD)}"
            text = text.replace("ensembles:", f"{WEB.replace('URL', source)}ensembles:")
        (own / "tritonrepo.yaml").write_text(text)

    def faults(self, name: str, after_s: float, *, alone: bool) -> list[str] | None:
        """Return what one kill leaves wrong; None if the run was over before it."""
        kind, place = KINDS[name], self.folder / "killed"
        copied(self.begins[name], place)
        try:
            before = state(place)
            if not killed(place, kind.command, after_s, alone=alone):
                return None
            found = list(self._midway(before, self.ends[name], state(place)))
            code, said, _ = run(place, kind.command)
            if code:
                return [*found, f"the next run says {code}: {said.strip()}"]
            now = state(place)
            found += ["the repository is another one"] if now.repository != self.ends[name].repository else []
            found += ["the lock is another one"] if now.lock != self.ends[name].lock else []
            return [*found, *(f"{path} is left" for path in left(place))]
        finally:
            gone(place)

    @staticmethod
    def _midway(before: State, after: State, now: State) -> list[str]:
        """Return the files that are neither those of before nor those of after."""
        wrong = [
            path
            for path, digest in now.repository.items()
            if digest not in {before.repository.get(path), after.repository.get(path)}
        ]
        wrong += ["tritonrepo.lock"] if now.lock not in {before.lock, after.lock} else []
        return [f"{path} is half-written" for path in wrong]


def left(place: Path) -> list[str]:
    """Return what is left of runs that were killed."""
    own = {path.name for path in (place / "own").iterdir()}
    odd = own - {"w", "d", "i", "m.py", "n.py", "tritonrepo.yaml", "tritonrepo.lock", "model_repository"}
    found = [place / "own" / name for name in odd]
    found += [path for inner in ("work", "partial") for path in (place / "cache" / "tritonrepo" / inner).glob("*")]
    found += (place / "cache" / "tritonrepo" / "directories").glob("tmp*")
    found += [*(place / "tmp").iterdir()]
    return sorted(path.relative_to(place).as_posix() for path in {*found, *place.rglob(STAGING)} if path.exists())


def copied(source: Path, target: Path) -> None:
    """Copy a directory; read-only files, those of the cache, are linked as a build links them."""
    shutil.copytree(source, target, symlinks=True, copy_function=_placed)


def _placed(source: str, target: str) -> None:
    if Path(source).stat().st_mode & 0o222:
        shutil.copy2(source, target)
    else:
        os.link(source, target)


def gone(place: Path) -> None:
    """Remove a directory into which a program may still be writing that outlived its parent."""
    for _ in range(100):
        shutil.rmtree(place, ignore_errors=True)
        if not place.exists():
            return
        time.sleep(0.05)
    raise AssertionError(place)


@contextmanager
def serving() -> Iterator[str]:
    """Serve the payload, from any byte on, in pieces with pauses between them; yield the URL of the server."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").removesuffix("-"))
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(PAYLOAD) - start))
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(PAYLOAD) - 1}/{len(PAYLOAD)}")
            self.end_headers()
            with suppress(ConnectionError):
                for place in range(start, len(PAYLOAD), PIECE):
                    time.sleep(PAUSE_S)
                    self.wfile.write(PAYLOAD[place : place + PIECE])

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the parent's name
            """Keep quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def main() -> int:
    """Kill, look, and print what is not as it must be."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", action="store_true")
    options = parser.parse_args()
    chance, done, wrong = random.Random(options.seed), Counter[str](), 0
    with tempfile.TemporaryDirectory(prefix="kills-") as folder, serving() as url:
        bench = Bench(Path(folder), url)
        while done.total() < options.kills:
            name = [*KINDS][done.total() % len(KINDS)]
            after_s = chance.random() * bench.takes[name]
            faults = bench.faults(name, after_s, alone=bool(chance.getrandbits(1)))
            if faults is None:
                continue
            done[name] += 1
            wrong += bool(faults)
            if faults or options.show:
                print(
                    f"{name}, killed after {after_s:.2f} of {bench.takes[name]:.2f} s: {'; '.join(faults) or 'good'}",
                    flush=True,
                )
    print(f"{done.total()} killed ({', '.join(f'{count} × {name}' for name, count in done.items())}), {wrong} wrong")
    return int(wrong > 0)


if __name__ == "__main__":
    raise SystemExit(main())
