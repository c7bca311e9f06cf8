"""Which server a container runs, what it is started with, and what its image's name says."""

from __future__ import annotations

from tritonrepo.diagnostics import Span
from tritonrepo.manifests.gpus import engine_gpus
from tritonrepo.manifests.images import image
from tritonrepo.manifests.objects import Object
from tritonrepo.manifests.probes import listens, probes
from tritonrepo.manifests.quantities import quantity
from tritonrepo.manifests.queries import metrics
from tritonrepo.manifests.servers import Server, servers
from tritonrepo.spec.nodes import parse

TRITON, VLLM, NIM = "nvcr.io/nvidia/tritonserver:24.10-py3", "vllm/vllm-openai:v0.12.0", "nvcr.io/nim/meta/llama:2.1.0"


def found(container: str, kind: str = "Pod") -> list[Server]:
    """Return the servers of a pod with one container, in YAML's flow style."""
    text = f"apiVersion: v1\nkind: {kind}\nspec: {{containers: [{{name: c, {container}}}]}}\n"
    return list(servers(Object(parse(text.encode(), "p.yaml"))))


def shown(container: str) -> str:
    """Return the family, how it is started, the model and the arguments of the only server; "" if it is none."""
    return "; ".join(
        " ".join(
            [
                each.family,
                each.form.value.partition(" ")[2] or each.form.value[:5],
                each.model.text if each.model else "-",
            ]
            + [f"{argument.name}={argument.value}" for argument in each.arguments]
        )
        for each in found(container)
    )


def test_the_server_of_a_container_is_found_by_command_and_image() -> None:
    rows = {
        f'image: "{TRITON}", args: [tritonserver, --model-repository=/m, --log-verbose, "1"]': (
            "Triton  - model-repository=/m log-verbose=1"
        ),
        "image: own, command: [/opt/tritonserver/bin/tritonserver], args: [--allow-http=0]": "Triton  - allow-http=0",
        f'image: "{TRITON}", command: [sleep, infinity]': "",
        f'image: "{TRITON}"': "Triton  -",
        f'image: "{VLLM}", args: [a/b, -tp, "2", --max_model_len=8, --no-async]': (
            "vLLM serve a/b tp=2 max-model-len=8 no-async=None"
        ),
        'image: "vllm/vllm-openai:v0.8.4", args: [--model, a/b]': "vLLM vllm. - model=a/b",
        'image: "vllm/vllm-openai:latest", args: [--model, a/b]': "vLLM  - model=a/b",
        "image: own, command: [vllm, serve, a/b, --port, '80']": "vLLM serve a/b port=80",
        "image: own, command: [python3, -m, vllm.entrypoints.openai.api_server, --model=a/b]": "vLLM vllm. - model=a/b",
        "image: own, command: [python3, -m, http.server]": "",
        'image: own, command: [sh, -c], args: ["set -e; exec vllm serve a/b --port=$PORT && echo x"]': (
            "vLLM serve a/b port=$PORT"
        ),
        r'image: own, command: [/bin/bash, -ec, "ray start &\nvllm serve \\\n  a/b --x 1"]': "vLLM serve a/b x=1",
        'image: own, command: [sh, -c, "echo \'vllm"]': "",
        "image: own, command: [bash, start.sh]": "",
        f'image: "{NIM}"': "NIM  -",
        "image: mirror:5000/nim/meta/llama, env: [{name: NIM_MODEL_PROFILE, value: x}]": "NIM  -",
        "image: mirror:5000/nim/compiler": "",
        "image: lmcache/vllm-router": "",
        "image: [vllm], args: {a: b}": "",
    }
    assert {container: shown(container) for container in rows} == rows


def test_servers_are_found_in_the_kinds_of_kserve_and_not_in_jobs() -> None:
    container = f'image: "{VLLM}", args: [a/b]'
    assert [len(found(container, kind)) for kind in ("ServingRuntime", "ClusterServingRuntime", "Job")] == [1, 1, 0]
    rows = {
        "InferenceService": "spec: {predictor: {model: {image: x, command: [vllm, serve, a]}}}",
        "LLMInferenceService": "spec: {template: {containers: [{command: [vllm, serve, a]}]}}",
        "LeaderWorkerSet": (
            "spec: {leaderWorkerTemplate: {leaderTemplate: {spec: {containers: [{command: [vllm, serve, a]}]}}}}"
        ),
    }
    texts = {kind: f"apiVersion: x/v1\nkind: {kind}\n{spec}\n" for kind, spec in rows.items()}
    models = {
        kind: [each.model.text for each in servers(Object(parse(text.encode(), "k.yaml"))) if each.model]
        for kind, text in texts.items()
    }
    assert list(models.values()) == [["a"]] * len(rows)
    for kind in rows:
        assert not list(servers(Object(parse(f"kind: {kind}\nspec: [1]\n".encode(), "k.yaml"))))


def test_the_name_of_an_image_has_parts() -> None:
    rows = {
        "vllm/vllm-openai:v0.8.4": ("vllm-openai", "v0.8.4", (0, 8, 4), ("", ""), False),
        "nvcr.io/nvidia/tritonserver:24.05-vllm-python-py3": (
            *("tritonserver", "24.05-vllm-python-py3", (24, 5, 0)),
            *(("24.05", "vllm-python-py3"), False),
        ),
        "localhost:5000/x": ("x", "", (), ("", ""), True),
        "x:latest": ("x", "latest", (), ("", ""), True),
        "x:latest@sha256:00": ("x", "latest", (), ("", ""), False),
        "x:1.2.3.4": ("x", "1.2.3.4", (1, 2, 3), ("", ""), False),
        "": ("", "", (), ("", ""), True),
    }
    images = {text: image(text, Span("x")) for text in rows}
    assert {text: (i.last, i.tag, i.version, i.release, i.floats) for text, i in images.items()} == rows


def test_a_quantity_is_a_number() -> None:
    rows = {"1": 1.0, "1.5": 1.5, "500m": 0.5, "2Gi": 2.0**31, "1k": 1e3, "1e3": 1e3, "2E": 2e18, "-1": -1.0, ".5": 0.5}
    assert {text: quantity(text) for text in rows} == rows
    assert [quantity(text) for text in ("", "Gi", "1gi", "1 Gi", "0x1", "1e", "1" * 50, "1Gib")] == [None] * 8


def test_probes_and_ports_are_those_of_the_server() -> None:
    (one,) = found(
        f'image: "{TRITON}", args: [tritonserver, --http-port=9000], ports: [{{name: web, containerPort: 9000}}],'
        " startupProbe: {httpGet: {path: /x, port: web}, failureThreshold: 6, initialDelaySeconds: 5},"
        " readinessProbe: {httpGet: {port: other}}, livenessProbe: {tcpSocket: {port: 70}}"
    )
    assert listens(one) == {"HTTP": 9000, "gRPC": 8001, "metrics": 8002}
    assert [(name, each.path, each.port, each.allows_s) for name, each in probes(one).items()] == [
        ("startupProbe", "/x", 9000, 65),
        ("livenessProbe", "/", 70, 30),
        ("readinessProbe", "/", None, 30),
    ]
    for unknown in ("args: [tritonserver, --http-port=$(PORT)]", "args: [tritonserver], envFrom: [{x: y}]"):
        assert listens(found(f'image: "{TRITON}", {unknown}')[0]) is None
    assert listens(found(f'image: "{NIM}", env: [{{name: NIM_SERVER_PORT, value: "9"}}]')[0]) == {
        "HTTP": 9,
        "health": 8000,
    }


def test_the_gpus_of_an_engine_are_the_product_of_what_is_on_this_node() -> None:
    rows = {
        "[a]": 1,
        "[a, -tp, '2', --pipeline-parallel-size=2]": 4,
        "[a, --tensor-parallel-size=2, --data-parallel-size=4, --data-parallel-size-local=2]": 4,
        "[a, -tp, $(TP)]": None,
        "[a, -tp, '8', --distributed-executor-backend=ray]": None,
        "[a, -tp, '8', --nnodes=2]": None,
    }
    assert {args: engine_gpus(found(f'image: "{VLLM}", args: {args}')[0]) for args in rows} == rows


def test_the_metrics_of_a_query_are_found_with_their_labels_and_functions() -> None:
    query = 'sum(rate(vllm:x_sum{a="1", b=~"2"}[5m])) / nv_y + up{nv="1"} + delta( nv_z [1m])'
    assert [(m.name, m.labels, m.function, m.ranged) for m in metrics(query)] == [
        ("vllm:x_sum", ("a", "b"), "rate", True),
        ("nv_y", (), "", False),
        ("nv_z", (), "delta", True),
    ]
