"""The real server on a repository of the rule pages: which models it serves, and why it refuses the others."""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy

from tests.pages import normal
from tritonrepo.diagnostics import State, Stop
from tritonrepo.server import logs
from tritonrepo.server.client import Client
from tritonrepo.server.endpoint import Endpoint
from tritonrepo.server.launch import Launch, Mode
from tritonrepo.server.process import Server, start
from tritonrepo.server.runtime import find
from tritonrepo.server.tensors import Request, Tensor, numpy_type
from tritonrepo.tree import Directory, Entry, File, Link, Unreadable

ANSWER_S = 25
GLANCE_S = 0.03
OURS = Path(__file__).parents[2] / "tritonrepo/server/backends"
NULL = '''"""Accepts every model and answers nothing."""

import json

import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    @staticmethod
    def auto_complete_config(config):
        return config

    def initialize(self, args):
        policy = json.loads(args["model_config"]).get("model_transaction_policy") or {}
        self.decoupled = policy.get("decoupled")

    def execute(self, requests):
        if not self.decoupled:
            return [pb_utils.InferenceResponse(output_tensors=[]) for _ in requests]
        for request in requests:
            request.get_response_sender().send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
        return None
'''
ENGINE = {"TRITONREPO_LLM_ENGINE": "script"}
"""With it, our stand-in for vLLM needs no weights."""

HANGS = {"server-hangs", "server-deadline"}


class Place(NamedTuple):
    """What pages must share to be tested in one server: backends, which of them are ours, auto-complete."""

    backends: frozenset[str]
    ours: frozenset[str]
    auto_complete: bool


class Seen(NamedTuple):
    """What a server did: how it ended if it did not start, model → reasons for its refusal, and its log."""

    state: State
    ready: frozenset[str]
    reasons: Mapping[str, str]
    log: tuple[str, ...]


def write(root: Path, tree: Mapping[str, Entry]) -> None:
    """Write a tree; an empty model.py becomes one that loads."""
    for path, entry in tree.items():
        at = root / path
        at.parent.mkdir(parents=True, exist_ok=True)
        match entry:
            case File():
                at.write_bytes(entry.content() or (NULL.encode() if at.name == "model.py" else b""))
            case Directory():
                at.mkdir(exist_ok=True)
            case Link():
                at.symlink_to(entry.target)
            case Unreadable.FIFO:
                os.mkfifo(at)
            case _:
                at.symlink_to("nowhere")


def serve(tree: Mapping[str, Entry], place: Place, deadline_s: float, asked: Sequence[str] = ()) -> Seen:
    """Start the real server on a tree, and send a first request to the given models."""
    with tempfile.TemporaryDirectory(prefix="pages-") as folder:
        root, null = Path(folder, "repository"), Path(folder, "null")
        root.mkdir()
        null.mkdir()
        (null / "model.py").write_text(NULL, "utf-8")
        write(root, tree)
        backends = {
            name: OURS / name if name in place.ours else null for name in place.backends - {"python", "ensemble"}
        }
        launch = Launch(root, find(), mode=Mode.EXPLICIT, auto_complete=place.auto_complete, backends=backends)
        launch = replace(launch, deadline_s=deadline_s, environment=ENGINE, extra_args=["--load-model=*"])
        try:
            with start(launch) as running:
                index = Client(Endpoint(running.http)).index()
                state = State.CRASH if any(ends(running, model) for model in asked) else State.READY
                log = running.log()
        except Stop as stop:
            return stopped(stop, str(root))
        ready = frozenset(model.name for model in index if model.state == "READY")
        found = {model.name: model.reason for model in index if model.reason}
        told = logs.reasons(log) | found
        plain = {name: normal(reason, str(root)) for name, reason in told.items()}
        return Seen(state, ready, plain, tuple(normal(line.message, str(root)) for line in logs.lines(log)))


def ends(running: Server, model: str) -> bool:
    """Whether the first request of a sequence crashes the server."""
    client = Client(Endpoint(running.http, timeout_s=ANSWER_S))
    inputs = tuple(zeros(one) for one in client.metadata(model)["inputs"])
    with suppress(Stop):
        client.infer(Request(model, "", inputs, sequence=7))
        return False
    deadline = time.monotonic() + ANSWER_S
    while running.alive() and time.monotonic() < deadline:
        time.sleep(GLANCE_S)
    return not running.alive()


def zeros(one: Mapping[str, Any]) -> Tensor:
    """Return an input of zeros."""
    shape = [max(1, int(dim)) for dim in one["shape"]]
    return Tensor(one["name"], one["datatype"], numpy.zeros(shape, numpy_type(one["datatype"])))


def stopped(stop: Stop, root: str) -> Seen:
    """Return what a server that did not start did."""
    rules = {diagnostic.rule for diagnostic in stop.diagnostics}
    state = State.CRASH if "server-died" in rules else State.HANG if rules & HANGS else State.REFUSED
    lines = [line for diagnostic in stop.diagnostics for line in str(diagnostic).splitlines()]
    for path in re.findall(r"server's log: `(\S+)`", str(stop)):
        kept = Path(path)
        lines += [line.message for line in logs.lines(kept.read_text("utf-8", "replace"))]
        kept.unlink()
    return Seen(state, frozenset(), {}, tuple(normal(line, root) for line in lines))
