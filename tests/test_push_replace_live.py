"""A push that replaces a model of which two do not fit in memory, on the real S3 server and the real Triton."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.pushes import LEAF, TOP, polling, stored
from tests.servers.s3 import S3Server
from tritonrepo.cli import run
from tritonrepo.sync import record as records
from tritonrepo.sync.record import Record

CODE = """
import numpy as np
import triton_python_backend_utils as pb_utils

def log(*words):
    with open({log!r}, "a") as file:
        print(*words, file=file)

class TritonPythonModel:
    def initialize(self, args):
        self.name, self.version = args["model_name"], args["model_version"]
        log("load", self.name, self.version)

    def execute(self, requests):
        tensor = pb_utils.Tensor("OUT", np.array([float(self.version)], np.float32))
        return [pb_utils.InferenceResponse([tensor]) for _ in requests]

    def finalize(self):
        log("unload", self.name, self.version)
"""
BODY = json.dumps({"inputs": [{"name": "IN", "datatype": "FP32", "shape": [1], "data": [0]}]}).encode()
PAUSE_S = 0.05


def ask(http: str, model: str) -> str:
    """Return the version that answers, or the status and the error."""
    try:
        with urllib.request.urlopen(f"{http}/v2/models/{model}/infer", BODY, timeout=30) as response:
            return f"{json.load(response)['outputs'][0]['data'][0]:g}"
    except urllib.error.HTTPError as error:
        return f"{error.code} {json.load(error)['error']}"


class Clients:
    """A client for each model, which asks again and again, and one for readiness."""

    def __init__(self, http: str, *models: str) -> None:
        self.http = http
        self.answers: dict[str, Counter[str]] = {model: Counter() for model in models}
        self.readiness: Counter[int] = Counter()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(model,)) for model in models]
        self._threads.append(threading.Thread(target=self._look))

    def _ask(self, model: str) -> None:
        while not self._over.wait(PAUSE_S):
            self.answers[model][ask(self.http, model)] += 1

    def _look(self) -> None:
        while not self._over.wait(PAUSE_S):
            try:
                with urllib.request.urlopen(f"{self.http}/v2/health/ready", timeout=30) as response:
                    self.readiness[response.status] += 1
            except urllib.error.HTTPError as error:
                self.readiness[error.code] += 1

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


def repository(place: Path, version: int, log: Path) -> Path:
    """Write a leaf that is replaced, a pipeline that pins it, and a model and a pipeline next to them."""
    place.mkdir()
    for name, text in (("leaf", LEAF), ("top", TOP), ("lone", LEAF), ("other", TOP)):
        own = text.replace('"leaf"', f'"{name}"') if text is LEAF else text.replace('"top"', f'"{name}"')
        own = own.replace('"leaf"', '"lone"') if name == "other" else own
        number = version if name == "leaf" else 1
        folder = place / name / str(number)
        folder.mkdir(parents=True)
        pinned = version if name in {"leaf", "top"} else 1
        (place / name / "config.pbtxt").write_text(own.format(version=pinned), "utf-8")
        if text is LEAF:
            (folder / "model.py").write_text(CODE.format(log=str(log)), "utf-8")
    (place / records.NAME).write_bytes(records.dump(Record(switch={"leaf": "replace"})).content())
    return place


UNDER_WAY = "503 in ensemble 'top', Request for unknown model: 'leaf' version 1 is not at ready state"
"""What a request gets that the server took up before the pipeline went, if the machine is busy."""


@pytest.mark.timeout(300)
def test_two_versions_are_never_in_memory_and_nothing_else_fails(
    tmp_path: Path, s3_server: S3Server, capsys: pytest.CaptureFixture[str]
) -> None:
    uri, log = s3_server.fresh(), tmp_path / "log"
    first, second = (repository(tmp_path / str(version), version, log) for version in (1, 2))
    assert run(["push", str(first), uri, "--settle", "0"]) == 0
    before = stored(uri)
    with polling(uri) as server, Clients(server.http, "leaf", "top", "lone", "other") as clients:
        arguments = ["push", str(second), uri, "--server", server.http, "--settle", "0", "--timeout", "120"]
        capsys.readouterr()
        assert run(arguments) == 1
        said = capsys.readouterr().err
        assert 'requests to "leaf" fail while version 2 replaces version 1, as do requests to top [push-down' in said
        assert stored(uri) == before
        assert run([*arguments, "--allow-downtime", "leaf"]) == 0
        assert (ask(server.http, "leaf"), ask(server.http, "top")) == ("2", "2")
    lines = [line for line in log.read_text("utf-8").splitlines() if " leaf " in line]
    assert lines[:3] == ["load leaf 1", "unload leaf 1", "load leaf 2"]
    assert set(clients.answers["lone"]) == set(clients.answers["other"]) == {"1"}
    assert set(clients.readiness) == {200}
    answers = {name: {each for each in clients.answers[name] if each[1:]} for name in ("leaf", "top")}
    assert answers["leaf"] == {"503 leaf is being replaced: its new version has not been loaded yet"}
    assert answers["top"] - {UNDER_WAY} == {"404 Request for unknown model: 'top' has no available versions"}
