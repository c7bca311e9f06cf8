"""The real server on many models at once: what its log says about each, after one start that ends by itself."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from benchmarks.soak import null_backend
from benchmarks.soak.page_server import OURS, write
from tests.pages import normal
from tritonrepo.flows.served_release import named, wheel_of
from tritonrepo.releases import runnable
from tritonrepo.server import launch, logs, staging
from tritonrepo.server.runtime import Runtime, find
from tritonrepo.sources.cache import Cache, default_root
from tritonrepo.tree import Entry

STOPPER = "zz~ends.the.server"
"""A model that no server loads: it makes the start fail, so that the server exits once all others are decided."""

LOADED = re.compile(r"successfully loaded '(.+)'")
VERSION = re.compile(r"failed to load '(?P<model>.+?)' version -?\d+: (?P<reason>.*)", re.DOTALL)
STAND_INS = ("vllm",)
"""Ours for onnxruntime is not among them: it reads the graphs, but these are not real ones."""

THREADS = 4
MEMORY = 6 << 30
"""Bytes of address space: a warmup with some dims takes all memory, and then the system kills any process."""


class Said(NamedTuple):
    """What the server says about one model: whether it serves it, and all reasons that it logs."""

    ready: bool
    reasons: tuple[str, ...] = ()


class Seen(NamedTuple):
    """A start: the signal or "deadline" if it did not end by itself, and the verdicts by model."""

    ended: str
    models: Mapping[str, Said]
    last: str = ""


class Bench:
    """The backends, created once, and the server that is started with them."""

    def __init__(self, folder: Path, names: Collection[str], *, real: bool, release: str = "") -> None:
        """Create the backends: null ones or, if `real`, the real Python backend and our stand-ins with null ones.

        `release` is the one whose server runs, if not that of the installed wheel.
        """
        self.folder = folder
        other = named(release) if release not in {"", runnable().name} else None
        wheel = wheel_of(other, Cache(default_root(os.environ))) if other else None
        self.runtime: Runtime = find(None, (), wheel)
        self.real = real
        self.release = f" {release}" if other else ""
        self.counts_memory = other is not None and not other.has("random-memory-names")
        ours = {name: OURS / name for name in STAND_INS} if real else {}
        self.backends = folder / "backends"
        if real:
            staging.backends(self.runtime, ours, self.backends)
        given = {*ours, "python"} if real else set()
        null_backend.build(folder, sorted(set(names) - given - {"ensemble"}))

    def judge(self, tree: Mapping[str, Entry], *, auto_complete: bool, deadline_s: float) -> Seen:
        """Start the server on a tree and read its log."""
        with tempfile.TemporaryDirectory(prefix="verdicts-", ignore_cleanup_errors=True) as made:
            home, root = Path(made), Path(made, "repository")
            root.mkdir()
            write(root, tree)
            (root / STOPPER).mkdir()
            with launch.log_path(home).open("wb") as stream:
                ended = self._run(home, root, stream.fileno(), deadline_s, auto_complete=auto_complete)
            text = launch.log_path(home).read_text("utf-8", "replace").replace(str(self.backends), "$BACKENDS")
            names = {path.partition("/")[0] for path in tree}
            messages = [normal(line.message, str(root)) for line in logs.lines(text)]
            return Seen(ended, said(text, names, str(root)), messages[-1] if messages else "")

    def _run(self, home: Path, root: Path, stream: int, deadline_s: float, *, auto_complete: bool) -> str:
        wanted = launch.Launch(root, self.runtime, environment={"TRITONREPO_LLM_ENGINE": "script"})
        command = [
            str(self.runtime.server),
            f"--model-repository={root}",
            f"--backend-directory={self.backends}",
            *([] if self.counts_memory else [f"--backend-config={launch.PREFIX}{home.name}-"]),
            *(f"--allow-{port}=false" for port in ("http", "grpc", "metrics")),
            f"--model-load-thread-count={THREADS}",
            *([] if auto_complete else ["--disable-auto-complete-config"]),
        ]
        environment = launch.environment(wanted, home)
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "nice", "-n", "5", "prlimit", f"--as={MEMORY}", *command],
            stdout=stream,
            stderr=stream,
            env=environment,
            start_new_session=True,
        )
        try:
            code = process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            return "deadline"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        return f"signal {-code}" if code < 0 else ""


def said(text: str, names: Collection[str], root: str) -> dict[str, Said]:
    """Return the verdicts of a log; a refusal without a model in the usual place applies to every model it names."""
    lines = [line for line in logs.lines(text) if line.level == "E"]
    ready = set(LOADED.findall(text))
    reasons: dict[str, list[str]] = defaultdict(list)
    for line in lines:
        if found := VERSION.match(line.message):
            reasons[found["model"]].append(found["reason"])
    for name, reason in logs.reasons(text).items():
        reasons[name].append(reason)
    others = [line.message for line in lines if not VERSION.match(line.message)]
    found_in = {name: [other for other in others if name in other] for name in names if name not in ready}
    return {
        name: Said(
            name in ready,
            tuple(normal(reason, root) for reason in [*reasons[name], *found_in.get(name, [])]),
        )
        for name in names
    }
