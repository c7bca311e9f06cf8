"""Who the gateway answers, how much of it, and how requests end: clients that leave, a Triton that is away, SIGTERM."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import EXAMPLE
from tests.gateways import PLAIN, RAG, Asked, Front, Outputs, Scripted, fronted, serving
from tests.kubelet import answered
from tests.test_kube import built
from tritonrepo.cli import run
from tritonrepo.diagnostics import Stop, failure
from tritonrepo.gateway.gate import GatewayOptions
from tritonrepo.gateway.serving import gateway
from tritonrepo.server.endpoint import Endpoint

pytest.importorskip("uvicorn")

CHAT, ROOT = "/v1/chat/completions", Path(__file__).parent.parent
HI = {"model": "rag", "messages": [{"role": "user", "content": "hi"}], "stream": True}


class Slow:
    """A model that sends one word, and the rest once it is told to, unless its client has left before."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def __call__(self, asked: Asked) -> Iterator[Outputs]:
        yield {"answer": ["first "]}
        while not self.go.wait(0.01):
            if asked.left.is_set():
                return
        yield {"answer": ["last"]}


def slow() -> tuple[Slow, Scripted]:
    model = Slow()
    return model, Scripted({"rag": (RAG, model), "plain": (PLAIN, model)})


def until(fact: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not fact():
        assert time.monotonic() < deadline


def gauge(front: Front, name: str) -> str:
    text = front.send("GET", "/metrics").body.decode()
    (found,) = (line.rpartition(" ")[2] for line in text.splitlines() if line.startswith(f"tritonrepo_gateway_{name}"))
    return found


def test_only_who_has_a_key_is_answered_but_probes_are_open() -> None:
    with fronted(slow()[1], keys=frozenset({"k1", "k2"})) as front:
        rows: tuple[tuple[str, Mapping[str, str], int], ...] = (
            ("/v1/models", {}, 401),
            ("/v1/models", {"authorization": "Bearer k3"}, 401),
            ("/v1/models", {"authorization": "Bearer k"}, 401),
            ("/v1/models", {"authorization": "Basic k1"}, 401),
            ("/v1/models", {"authorization": "Bearer \xff"}, 401),
            ("/v1/nothing", {}, 401),
            ("/v1/models", {"authorization": "Bearer k1"}, 200),
            ("/v1/models", {"authorization": "bearer k2", "host": "any.example", "origin": "https://b.example"}, 200),
            ("/health", {}, 200),
            ("/ready", {}, 200),
            ("/metrics", {}, 200),
        )
        for path, head, status in rows:
            got = front.send("GET", path, **head)
            assert got.status == status, (path, head)
            assert got.head["x-content-type-options"] == "nosniff"
            assert ("www-authenticate" in got.head) == (status == 401)
        assert front.send("GET", "/metrics").body.decode().startswith("# HELP")
        assert front.post(CHAT, **HI).error == (
            *(401, "the request has no API key: send `Authorization: Bearer KEY`"),
            None,
        )


def test_without_keys_no_page_of_another_site_is_answered() -> None:
    with fronted(slow()[1]) as front:
        here = f"127.0.0.1:{front.port}"
        rows: tuple[tuple[Mapping[str, str], int], ...] = (
            ({"host": "localhost:1"}, 200),
            ({"host": "[::1]:1"}, 200),
            ({"origin": f"http://{here}"}, 200),
            ({"host": "evil.example"}, 403),
            ({"host": "127.0.0.1.evil.example"}, 403),
            ({"host": ""}, 403),
            ({"origin": "https://evil.example"}, 403),
            ({"origin": "null"}, 403),
        )
        for head, status in rows:
            assert front.send("GET", "/v1/models", **head).status == status, head
            assert front.send("GET", "/metrics", **head).status == status, head


def test_a_client_that_leaves_ends_its_request_in_triton_and_is_counted() -> None:
    _, scripted = slow()
    with fronted(scripted) as front:
        for body in (HI, {**HI, "stream": False}, {**HI, "model": "plain", "stream": False}):
            with socket.create_connection(("127.0.0.1", front.port), 30) as wire:
                content = json.dumps(body).encode()
                head = f"POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(content)}\r\n\r\n"
                wire.sendall(head.encode() + content)
                until(lambda: gauge(front, "in_flight") == "1" and scripted.asked != [])
                if body["stream"]:
                    while b"first" not in wire.recv(1 << 16):
                        pass
            assert scripted.asked[0].left.wait(20)
            until(lambda: gauge(front, "in_flight") == "0")
            scripted.asked.clear()
        assert gauge(front, 'disconnects_total{route="chat",model="rag"}') == "2"


def test_more_requests_than_places_wait_and_more_than_may_wait_are_refused() -> None:
    model, scripted = slow()
    with fronted(scripted, concurrency=2, queue=1) as front, ThreadPoolExecutor(3) as pool:
        running = [pool.submit(front.post, CHAT, **HI) for _ in range(2)]
        until(lambda: gauge(front, "in_flight") == "2")
        waiting = pool.submit(front.post, CHAT, **HI)
        until(lambda: gauge(front, "queued") == "1")
        refused = front.post(CHAT, **HI)
        words = "2 requests are running and 1 are waiting; try again later"
        assert (refused.error, refused.head["retry-after"]) == ((429, words, None), "1")
        assert refused.json["error"]["type"] == "rate_limit_error"
        model.go.set()
        assert [each.result().events[-1]["choices"][0]["finish_reason"] for each in (*running, waiting)] == ["stop"] * 3
        assert gauge(front, "queued") == "0"


def test_a_request_that_does_not_arrive_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tritonrepo.gateway.patience.HEAD_S", 0.05)
    monkeypatch.setattr("tritonrepo.gateway.posting.BODY_S", 0.05)
    with fronted(slow()[1]) as front:
        whole = f"POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n{{"
        for sent, answered in (("", False), ("POST /v1/chat", False), (whole, True)):
            with socket.create_connection(("127.0.0.1", front.port), 30) as wire:
                wire.sendall(sent.encode())
                got = b"".join(iter(lambda: wire.recv(1 << 16), b""))
            assert (b" 408 " in got) == answered
            assert got.endswith(b"}") == answered


def test_a_connection_is_kept_for_the_next_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer than for a first one, and longer than by proxies, since the client has to be the one that closes it."""
    import uvicorn

    made, given = uvicorn.Config, list[Any]()

    def config(app: Any, **more: Any) -> uvicorn.Config:  # noqa: ANN401  uvicorn's
        given.append(more["timeout_keep_alive"])
        return made(app, **more)

    monkeypatch.setattr("uvicorn.Config", config)
    monkeypatch.setattr("tritonrepo.gateway.patience.HEAD_S", 0.05)

    def asked(wire: socket.socket) -> bytes:
        wire.sendall(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
        got = b""
        while not got.endswith(b"}") and (more := wire.recv(1 << 16)):
            got += more
        return got

    with fronted(slow()[1]) as front, socket.create_connection(("127.0.0.1", front.port), 30) as again:
        assert asked(again).startswith(b"HTTP/1.1 200 OK")
        with socket.create_connection(("127.0.0.1", front.port), 30) as silent:
            assert silent.recv(1) == b""  # by now, a first request would be late
        assert asked(again).startswith(b"HTTP/1.1 200 OK")
        again.sendall(b"GET /hea")
        assert again.recv(1) == b""
    assert given[0] > 60


def test_a_late_response_is_ended() -> None:
    _, scripted = slow()
    with fronted(scripted, timeout_s=1) as front:
        got = front.post(CHAT, **{**HI, "stream": False})
        assert got.status == 504
        last = front.post(CHAT, **HI).events[-1]
        assert last["error"]["message"] in {"the response was not complete within 1 s", "Deadline Exceeded"}
        assert [asked.left.wait(20) for asked in scripted.asked] == [True, True]


def test_readiness_is_that_of_triton_and_of_the_exposed_models() -> None:
    scripted = slow()[1]
    with fronted(scripted, expose=frozenset({"rag"})) as front, fronted(scripted) as whole:
        assert front.send("GET", "/ready").json == {"status": "ready", "not_ready": []}
        assert [each["id"] for each in front.send("GET", "/v1/models").json["data"]] == ["rag"]
        assert front.post(CHAT, **{**HI, "model": "plain"}).error[0] == 404
        scripted.away.add("rag")
        got = front.send("GET", "/ready")
        assert (got.status, got.json) == (503, {"status": "not ready", "not_ready": ["rag"]})
        assert whole.send("GET", "/ready").status == 200
        scripted.ready = False
        assert whole.send("GET", "/ready").json == {"status": "not ready", "not_ready": []}
        assert whole.send("GET", "/health").status == 200


def test_the_gateway_is_there_before_triton_and_finds_it_again_after_a_restart(
    caplog: pytest.LogCaptureFixture,
) -> None:
    model, scripted = slow()
    model.go.set()
    with serving(scripted) as port:
        pass
    with gateway(Endpoint("http://unused:1", grpc=f"127.0.0.1:{port}"), GatewayOptions()) as opened:
        front = Front(int(opened.url.rpartition(":")[2]), scripted, opened.url)
        for _ in range(2):
            assert front.send("GET", "/ready").status == 503
            status, message, _ = front.post(CHAT, **HI).error
            assert (status, message) == (503, "Triton cannot be reached, or its connection was lost; try again later")
            with serving(scripted, port):
                until(lambda: front.send("GET", "/ready").status == 200)
                until(lambda: front.post(CHAT, **HI).status == 200)
    (told,) = (record.getMessage() for record in caplog.records if record.name == "tritonrepo.gateway")
    assert told.startswith(f"Triton at 127.0.0.1:{port}: ")
    assert "connect" in told


def test_models_that_come_and_go_are_noticed_when_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tritonrepo.gateway.offers.KEPT_S", 1000.0)
    monkeypatch.setattr("tritonrepo.gateway.offers.AGAIN_S", 0.05)
    model, scripted = slow()
    model.go.set()
    late = scripted.models.pop("plain")
    with fronted(scripted) as front:
        assert front.post(CHAT, **{**HI, "model": "plain"}).status == 404
        scripted.models["plain"] = late
        until(lambda: front.post(CHAT, **{**HI, "model": "plain"}).status == 200)
        del scripted.models["rag"]
        assert front.post(CHAT, **HI).error[1].startswith("the model `rag` does not exist or is not served here")
        until(lambda: [each["id"] for each in front.send("GET", "/v1/models").json["data"]] == ["plain"])


@pytest.mark.parametrize(("drain_s", "words"), [(20.0, "last"), (0.0, "the gateway is ending")], ids=["ends", "cut"])
def test_the_end_waits_for_what_runs_and_cuts_what_takes_too_long(drain_s: float, words: str) -> None:
    model, scripted = slow()
    with ExitStack() as stack, ThreadPoolExecutor(2) as pool:
        front = stack.enter_context(fronted(scripted, drain_s=drain_s))
        running = pool.submit(front.post, CHAT, **HI)
        until(lambda: gauge(front, "in_flight") == "1")
        ending = pool.submit(stack.pop_all().close)
        if drain_s:
            until(lambda: front.send("GET", "/ready").json["status"] == "draining")
            assert front.post(CHAT, **HI).error == (503, "the gateway is ending", None)
            model.go.set()
        assert words in running.result().body.decode()
        model.go.set()
        ending.result()


def deployed(out: Path) -> dict[str, Any]:
    """Return the spec of the gateway's pods that `deploy k8s` writes; the Service that they ask finds Triton's."""
    path = out / "models" / "model" / "config.pbtxt"
    path.parent.mkdir(parents=True)
    path.write_text('backend: "python"\nmax_batch_size: 8\ninput { name: "IN" data_type: TYPE_FP32 dims: [ 1 ] }\n')
    words = ["--uri", "pvc://claim", "--gateway", "registry.example/gateway:1", "-q"]
    assert run(["deploy", "k8s", str(out / "models"), "-o", str(out / "k8s"), *words]) == 0
    every = {(each["kind"], each["metadata"]["name"]): each for each in built(out / "k8s" / "overlays" / "prod")}
    front = every["Deployment", "models-gateway"]
    triton, asked = every["Deployment", "models"]["spec"]["template"], every["Service", "models-headless"]["spec"]
    assert asked["selector"].items() <= triton["metadata"]["labels"].items()
    assert [(port["port"], port["targetPort"]) for port in asked["ports"]] == [(8001, "grpc")]
    spec: dict[str, Any] = front["spec"]["template"]["spec"]
    return spec


@contextmanager
def started(container: Mapping[str, Any], grpc: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a container's command with its arguments and variables alone, on this machine's addresses."""
    first, *others = container["args"]
    places = {"0.0.0.0": "127.0.0.1", "--port=9000": "--port=0"}
    for there, here in places.items():
        others = [each.replace(there, here) for each in others]
    secret = {"GATEWAY_KEYS": "one two"}
    own = {each["name"]: secret[each["valueFrom"]["secretKeyRef"]["key"]] for each in container["env"]}
    assert first == "grpc://models-headless:8001"
    command = [sys.executable, "-m", *container["command"], f"grpc://127.0.0.1:{grpc}", *others]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=own, cwd=ROOT) as process:
        try:
            yield process
        finally:
            process.kill()


def test_the_gateway_of_a_deployment_starts_serves_and_drains(tmp_path: Path) -> None:
    """It is started with command, arguments and variables of the manifest alone, and asked as a kubelet asks it."""
    (model, scripted), spec = slow(), deployed(tmp_path)
    (container,) = spec["containers"]
    with serving(scripted) as grpc:
        pass
    with started(container, grpc) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        url = process.stdout.readline().decode().split()[1].removesuffix("/v1")
        front = Front(int(url.rpartition(":")[2]), scripted, url)

        def passes(name: str) -> bool:
            return answered(container, container[f"{name}Probe"], {9000: url})

        assert [passes(each) for each in ("startup", "liveness", "readiness")] == [True, True, False]
        with serving(scripted, grpc):
            until(lambda: passes("readiness"))
            assert front.post(CHAT, **HI).status == 401
            with front.open("POST", CHAT, HI, authorization="Bearer two") as got:
                while b"first" not in got.readline():
                    pass
                process.send_signal(signal.SIGTERM)
                until(lambda: not passes("readiness"))
                assert passes("liveness")
                model.go.set()
                assert b"last" in got.read()
            leaving = int(container["lifecycle"]["preStop"]["exec"]["command"][-1])
            assert process.wait(spec["terminationGracePeriodSeconds"] - leaving) == 143
        assert (
            process.stderr.read().decode() == "finishing what runs; press Ctrl-C again to stop at once\ninterrupted\n"
        )


def test_options_that_would_let_strangers_in_are_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEYS", "a,b c")
    monkeypatch.setenv("ODD", "schlüssel")
    rows = (
        (["--host", "0.0.0.0"], "--host 0.0.0.0 lets other machines ask: name the keys with --api-key-env"),
        (["--host", "0.0.0.0", "--api-key-env", "NONE"], "the environment variable NONE is not set, or empty"),
        (["--api-key-env", "ODD"], "--api-key-env ODD: a key has characters that a header cannot have"),
        (["--api-key-env", "KEYS", "--no-api-key"], "--no-api-key and --api-key-env cannot be combined"),
        (["--grpc", "h:1"], "--grpc cannot be combined with a URL that is a gRPC address already"),
        ([str(EXAMPLE), "--expose", "rga"], 'the stack has no model or pipeline "rga"'),
        (["--host", "nowhere.invalid", "--no-api-key"], "the host is not an address of this machine"),
    )
    for options, words in rows:
        assert run(["gateway", "grpc://127.0.0.1:1", *options]) == 2
        assert words in " ".join(capsys.readouterr().err.split())


def test_the_command_opens_a_gateway_with_its_options(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[tuple[Endpoint, GatewayOptions]] = []

    def opening(server: Endpoint, options: GatewayOptions) -> None:
        opened.append((server, options))
        raise failure("server-refused", "here", "enough")

    monkeypatch.setattr("tritonrepo.cli.gateway.gateway", opening)
    monkeypatch.setenv("KEYS", "a,b c")
    limits = {"concurrency": 3, "queue": 0, "timeout": 4, "max-tokens": 5, "max-body": 6, "drain": 7, "port": 8}
    given = [
        *(f"--{name}={value}" for name, value in limits.items()),
        "--host",
        "0.0.0.0",
        "--api-key-env",
        "KEYS",
        "--input-type",
        "passage",
        "--expose",
        "rag",
    ]
    assert run(["gateway", "grpcs://triton:8001", str(EXAMPLE), *given]) == 1
    # as Kubernetes sets it for a Service of that name
    monkeypatch.setenv("TRITONREPO_GATEWAY_PORT", "tcp://10.0.0.1:80")
    assert run(["gateway", "http://triton:8000", str(EXAMPLE)]) == 1
    (server, options), (plain, usual) = opened
    assert (server.grpc_address(), server.grpc_secure(), server.timeout_s) == ("triton:8001", True, 4)
    assert options == GatewayOptions(
        host="0.0.0.0",
        port=8,
        keys=frozenset("abc"),
        expose=frozenset({"rag"}),
        concurrency=3,
        queue=0,
        timeout_s=4,
        max_tokens=5,
        max_body=6 << 20,
        drain_s=7,
        input_type="passage",
    )
    assert plain.grpc_address() == "triton:8001"
    names = {"embedder", "retriever", "reranker", "generator", "search", "rag"}
    assert usual == GatewayOptions(port=9000, expose=frozenset(names))


def test_a_port_that_is_taken_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        opening = gateway(Endpoint("h:1"), GatewayOptions(port=taken.getsockname()[1]))
        with pytest.raises(Stop, match="the port is in use by another program"):
            opening.__enter__()
