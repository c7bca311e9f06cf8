"""A pipeline that calls a pipeline, pushed under load to the real Triton that polls a bucket."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from http import HTTPStatus
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from tests.processes import unmeasured
from tests.pushes import polling, stored
from tests.servers.s3 import S3Server
from tritonrepo.cli import run
from tritonrepo.server.process import Server

ENOUGH = 2_000
PAUSE_S = 0.02
"""What is mixed would be mixed for a second, since the server looks once in it: that is 100 requests."""
CLIENTS = ("outer", "outer", "outer", "pipe")
CODE = """\
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        self.version = int(args["model_version"])

    def execute(self, requests):
        answer = pb_utils.Tensor("OUT", np.array([self.version], np.int32))
        return [pb_utils.InferenceResponse([answer]) for _ in requests]
"""
TENSOR = '{put} {{ name: "{name}" data_type: TYPE_INT32 dims: [ 1 ] }}\n'
STEP = """\
  step {{
    model_name: "{model}"
    model_version: {version}
    input_map {{ key: "IN" value: "IN" }}
    output_map {{ key: "OUT" value: "{out}" }}
  }}
"""
Nest = dict[str, dict[str, str]]
"""Pipeline → output → the model that produces it."""

NESTED: Nest = {"pipe": {"OUT": "leaf"}, "outer": {"A": "pipe", "B": "leaf"}}
FLAT: Nest = {"pipe": {"OUT": "leaf"}, "outer": {"A": "leaf", "B": "leaf"}}


def repository(place: Path, version: int, nest: Nest) -> Path:
    """Write a leaf that returns its version, and pipelines over it, all in this version and pinned to it."""
    for name, outputs in ({"leaf": {"OUT": ""}} | nest).items():
        steps = "".join(STEP.format(model=model, version=version, out=out) for out, model in outputs.items() if model)
        text = f'name: "{name}"\nmax_batch_size: 0\n' + TENSOR.format(put="input", name="IN")
        text += "".join(TENSOR.format(put="output", name=output) for output in outputs)
        text += f'platform: "ensemble"\nensemble_scheduling {{\n{steps}}}\n' if steps else 'backend: "python"\n'
        text += f"version_policy {{ specific {{ versions: [ {version} ] }} }}\n"
        (place / name / str(version)).mkdir(parents=True)
        (place / name / "config.pbtxt").write_text(text, "utf-8")
    (place / "leaf" / str(version) / "model.py").write_text(CODE, "utf-8")
    return place


class Load:
    """Queries the pipelines until it is left and has enough; records the leaves' versions in each response."""

    def __init__(self, server: Server) -> None:
        self.at = urlsplit(server.http).netloc
        self.answers: Counter[str] = Counter()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(model,)) for model in CLIENTS]

    def _ask(self, model: str) -> None:
        question = {"inputs": [{"name": "IN", "datatype": "INT32", "shape": [1], "data": [0]}]}
        with closing(http.client.HTTPConnection(self.at, timeout=60)) as connection:
            while not self._over.wait(PAUSE_S) or self.answers.total() < ENOUGH:
                connection.request("POST", f"/v2/models/{model}/infer", json.dumps(question))
                reply = connection.getresponse()
                said = json.loads(reply.read())
                versions = sorted({output["data"][0] for output in said.get("outputs", ())})
                self.answers[f"{model} {versions}" if reply.status == HTTPStatus.OK else f"failed: {said}"] += 1

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


def push(made: Path, uri: str, server: Server, *more: str) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, "-m", "tritonrepo", "push", str(made), uri, "--server", server.http, *more]
    command = [*arguments, "--settle", "1"]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, env=unmeasured())


def test_no_answer_mixes_releases_whether_a_pipeline_calls_another_or_ceases_to(
    tmp_path: Path, s3_server: S3Server, show: Callable[[str], None]
) -> None:
    uri = s3_server.fresh()
    assert run(["push", str(repository(tmp_path / "1", 1, NESTED)), uri, "--settle", "0"]) == 0
    before = stored(uri)
    with polling(uri) as server, Load(server) as load:
        refused = push(repository(tmp_path / "nested", 2, NESTED), uri, server)
        assert (refused.returncode, stored(uri)) == (1, before), (load.answers, refused)
        assert f"{uri}/outer: error: " in refused.stderr
        assert "outer → pipe → leaf 2" in refused.stderr
        flat = push(repository(tmp_path / "flat", 2, FLAT), uri, server)
        assert flat.returncode == 0, flat.stderr
    show(f"a pipeline flattened under load: {dict(load.answers)}")
    assert {*load.answers} == {"outer [1]", "outer [2]", "pipe [1]", "pipe [2]"}
