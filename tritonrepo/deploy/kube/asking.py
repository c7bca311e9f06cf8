"""What the kubelet asks a container with Triton: whether it has started, lives, and is ready."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from tritonrepo.deploy.kube.serving import Serving
from tritonrepo.deploy.kube.workload import Probe, Probes
from tritonrepo.deploy.needs import PYTHON_BASED

ASKED = 16
"""How many models a probe asks at most, one after the other, in the time that it has for all."""

CURL = ("curl", "--fail", "--silent", "--show-error", "--max-time", "4", "--noproxy", "*")
DEAD = r"^[0-9]+ \(triton_python_b\) Z 1 "
"""The line in /proc/PID/stat of a dead process of a Python model, whose parent is the server, process 1.

The server never notices its death, nor waits for it, so that it remains (seen on 24.10; python_backend,
src/stub_launcher.cc, of r24.10).
"""


def probes(serving: Serving) -> Probes:
    """Return the probes.

    The HTTP port opens when all models have been loaded or have failed, so that the start and the life of a server are
    asked for at one path. Source: core, src/server.cc, InferenceServer::Init; server, src/main.cc.
    """
    live = _get("/v2/health/live")
    started = Probe(live, "The port opens once every model has been loaded, or has failed.")
    lives = Probe(live, "The server responds. A model that does not is not a reason to restart all others.")
    if any(model.backend in PYTHON_BASED for model in serving.found.models.values()):
        lives = Probe({"exec": {"command": [*_alive()]}}, DEATH)
    return Probes(started, lives, _ready(serving))


DEATH = (
    "The server responds, and no process of a Python model is dead: Triton starts none again and stays ready, while"
    " requests to the model fail. The second line looks for a dead child of the server, which is process 1."
)


def _alive() -> Iterator[str]:
    yield from ("sh", "-c")
    curl = " ".join(f"'{word}'" if word == "*" else word for word in CURL)
    yield f"{curl} --output /dev/null http://127.0.0.1:8000/v2/health/live &&\n! grep -qsE '{DEAD}' /proc/[0-9]*/stat\n"


def _ready(serving: Serving) -> Probe:
    service = serving.service
    if not serving.pushed:
        return Probe(_get("/v2/health/ready"), "Every model is loaded.")
    shown = service.asked[:ASKED]
    paths = [f"/v2/models/{quote(name.encode('utf-8', 'surrogateescape'), safe='')}/ready" for name in shown]
    others = f", the first {ASKED} of {len(service.asked)}" if len(shown) < len(service.asked) else ""
    why = f"The server itself is always ready, so that models are asked: those that no other model calls{others}."
    if len(paths) == 1:
        return Probe(_get(paths[0]), why)
    urls = [f"http://127.0.0.1:8000{path}" for path in paths]
    return Probe({"exec": {"command": [*CURL, "--fail-early", *urls]}}, why)


def _get(path: str) -> dict[str, object]:
    return {"httpGet": {"path": path, "port": "http"}}
