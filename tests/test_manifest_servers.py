"""Which server a container runs, what it is started with, and what its image's name says."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import FrozenInstanceError

import pytest

from tritonrepo.diagnostics import Span
from tritonrepo.manifests import commands
from tritonrepo.manifests.commands import LONGEST_SCRIPT, arguments, is_option, words
from tritonrepo.manifests.gpus import claims, engine_gpus, limits, place_of, pods_and_gpus, used, whole
from tritonrepo.manifests.images import image
from tritonrepo.manifests.objects import Manifests, Object
from tritonrepo.manifests.probes import beside, declared, listens, probes
from tritonrepo.manifests.quantities import quantity
from tritonrepo.manifests.queries import metrics
from tritonrepo.manifests.reading import resource
from tritonrepo.manifests.servers import Server, servers
from tritonrepo.rules.manifests.judge import judge
from tritonrepo.spec.nodes import Keys, parse

TRITON, VLLM, NIM = "nvcr.io/nvidia/tritonserver:24.10-py3", "vllm/vllm-openai:v0.12.0", "nvcr.io/nim/meta/llama:2.1.0"


def found(container: str, kind: str = "Pod", more: str = "") -> list[Server]:
    """Return the servers of a pod with one container, in YAML's flow style."""
    text = f"apiVersion: v1\nkind: {kind}\nspec: {{containers: [{{name: c, {container}}}]{more}}}\n"
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
        "image: mirror:5000/nim/meta/llama, env: [{name: NGC_API_KEY, value: x}]": "NIM  -",
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
    texts["another"] = (
        "kind: InferenceService\nspec: {predictor: {model: {}, containers: [{command: [vllm, serve, a]}]}}\n"
    )
    models = {
        kind: [each.model.text for each in servers(Object(parse(text.encode(), "k.yaml"))) if each.model]
        for kind, text in texts.items()
    }
    assert list(models.values()) == [["a"]] * len(texts)
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
        "x:stable": ("x", "stable", (), ("", ""), True),
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


def test_words_of_a_command_line_are_options_or_values() -> None:
    rows = {"--x": True, "-x": True, "-": False, "": False, "x": False, "-1": False, "-.5": False, "-x1": True}
    assert {word: is_option(word) for word in rows} == rows
    (one,) = found(f'image: "{VLLM}", args: [a, -tp, "2", --max-model-len=8, -dpl=, --x, -1, --, [y], --last]')
    told = [(each.typed, each.value) for each in one.arguments]
    assert told == [
        ("-tp", "2"),
        ("--max-model-len", "8"),
        ("-dpl", ""),
        ("-x", "-1"),
        ("-", None),
        ("--last", None),
    ]
    assert (arguments(()), words(one.node, "none")) == ((), ())
    assert (one.value("tp", "none"), one.value("none"), one.value("last")) == ("2", "", "")
    assert (one.number("max-model-len"), one.number("dpl"), one.number("none", default=7), one.number("none")) == (
        *(8, None),
        *(7, 1),
    )
    assert one.answers
    assert not found(f'image: "{VLLM}", args: [a, --headless]')[0].answers


def test_the_last_of_an_option_given_twice_counts_and_numbers_are_short() -> None:
    rows = {"[a, --port=1, --port=2]": 2, "[a, --port=999999999]": 999999999, "[a, --port=1000000000]": None}
    rows |= {"[a, --port=-1]": None, "[a, --port=\u0661]": None, "[a]": 1}
    assert {args: found(f'image: "{VLLM}", args: {args}')[0].number("port") for args in rows} == rows


def test_a_script_is_read_up_to_a_length_and_from_any_shell() -> None:
    assert LONGEST_SCRIPT == 65536
    long = f"#{'x' * (LONGEST_SCRIPT - 12)}"
    rows = {f'[sh, -c, "{long}\\nvllm serve"]': True, f'[bash, -c, "{long}xx\\nvllm serve"]': False}
    rows |= {f"[{shell}, -c, vllm serve a]": True for shell in ("dash", "ash", "zsh", "/x/sh")}
    rows |= {"[sh, -e, -c, vllm serve a]": True, "[sh, --rc, vllm serve a]": False, "[sh, -c]": False, "[sh]": False}
    rows |= {"[sh, -e, x, -c, vllm serve a]": False, "[fish, -c, vllm serve a]": False, "[]": False}
    rows |= {'[sh, -c, "echo \'a\\nvllm serve a"]': True, "[sh, -c, echo vllm serve-x]": False}
    seen = {command: bool(found(f"image: own, command: {command}")) for command in rows}
    assert [command for command in rows if seen[command] != rows[command]] == []


def test_the_arguments_in_a_script_end_with_the_command() -> None:
    for joined in (";", "&&", "||", "|", "&"):
        command = f"[sh, -ec, 'echo --z {joined} vllm serve a --x 1{joined}echo --y']"
        assert shown(f"image: own, command: {command}") == "vLLM serve a x=1"


def test_a_path_is_on_the_volume_that_is_mounted_nearest_above_it() -> None:
    mounts = "volumeMounts: [{name: a, mountPath: /m}, {name: b, mountPath: /m/x/}, {name: c, mountPath: /y}, word]"
    (one,) = found(f'image: "{VLLM}", {mounts}', more=", volumes: [{name: z}, {name: a, k: 1}, {name: b, k: 2}, word]")
    assert one.mounts == {"/m": "a", "/m/x": "b", "/y": "c"}
    rows = {"/m": ("/m", "1"), "/m/": ("/m", "1"), "/m/x/y": ("/m/x", "2"), "/mm": ("", ""), "/y/z": ("/y", "")}
    volumes = {path: one.volume(path) for path in rows}
    assert {path: (above, held.keys["k"][1].text if held else "") for path, (above, held) in volumes.items()} == rows  # type: ignore[union-attr]


def test_a_server_has_a_name_a_place_and_variables() -> None:
    (one,) = found(f'image: "{VLLM}", env: [word, {{name: A, value: b}}], envFrom: [{{secretRef: {{name: s}}}}]')
    assert (one.name, str(one), one.at.column, one.imports) == ("c", 'container "c"', 22, True)
    assert (one.variable("A") is not None, one.variable("B")) == (True, None)
    text = f"kind: Pod\nmetadata: {{name: p}}\nspec: {{containers: [{{image: '{VLLM}'}}]}}\n"
    (other,) = servers(Object(parse(text.encode(), "p.yaml")))
    assert (other.name, str(other), other.at.line, other.imports) == ("", "Pod p", 3, False)


def test_what_is_read_of_a_manifest_cannot_be_changed() -> None:
    (one,) = found(f'image: "{VLLM}", livenessProbe: {{tcpSocket: {{port: 1}}}}')
    for each in (one, one.pod, one.pod.owner, one.image, *probes(one).values(), Manifests((one.pod.owner,))):
        with pytest.raises(FrozenInstanceError):
            setattr(each, next(iter(each.__annotations__)), None)


def test_the_ports_of_a_server_are_those_of_its_options_and_variables() -> None:
    def nim(*variables: str) -> str:
        return f'image: "{NIM}", env: [{", ".join(variables)}]'

    rows = {
        f'image: "{VLLM}"': {"HTTP": 8000},
        f'image: "{VLLM}", args: [a, --port, "81"]': {"HTTP": 81},
        f'image: "{TRITON}", args: [tritonserver, --grpc-port=1, --metrics-port=2]': {
            "HTTP": 8000,
            "gRPC": 1,
            "metrics": 2,
        },
        nim(): {"HTTP": 8000, "health": 8000},
        nim("{name: NIM_HEALTH_PORT, value: '1'}"): {"HTTP": 8000, "health": 1},
        nim("{name: NIM_SERVER_PORT, valueFrom: {x: y}}"): None,
        nim("{name: NIM_SERVER_PORT, value: '\u0661'}"): None,
    }
    assert {container: listens(found(container)[0]) for container in rows} == rows


def test_a_probe_asks_by_http_or_only_connects() -> None:
    rows = {
        "{httpGet: {port: 65535}}": (True, False, 65535, 30, 0),
        "{httpGet: {port: 100000}}": (True, False, None, 30, 0),
        "{tcpSocket: {port: 1}, periodSeconds: 999999999, failureThreshold: 1}": (False, True, 1, 999999999, 0),
        "{grpc: {port: 1}, periodSeconds: 1000000000}": (False, False, None, 30, 0),
        "{httpGet: {port: \u0661}, initialDelaySeconds: \u0661}": (True, False, None, 30, 0),
        "{httpGet: {port: web}, initialDelaySeconds: 5, periodSeconds: 2}": (True, False, 80, 11, 5),
    }
    ports = "ports: [{name: web, containerPort: 80}, {containerPort: 65534}, {containerPort: 100000}]"
    asked = {given: found(f'image: "{VLLM}", {ports}, livenessProbe: {given}')[0] for given in rows}
    seen = {given: probes(one)["livenessProbe"] for given, one in asked.items()}
    assert {
        given: (each.by_http, each.by_port, each.port, each.allows_s, each.delay_s) for given, each in seen.items()
    } == rows
    one = asked[next(iter(rows))]
    assert declared(one) == {"web": 80, "65534": 65534}
    first = seen["{httpGet: {port: 65535}}"]
    assert (first.at.column < first.path_at.column, first.port_at and first.port_at.column - first.at.column) == (
        True,
        26,
    )
    assert probes(found(f'image: "{VLLM}", livenessProbe: x, readinessProbe: {{}}')[0]).keys() == {"readinessProbe"}


def test_the_ports_beside_a_server_are_those_of_the_other_containers() -> None:
    more = "{name: d, ports: [{containerPort: 2}]}], initContainers: [{name: e, ports: [{containerPort: 3}]}, word"
    text = f"kind: Pod\nspec: {{containers: [{{name: c, image: '{VLLM}', ports: [{{containerPort: 1}}]}}, {more}]}}\n"
    (one,) = servers(Object(parse(text.encode(), "p.yaml")))
    assert beside(one) == {2, 3}


def test_the_accelerators_of_a_container_are_known_by_their_names() -> None:
    names = "nvidia.com/gpu amd.com/gpu nvidia.com/mig-1g.10gb google.com/tpu habana.ai/gaudi aws.amazon.com/neuron"
    names += " huawei.com/npu huawei.com/Ascend910 hygon.com/dcu cambricon.com/mlu gpu.intel.com/xe gpu.intel.com/i915"
    for name in names.split():
        (one,) = found(f'image: "{VLLM}", resources: {{limits: {{{name}: 2, cpu: 1}}}}')
        assert limits(one) == {name: "2"}
        assert whole(one) == ((name, 2) if name in {"nvidia.com/gpu", "amd.com/gpu"} else None)
    rows = {
        "limits: {gpu: 1, example.com/fpga: 1}": (None, False, None),
        "limits: {nvidia.com/gpu: 1}, requests: {nvidia.com/gpu: 2}": (("nvidia.com/gpu", 1), False, 72),
        "requests: {nvidia.com/gpu: 2}": (("nvidia.com/gpu", 2), False, 74),
        "limits: {nvidia.com/gpu: 1, amd.com/gpu: 1}": (None, False, 72),
        "limits: {nvidia.com/gpu: 999999}": (("nvidia.com/gpu", 999999), False, 72),
        "limits: {nvidia.com/gpu: 1000000}": (None, False, 72),
        "limits: {nvidia.com/gpu: -1}": (None, False, 72),
        "limits: {nvidia.com/gpu: \u0661}": (None, False, 72),
        "limits: {nvidia.com/gpu: 1}, claims: [{name: x}]": (None, True, 72),
    }
    seen = {given: found(f"image: vllm-openai, resources: {{{given}}}")[0] for given in rows}
    assert {
        given: (whole(one), claims(one), place_of(one, "nvidia.com/gpu").column if limits(one) else None)
        for given, one in seen.items()
    } == rows
    (one,) = found("image: vllm-openai, resources: {limits: {nvidia.com/gpu: 1}}", more=", runtimeClassName: nvidia")
    assert (whole(one), claims(one)) == (None, True)


def test_an_engine_is_on_one_node_unless_an_option_says_otherwise() -> None:
    options = "nnodes=2 headless data-parallel-hybrid-lb data-parallel-external-lb data-parallel-address=x"
    rows: dict[str, tuple[int, int, int] | None] = {f"[a, --{option}]": None for option in options.split()}
    rows |= {"[a, -dpa=x]": None, "[a, -tp=2, -pp=3, -dp=4]": (2, 3, 4), "[a, -dp=4, -dpl=2]": (1, 1, 2)}
    rows |= {"[a, --distributed-executor-backend=mp]": (1, 1, 1), "[a, -dp=x]": None, "[a, -pp=0]": None}
    assert {args: used(found(f'image: "{VLLM}", args: {args}')[0]) for args in rows} == rows
    assert engine_gpus(found(f'image: "{TRITON}"')[0]) is None


def test_the_pods_of_an_object_are_counted_with_their_gpus() -> None:
    def of(kind: str, spec: str, limit: str = "nvidia.com/gpu: 2") -> tuple[int, int] | None:
        container = f'{{name: c, image: "{VLLM}", resources: {{limits: {{{limit}}}}}}}'
        pods = f"spec: {{containers: [{container}, {container}]}}"
        return pods_and_gpus(Object(parse(f"kind: {kind}\nspec: {{{spec}template: {{{pods}}}}}\n".encode(), "p.yaml")))

    rows = {
        ("Deployment", ""): (1, 4),
        ("Deployment", "replicas: 3, "): (3, 12),
        ("Deployment", "replicas: 0, "): (0, 0),
        ("Deployment", "replicas: 999999, "): (999999, 3999996),
        ("Deployment", "replicas: 1000000, "): None,
        ("Deployment", "replicas: x, "): None,
        ("DaemonSet", ""): None,
    }
    assert {(kind, spec): of(kind, spec) for kind, spec in rows} == rows
    assert of("Deployment", "", "cpu: 1") is None


APP = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME, namespace: SPACE}
spec:
  replicas: 2
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      containers:
        - {name: c, image: "vllm/vllm-openai:v0.12.0", args: [a/b], ports: [{name: http, containerPort: 8000}]}
      volumes: [{name: v, persistentVolumeClaim: {claimName: NAME}}]
---
{apiVersion: v1, kind: Service, metadata: {name: NAME, namespace: SPACE, labels: {app: NAME}},
  spec: {selector: {app: NAME}, ports: [{name: http, port: 80, targetPort: http}]}}
---
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: NAME, namespace: SPACE}}
---
{apiVersion: monitoring.coreos.com/v1, kind: ServiceMonitor, metadata: {name: NAME, namespace: SPACE},
  spec: {selector: {matchLabels: {app: NAME}}, endpoints: [{port: http}]}}
---
{apiVersion: keda.sh/v1alpha1, kind: ScaledObject, metadata: {name: NAME, namespace: SPACE},
  spec: {scaleTargetRef: {name: NAME}, triggers: [{type: prometheus, metadata: {query: "vllm:gpu_cache_usage_perc"}}]}}
"""


def test_the_work_for_each_object_does_not_grow_with_their_number() -> None:
    """Not even if all of them have the same names and labels, each in a namespace of its own."""

    def calls(count: int, name: str, space: str) -> int:
        app = APP.replace("NAME", name).replace("SPACE", space)
        text = "\n---\n".join(app.replace("%", str(number)) for number in range(count))
        every, seen = resource(text.encode(), "a.yaml").objects, 0

        def count_call(*_: object) -> None:
            nonlocal seen
            seen += 1

        sys.setprofile(count_call)
        try:
            judge(Manifests(every))
        finally:
            sys.setprofile(None)
        return seen

    for name, space in (("a%", "s"), ("a", "s%")):
        few, many = (calls(count, name, space) for count in (4, 32))
        assert many < 8 * few


def test_each_container_is_read_once_for_all_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    read = Counter[str]()

    def words(of: Keys, key: str) -> tuple[commands.Word, ...]:
        read[key] += 1
        return commands.words(of, key)

    monkeypatch.setattr("tritonrepo.manifests.servers.words", words)
    judge(Manifests(resource(APP.encode(), "a.yaml").objects))
    assert read == {"command": 1, "args": 1}
