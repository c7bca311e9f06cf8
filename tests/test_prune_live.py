"""A removal under load: the real S3 server, the real Triton polling it, and clients without a pause."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.pushes import LEAF, TOP, polling, push
from tests.servers.s3 import S3Server
from tritonrepo.cli import run
from tritonrepo.server.process import Server

CODE = """
import numpy as np
import triton_python_backend_utils as pb_utils
class TritonPythonModel:
    def execute(self, requests):
        found = [pb_utils.Tensor("OUT", np.array([1], dtype=np.float32))]
        return [pb_utils.InferenceResponse(found) for _ in requests]
"""
BODY = json.dumps({"inputs": [{"name": "IN", "shape": [1], "datatype": "FP32", "data": [1.0]}]}).encode()


def release(place: Path, version: int, *others: str) -> Path:
    """Write the leaf in this version, the pipeline that pins it, and other models."""
    for name, text in (("leaf", LEAF), ("top", TOP), *((name, LEAF.replace("leaf", name)) for name in others)):
        folder = place / name / str(version if name == "leaf" else 1)
        folder.mkdir(parents=True)
        number = version if name in {"leaf", "top"} else 1
        (place / name / "config.pbtxt").write_text(text.format(version=number), "utf-8")
        if name != "top":
            (folder / "model.py").write_text(CODE, "utf-8")
    return place


def answer(server: Server, name: str) -> int:
    """Return the status of a request to a model, or of the server's readiness."""
    path, body = ("health/ready", None) if name == "ready" else (f"models/{name}/infer", BODY)
    try:
        with urllib.request.urlopen(f"{server.http}/v2/{path}", body, timeout=60) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return error.code


@contextmanager
def asking(server: Server, *names: str) -> Iterator[dict[str, list[int]]]:
    """Ask these models without a pause while the block runs, and yield the statuses of all answers."""
    found: dict[str, list[int]] = {name: [] for name in names}
    over = threading.Event()

    def ask(name: str) -> None:
        while not over.is_set():
            found[name].append(answer(server, name))

    threads = [threading.Thread(target=ask, args=[name]) for name in names]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        over.set()
        for thread in threads:
            thread.join()


@pytest.mark.timeout(300)
def test_no_request_fails_while_versions_and_a_model_are_removed(tmp_path: Path, s3_server: S3Server) -> None:
    uri = s3_server.fresh()
    for version, others in ((1, ["old"]), (2, []), (3, [])):
        assert push(release(tmp_path / str(version), version, *others), uri) == 0
    with polling(uri) as server:
        assert answer(server, "old") == 200
        before = server.log().count("initializ")
        with asking(server, "leaf", "top", "ready") as found:
            assert run(["prune", uri, "--keep", "1", "--yes", "--settle", "2"]) == 0
            deadline = time.monotonic() + 60
            while answer(server, "old") == 200:
                assert time.monotonic() < deadline, server.log_tail()
        assert {name: set(statuses) for name, statuses in found.items()} == {name: {200} for name in found}
        assert server.log().count("initializ") == before, "a version that stays was initialized again"
