"""The manifest of a server that is pushed to, run by the real one: its probes through start, push, death and end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.kubelet import Pod, pod
from tests.test_kube import built
from tritonrepo.cli import run

LEAF = """backend: "python"
max_batch_size: 0
input { name: "IN" data_type: TYPE_FP32 dims: [ 1 ] }
output { name: "OUT" data_type: TYPE_FP32 dims: [ 1 ] }
instance_group { kind: KIND_CPU }
version_policy { specific { versions: [ %s ] } }
"""
TOP = """platform: "ensemble"
max_batch_size: 0
input { name: "IN" data_type: TYPE_FP32 dims: [ 1 ] }
output { name: "OUT" data_type: TYPE_FP32 dims: [ 1 ] }
ensemble_scheduling { step { model_name: "leaf" model_version: %s
  input_map { key: "IN" value: "IN" } output_map { key: "OUT" value: "OUT" } } }
version_policy { specific { versions: [ 1 ] } }
"""
CODE = """import time
import triton_python_backend_utils as pb
class TritonPythonModel:
    def execute(self, requests):
        found = [request.inputs()[0].as_numpy() for request in requests]
        time.sleep(max(float(each[0]) for each in found) / 1000)
        return [pb.InferenceResponse([pb.Tensor("OUT", each + %s)]) for each in found]
"""
REFUSES = CODE + "\n    def initialize(self, args):\n        open('weights-that-are-only-there')\n"
CONTENT = "/models/support"


def repository(place: Path, version: int) -> Path:
    """Write a leaf in a version, which adds it to its input in milliseconds, and what calls it."""
    files = {"leaf/config.pbtxt": LEAF % version, f"leaf/{version}/model.py": CODE % version}
    files |= {"slow/config.pbtxt": LEAF % 1, "slow/1/model.py": CODE % 0}
    files |= {"top/config.pbtxt": TOP % version, "top/1/.keep": ""}
    for path, content in files.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_text(content, "utf-8")
    return place


def deployed(repo: Path, out: Path, *words: str) -> Any:  # noqa: ANN401  YAML
    """Return the pod's spec in the manifest that kustomize builds for production."""
    uri = f"pvc://claim{CONTENT.removeprefix('/models')}"
    assert run(["deploy", "k8s", str(repo), "--uri", uri, "--gpus", "0", "-o", str(out), *words]) == 0
    (found,) = (each for each in built(out / "overlays" / "prod") if each["kind"] == "Deployment")
    return found["spec"]["template"]["spec"]


def asked(server: Pod, value: float, model: str = "top") -> float:
    body = {"inputs": [{"name": "IN", "shape": [1], "datatype": "FP32", "data": [value]}]}
    request = urllib.request.Request(f"{server.http}/v2/models/{model}/infer", json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=60) as answer:
        return float(json.load(answer)["outputs"][0]["data"][0])


class Asking:
    """Asks the model without pause until it is left, and keeps every answer."""

    def __init__(self, server: Pod) -> None:
        self._server, self.answers, self._over = server, list[float](), threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def _ask(self) -> None:
        while not self._over.is_set():
            try:
                self.answers.append(asked(self._server, 1))
            except (urllib.error.URLError, OSError):
                self.answers.append(-1)

    def __enter__(self) -> Asking:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def test_a_pod_that_is_pushed_to_starts_serves_is_seen_to_die_and_ends(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    served = tmp_path / "claim" / "support"
    served.parent.mkdir()
    assert run(["push", str(repository(tmp_path / "one", 1)), str(served), "--settle", "0"]) == 0
    spec = deployed(tmp_path / "one", tmp_path / "out", "--pushable", "--poll", "1")
    (container,) = spec["containers"]
    asking = container["readinessProbe"]["exec"]["command"]
    assert [url.rpartition("/models/")[2] for url in asking[-2:]] == ["slow/ready", "top/ready"]
    with pod(container, {"/models": served.parent}) as server:
        assert not server.ask("startupProbe")
        server.started()
        assert server.passes("livenessProbe")
        assert server.passes("readinessProbe")
        assert asked(server, 1) == 2
        two, three = repository(tmp_path / "two", 2), repository(tmp_path / "three", 3)
        (three / "leaf" / "3" / "model.py").write_text(REFUSES % 3, "utf-8")
        assert _pushed(server, two, served) == 0, capsys.readouterr()
        smoke = ["smoke", server.http, str(served), "--grpc", server.grpc]
        assert run(smoke) == 0, capsys.readouterr()
        assert _pushed(server, three, served) == 1
        assert "weights-that-are-only-there" in capsys.readouterr().err
        _drained(server)
    good = shutil.copytree(two, tmp_path / "other" / "support")  # the last push broke off, to be fixed by the next one
    with pod(container, {"/models": good.parent}) as server:
        server.started()
        _dead(server)


def _pushed(server: Pod, what: Path, served: Path) -> int:
    """Push while the model is asked and probes are: whatever the push brings, none of them fails."""
    done = list[int]()
    words = ["push", str(what), str(served), "--server", server.http, "--settle", "0"]
    pushing = threading.Thread(target=lambda: done.append(run(words)))
    with Asking(server) as asking:
        pushing.start()
        while pushing.is_alive():
            assert server.ask("livenessProbe")
            assert server.ask("readinessProbe")
            pushing.join(0.2)
    assert {*asking.answers} <= {2, 3}
    assert asking.answers == sorted(asking.answers)
    return done[0]


def _drained(server: Pod) -> None:
    """A request in flight is answered after the server was asked to end."""
    answers = list[float]()
    flying = threading.Thread(target=lambda: answers.append(asked(server, 3000, "slow")))
    flying.start()
    flying.join(0.5)
    server.terminate()
    assert server.ended() == 0
    flying.join()
    assert answers == [3000]


def _dead(server: Pod) -> None:
    """The server does not notice that the process of a model is dead; the liveness probe does."""
    assert server.passes("livenessProbe")
    (leaf,) = (
        pid for pid in server.children() if b" leaf_" in Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
    )
    os.kill(leaf, signal.SIGKILL)
    assert not server.passes("livenessProbe")
    assert server.failures["livenessProbe"] == server.container["livenessProbe"]["failureThreshold"]
    assert server.ask("readinessProbe")
    with pytest.raises(urllib.error.HTTPError):
        asked(server, 1)
