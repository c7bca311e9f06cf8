"""Corner cases of the rules on what serves in manifests: what they say where, and what they leave alone."""

from __future__ import annotations

import re

from tritonrepo.manifests.gpus import pods_and_gpus
from tritonrepo.manifests.objects import Manifests, Object, objects
from tritonrepo.rules.manifests.judge import judge
from tritonrepo.spec.nodes import parse

TRITON = "nvcr.io/nvidia/tritonserver"
VLLM = "vllm/vllm-openai"


def said(*texts: str) -> dict[str, str]:
    """Return where each rule finds something in manifests, by name; what else they lack does not matter."""
    nodes = [parse(text.encode(), "m.yaml") for text in texts]
    found = judge(Manifests(tuple(objects(nodes))))
    return {each.rule: f"{each.at.line}:{each.at.column}" for each in found}


def pod(container: str, more: str = "") -> str:
    return f"apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec:\n  containers: [{{name: c, {container}}}]\n{more}"


def check(rows: dict[tuple[str, str], bool], more: str = "") -> None:
    """Fail for each row whose rule does not say what it should of its container."""
    found = {(rule, container): rule in said(pod(container, more)) for rule, container in rows}
    assert found == rows


def test_images() -> None:
    def of(tag: str) -> str:
        return f'image: "{TRITON}{tag}", args: [tritonserver]'

    check(
        {
            ("image-without-version", of("")): True,
            ("image-without-version", of(":latest@sha256:0")): False,
            ("image-without-version", f'image: "{VLLM}:nightly"'): True,
            ("image-without-version", 'image: "redis:latest"'): False,
            ("triton-image-unknown", of(":26.11-trtllm-python-py3")): True,
            ("triton-image-unknown", of(":26.08-trtllm-python-py3")): True,
            ("triton-image-unknown", of(":26.07-trtllm-python-py3")): False,
            ("triton-image-unknown", of(":26.11-py3")): False,
            ("triton-image-unknown", of(":24.10-py3-min")): True,
            ("triton-image-unknown", of(":99.01-py3")): False,
            ("triton-not-started", f'image: "{TRITON}:24.10-py3", args: [--model-repository=/m]'): True,
            ("triton-not-started", f'image: "{TRITON}:24.10-py3", command: [sleep]'): False,
            ("triton-not-started", 'image: "own/tritonserver:1", args: [--model-repository=/m]'): False,
        }
    )


def test_options_of_triton() -> None:
    def of(args: str) -> str:
        return f'image: "{TRITON}:24.10-py3", args: [tritonserver, {args}]'

    many = "--model-control-mode=explicit, --load-model=*"
    check(
        {
            ("triton-option-unknown", of("--model_repository=/m")): True,
            ("triton-option-unknown", of("--model-repo=/m")): False,
            ("triton-option-unknown", of("--some-new-thing=1")): False,
            ("triton-repository-missing", of("--model-store=/m")): False,
            ("triton-repository-missing", of("--strict-readiness=0")): True,
            ("triton-repository-not-mounted", of("--model-repository=/m")): True,
            ("triton-repository-not-mounted", of("--model-repository=s3://b/m")): False,
            (
                "triton-repository-not-mounted",
                of("--model-repository=/m/x]," + " volumeMounts: [{name: v, mountPath: /m}"),
            ): (False),
            ("load-all-not-alone", of(f"{many}, --load-model=a")): True,
            ("load-all-not-alone", of(many)): False,
            ("load-all-not-alone", of("--load-model=*, --load-model=a")): False,
            ("explicit-without-models", of("--model-control-mode=explicit")): True,
            ("explicit-without-models", of(many)): False,
            ("poll-in-production", of("--model-control-mode, poll")): True,
            ("poll-in-production", of("--model-control-mode=none")): False,
            ("poll-reads-bucket", of("--model-control-mode=poll, --model-repository=s3://b/m")): True,
            ("poll-reads-bucket", of("--model-control-mode=poll, --model-repository=/m")): False,
            ("one-model-stops-server", of(many)): True,
            ("one-model-stops-server", of(f"{many}, --exit-on-error=False")): False,
            ("one-model-stops-server", of("--model-repository=/m")): False,
        }
    )


def test_options_of_vllm() -> None:
    def of(args: str, tag: str = "v0.12.0") -> str:
        return f'image: "{VLLM}:{tag}", args: [{args}]'

    check(
        {
            ("vllm-option-unknown", of("a, --max-seqs=1")): True,
            ("vllm-option-unknown", of("a, --max-seqs=1", "mine")): False,
            ("vllm-option-unknown", of("a, --max-num-seqz=1", "mine")): True,
            ("vllm-option-unknown", of("a, --max-num-seqz=1", "v9.0.0")): True,
            ("vllm-option-unknown", of("a, --brand-new=1", "v9.0.0")): False,
            ("vllm-option-unknown", of("a, --no-enable-prefix-caching, -tp, '2', -O3")): False,
            ("vllm-option-unknown", of("a, --compilation-config.level=3, --uvicorn-log-level=info")): False,
            ("vllm-option-unknown", of("a, --num-lookahead-slots=1", "v0.13.0")): True,
            ("vllm-option-unknown", of("a, --num-lookahead-slots=1", "v0.8.4")): False,
            ("vllm-option-unknown", of("a, --async-scheduling", "v0.8.4")): True,
            ("vllm-option-unknown", of("a, --disable-log-requests", "v0.8.4")): False,
            ("vllm-option-unknown", of("a, --disable-log-requests")): False,
            ("vllm-setting-without-effect", of("a, --disable-log-requests")): True,
            ("vllm-setting-without-effect", of("a, --dtype, auto")): True,
            ("vllm-setting-without-effect", of("a, --dtype, half")): False,
            ("vllm-setting-without-effect", of("a], env: [{name: VLLM_USE_V1, value: '1'}")): True,
            ("vllm-setting-without-effect", of("a], env: [{name: VLLM_USE_V1, value: '1'}", "v0.8.4")): False,
            ("vllm-model-as-option", of("--model=a")): True,
            ("vllm-model-as-option", of("--model=a", "v0.8.4")): False,
            ("vllm-model-as-option", of("a")): False,
            ("vllm-queue-unlimited", of("a")): False,
            ("vllm-queue-unlimited", of("a", "v0.32.0")): True,
            ("requests-dropped-at-end", of("a", "v0.18.0")): True,
            ("requests-dropped-at-end", of("a, --shutdown-timeout=9", "v0.18.0")): False,
        }
    )


def test_probes() -> None:
    def of(server: str, probe: str, more: str = "") -> str:
        image = {
            "triton": f'"{TRITON}:24.10-py3", args: [tritonserver{more}]',
            "vllm": f'"{VLLM}:v0.12.0", args: [a{more}]',
            "nim": '"nvcr.io/nim/a/b:2.1.0"',
        }
        return f"image: {image[server]}, {probe}"

    def get(path: str, port: str = "8000", kind: str = "readinessProbe") -> str:
        return f"{kind}: {{httpGet: {{path: '{path}', port: {port}}}}}"

    explicit = ", --model-control-mode=explicit"
    check(
        {
            ("probe-path-unknown", of("triton", get("/v2/models/a/versions/1/ready"))): False,
            ("probe-path-unknown", of("triton", get("/health", "8000", "livenessProbe"))): True,
            ("probe-path-unknown", of("triton", get("/metrics", "8002"))): False,
            ("probe-path-unknown", of("triton", get("/ping"), ", --allow-sagemaker=1")): False,
            ("probe-path-unknown", of("vllm", get("/health?x=1"))): False,
            ("probe-path-unknown", of("vllm", get("/healthz"))): True,
            ("probe-path-unknown", of("vllm", get("/api/health"), ", --root-path=/api")): False,
            ("probe-path-unknown", of("nim", get("/v1/health/ready"))): False,
            ("probe-path-unknown", of("nim", get("/v2/health/ready"))): True,
            ("probe-port-closed", of("triton", get("/v2/health/ready", "8080"))): True,
            ("probe-port-closed", of("triton", get("/v2/health/ready", "8080"), ", --http-port=8080")): False,
            ("probe-port-closed", of("triton", get("/v2/health/ready", "8001"))): True,
            ("probe-port-closed", of("triton", "readinessProbe: {tcpSocket: {port: 8001}}")): False,
            ("probe-port-closed", of("vllm", get("/health", "web"))): False,
            ("probe-port-closed", of("vllm", get("/health", "8080"), ", --port=$(PORT)")): False,
            ("probe-port-closed", of("vllm", "readinessProbe: {exec: {command: [curl]}}")): False,
            ("probes-missing", of("vllm", "readinessProbe: {exec: {command: [curl]}}")): False,
            ("probes-missing", of("vllm", get("/health", "8000", "livenessProbe"))): True,
            ("probes-missing", of("vllm", "ports: []", ", --headless")): False,
            ("ports-undeclared", of("vllm", "ports: []")): True,
            ("ports-undeclared", of("vllm", "ports: []", ", --headless")): False,
            ("readiness-of-all-models", of("triton", get("/v2/health/ready"), explicit)): True,
            ("readiness-of-all-models", of("triton", get("/v2/health/ready"))): False,
            (
                "readiness-of-all-models",
                of("triton", get("/v2/health/ready"), f"{explicit}, --strict-readiness=0"),
            ): False,
            ("readiness-of-all-models", of("triton", get("/v2/health/ready", kind="startupProbe"), explicit)): True,
            ("liveness-of-models", of("triton", get("/v2/models/a/ready", kind="livenessProbe"))): True,
            ("liveness-of-models", of("triton", get("/v2/health/live", kind="livenessProbe"))): False,
            ("readiness-by-health", of("vllm", get("/health"))): True,
            ("readiness-by-health", of("triton", get("/health"))): False,
            ("readiness-of-port", of("vllm", "readinessProbe: {tcpSocket: {port: 8000}}")): True,
        }
    )
    beside = "    - {name: proxy, ports: [{containerPort: 8080}]}\n"
    text = pod(of("triton", get("/v2/health/ready", "8080")))
    proxied = re.sub(r"\[(\{name: c.*)\]\n", rf"\n    - \1\n{beside}", text)
    assert "probe-port-closed" not in said(proxied)


def test_times() -> None:
    def of(probe: str, model: str = "a/b", more: str = "") -> str:
        return f'image: "{VLLM}:v0.12.0", args: [{model}], {probe}{more}'

    seventy = "meta-llama/Llama-3.1-70B-Instruct"
    check(
        {
            ("startup-too-short", of("livenessProbe: {initialDelaySeconds: 20}")): True,
            ("startup-too-short", of("livenessProbe: {initialDelaySeconds: 60}")): False,
            ("startup-too-short", of("startupProbe: {failureThreshold: 6}, livenessProbe: {}")): False,
            ("startup-too-short", of("startupProbe: {failureThreshold: 15}", seventy)): True,
            ("startup-too-short", of("startupProbe: {failureThreshold: 60}", seventy)): False,
            ("startup-too-short", of("readinessProbe: {}")): False,
            ("delay-instead-of-startup", of("readinessProbe: {initialDelaySeconds: 120}")): True,
            ("delay-instead-of-startup", of("readinessProbe: {initialDelaySeconds: 10}")): False,
            ("delay-instead-of-startup", of("startupProbe: {initialDelaySeconds: 120}")): False,
        }
    )
    sleep = "lifecycle: {preStop: {exec: {command: "
    rows = {
        f"{sleep}[sleep, '20']}}}}}}": True,
        f"{sleep}[sh, -c, sleep 20]}}}}}}": True,
        "lifecycle: {preStop: {sleep: {seconds: 20}}}": True,
        f"{sleep}[curl, '20']}}}}}}": False,
        "env: []": False,
    }
    for container, wrong in rows.items():
        text = pod(f'image: "{TRITON}:24.10-py3", args: [tritonserver], {container}')
        assert ("grace-too-short" in said(text)) is wrong
        assert "grace-too-short" not in said(text + "  terminationGracePeriodSeconds: 60\n")


def test_gpus() -> None:
    def of(args: str, limits: str, more: str = "") -> str:
        return f'image: "{VLLM}:v0.12.0", args: [a/b{args}], resources: {{limits: {{{limits}}}}}{more}'

    one, two = 'nvidia.com/gpu: "1"', "nvidia.com/gpu: 2"
    check(
        {
            ("gpus-missing", of("", "cpu: 1")): True,
            ("gpus-missing", of("", one)): False,
            ("gpus-missing", of("", "nvidia.com/mig-1g.10gb: 1")): False,
            ("gpus-missing", of(", --device=cpu", "cpu: 1")): False,
            ("gpus-missing", of("", "cpu: 1", ", envFrom: [{x: y}]")): False,
            ("gpus-missing", "image: vllm/vllm-openai-cpu"): False,
            ("gpus-missing", f'image: "{TRITON}:24.10-py3", args: [tritonserver]'): False,
            ("gpus-missing", f'image: "{TRITON}:24.10-vllm-python-py3", args: [tritonserver]'): True,
            ("gpus-too-few", of(", -tp, '2'", one)): True,
            ("gpus-too-few", of(", -tp, '2'", two)): False,
            ("gpus-too-few", of(", -tp, '2', --nnodes=2", one)): False,
            ("gpus-too-few", of(", -tp, '2'", "nvidia.com/mig-1g.10gb: 1")): False,
            ("gpus-idle", of("", two)): True,
            ("gpus-idle", of(", -dp, '2'", two)): False,
            ("shared-memory-missing", of(", -tp, '2'", two)): True,
            ("shared-memory-missing", of("", one)): False,
            (
                "shared-memory-missing",
                of(", -tp, '2'", two, ", volumeMounts: [{name: s, mountPath: /dev/shm/}]"),
            ): False,
            ("memory-limit-small", of("", f"{one}, memory: 2Gi")): True,
            ("memory-limit-small", of("", f"{one}, memory: 3Gi")): False,
            ("memory-limit-small", of("", "memory: 2Gi")): False,
        }
    )
    assert "shared-memory-missing" not in said(pod(of(", -tp, '2'", two), "  hostIPC: true\n"))
    for many in (2, 8):  # GiB as deploy writes them for as many GPUs
        text = pod(of(f", -tp, '{many}'", f"nvidia.com/gpu: {many}"))
        found = judge(Manifests(tuple(objects([parse(text.encode(), "m.yaml")]))))
        (hint,) = (each.hint for each in found if each.rule == "shared-memory-missing")
        assert f"sizeLimit: {many}Gi" in hint
    nim = [pod(f'image: "nvcr.io/nim/a/b:2.1.0", resources: {{limits: {{{each}}}}}') for each in (one, two)]
    assert ["shared-memory-missing" in said(each) for each in nim] == [False, True]
    disk = f'image: "{VLLM}:v0.12.0", args: [a], volumeMounts: [{{name: s, mountPath: /dev/shm}}]'
    mediums = {"emptyDir: {}": True, "emptyDir: {medium: Memory}": False, "hostPath: {path: /dev/shm}": False}
    for volume, is_told in mediums.items():
        told = said(pod(disk, f"  volumes: [{{name: s, {volume}}}]\n"))
        assert ("shared-memory-on-disk" in told) is is_told, volume
    assert "gpus-missing" not in said(pod(of("", "cpu: 1"), "  runtimeClassName: nvidia\n"))


def test_the_runtimes_of_kserve_are_small() -> None:
    head = "apiVersion: x/v1\nkind: InferenceService\nspec: {predictor: {model: {modelFormat: {name: %s}%s}}}\n"
    rows = {
        head % ("triton", ""): {"kserve-default-runtime": "3:28"},
        head % ("triton", ", runtime: kserve-tritonserver"): {"kserve-default-runtime": "3:57"},
        head % ("triton", ", runtime: mine"): {},
        head % ("vllm", ", resources: {limits: {memory: 8Gi}}"): {},
        head % ("sklearn", ""): {},
    }
    found = {text: said(text) for text in rows}
    assert {
        text: {rule: at for rule, at in by.items() if rule.startswith("kserve")} for text, by in found.items()
    } == rows


def test_storage_and_secrets() -> None:
    def of(model: str, more: str = "") -> str:
        return f'image: "{VLLM}:v0.12.0", args: [{model}]{more}'

    def env(*names: str) -> str:
        return f", env: [{', '.join(f'{{name: {name}, value: /x}}' for name in names)}]"

    nim = 'image: "nvcr.io/nim/a/b:{}"'
    mounted = ", volumeMounts: [{name: c, mountPath: %s}]"
    check(
        {
            ("weights-not-kept", of("a/b")): True,
            ("weights-not-kept", of("/models/a")): False,
            ("weights-not-kept", of("s3://b/a")): False,
            ("weights-not-kept", of("a/b", mounted % "/root/.cache")): False,
            ("weights-not-kept", of("a/b", mounted % "/root/.cache/huggingface/hub")): False,
            ("weights-not-kept", of("a/b", env("HF_HOME") + mounted % "/x")): False,
            ("weights-not-kept", of("a/b", env("HF_HOME") + mounted % "/root/.cache")): True,
            ("weights-not-kept", of("a/b, --download-dir=/d", mounted % "/d")): False,
            ("weights-not-kept", nim.format("2.1.0")): True,
            ("weights-not-kept", nim.format("2.1.0") + mounted % "/opt/nim/.cache"): False,
            ("weights-not-kept", nim.format("2.1.0") + env("NIM_MODEL_PATH")): False,
            ("hub-token-missing", of("meta-llama/Llama-3.1-8B")): True,
            ("hub-token-missing", of("meta-llama/Llama-3.1-8B", env("HF_TOKEN"))): False,
            ("hub-token-missing", of("Qwen/Qwen3-8B")): False,
            ("ngc-key-missing", nim.format("1.8.4")): True,
            ("ngc-key-missing", nim.format("1.8.4") + env("NGC_API_KEY")): False,
            ("ngc-key-missing", nim.format("2.0.10")): False,
            ("pull-secret-missing", nim.format("latest")): True,
            ("pull-secret-missing", nim.format("2.1")): False,
            ("home-not-writable", of("a/b", ", securityContext: {runAsUser: 1000}")): True,
            ("home-not-writable", of("a/b", ", securityContext: {runAsNonRoot: true}" + env("HOME"))): False,
            ("home-not-writable", of("a/b", ", securityContext: {runAsUser: 0}")): False,
            ("runs-as-root", of("a/b", ", securityContext: {runAsUser: 1000}")): False,
        }
    )
    context = ", securityContext: {runAsNonRoot: true, runAsUser: 1000}"
    assert said(pod(of("a/b", context)))["home-not-writable"] == "5:112"
    assert said(pod(of("a/b", context.replace(", runAsUser: 1000", ""))))["home-not-writable"] == "5:92"


SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: vllm%s}\nspec: {%s}\n"


def test_a_service_sets_a_variable_only_for_pods_that_take_it() -> None:
    text = pod(f'image: "{VLLM}:v0.12.0", args: [a/b]')
    rows = {
        (text, SERVICE % ("", "ports: [{port: 1}]")): True,
        (text + "  enableServiceLinks: false\n", SERVICE % ("", "ports: [{port: 1}]")): False,
        (text, SERVICE % ("", 'clusterIP: "None"')): False,
        (text, SERVICE % (", namespace: other", "ports: []")): False,
        (text, SERVICE % ("-1", "ports: []")): False,
        (text.replace("args:", "env: [{name: VLLM_PORT, value: '1'}], args:"), SERVICE % ("", "ports: []")): False,
    }
    assert {texts: "service-sets-port" in said(*texts) for texts in rows} == rows


def test_queries() -> None:
    def of(query: str) -> str:
        trigger = f"{{type: prometheus, metadata: {{query: '{query}'}}}}"
        return f"apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nspec: {{triggers: [{trigger}]}}\n"

    engine, triton = (
        pod(f'image: "{each}", args: [tritonserver]') for each in (f"{VLLM}:v0.9.0", f"{TRITON}:24.10-py3")
    )
    rows = {
        ("query-label-unknown", of('vllm:num_requests_waiting{model="a"}')): True,
        ("query-label-unknown", of('vllm:num_requests_waiting{model_name="a"}')): False,
        ("query-label-unknown", of('vllm:num_requests_waiting{model="a"}'), triton): False,
        ("query-label-unknown", of('vllm:prompt_tokens_total{model="a"}')): False,
        ("query-label-unknown", of('nv_inference_count{model_name="a"}')): True,
        ("query-of-lifetime", of("vllm:request_queue_time_seconds_sum / vllm:request_queue_time_seconds_count")): True,
        ("query-of-lifetime", of("rate(nv_inference_count[1m]) / rate(nv_inference_exec_count[1m])")): False,
        ("query-of-lifetime", of("nv_gpu_memory_used_bytes / nv_gpu_memory_total_bytes")): False,
        ("query-delta-of-counter", of("delta(nv_inference_count[1m])")): True,
        ("query-delta-of-counter", of("delta(nv_gpu_memory_used_bytes[1m])")): False,
        ("query-metric-gone", of("vllm:gpu_prefix_cache_hits_total")): True,
        ("query-metric-gone", of("vllm:gpu_prefix_cache_hits_total"), engine): False,
        ("query-metric-gone", of("vllm:gpu_prefix_cache_hits_total or vllm:prefix_cache_hits_total")): False,
        ("query-metric-gone", of("vllm:time_per_output_token_seconds_bucket"), triton): False,
        ("query-delta-of-counter", of("delta(vllm:request_queue_time_seconds_bucket[1m])")): True,
        ("query-delta-of-counter", of("delta(vllm:request_queue_time_seconds_sum[1m])")): True,
        ("query-delta-of-counter", of("delta(vllm:request_queue_time_seconds_count[1m])")): True,
        ("scales-on-gpu-utilization", of("avg(nv_gpu_utilization)")): True,
        ("scales-on-gpu-utilization", of("avg(DCGM_FI_PROF_GR_ENGINE_ACTIVE)")): True,
        ("scales-on-gpu-utilization", of("up")): False,
    }
    assert {row: row[0] in said(*row[1:]) for row in rows} == rows
    hpa = "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nspec: {metrics: [{pods: {metric: {name: %s}}}]}\n"
    assert "scales-on-gpu-utilization" in said(hpa % "DCGM_FI_DEV_GPU_UTIL")
    rule = (
        "apiVersion: x/v1\nkind: PrometheusRule\nspec: {groups: [{rules: [{expr: 'delta(nv_inference_count[1m])'}]}]}\n"
    )
    assert said(rule) == {"query-delta-of-counter": "3:33"}


def test_replicas_and_rollouts() -> None:
    def of(spec: str) -> str:
        containers = f'[{{name: c, image: "{VLLM}:v0.12.0", args: [a], resources: {{limits: {{nvidia.com/gpu: 2}}}}}}]'
        head = f"apiVersion: apps/v1\nkind: Deployment\nspec:\n  {spec}\n"
        return f"{head}  template: {{spec: {{containers: {containers}}}}}\n"

    rows = {
        ("gpus-in-all", of("replicas: 2")): True,
        ("gpus-in-all", of("replicas: 1")): False,
        ("gpus-in-all", of("replicas: x")): False,
        ("rollout-needs-spare-gpus", of("replicas: 1")): True,
        ("rollout-needs-spare-gpus", of("strategy: {type: Recreate}")): False,
        ("rollout-needs-spare-gpus", of("strategy: {rollingUpdate: {maxSurge: 0}}")): False,
    }
    assert {row: row[0] in said(row[1]) for row in rows} == rows


def test_a_group_of_pods_has_the_gpus_of_its_leader_and_its_workers() -> None:
    def of(spec: str, worker: str) -> Object:
        leader = "args: [vllm, serve, a], resources: {limits: {nvidia.com/gpu: 4}}"
        pods = {"leaderTemplate": leader, "workerTemplate": worker}
        templates = ", ".join(f"{name}: {{spec: {{containers: [{{{each}}}]}}}}" for name, each in pods.items())
        text = f"kind: LeaderWorkerSet\nspec: {{{spec} leaderWorkerTemplate: {{size: 3, {templates}}}}}\n"
        return Object(parse(text.encode(), "m.yaml"))

    serving = "args: [vllm, serve, a, --headless], resources: {limits: {nvidia.com/gpu: 2}}"
    assert pods_and_gpus(of("replicas: 2,", serving)) == (6, 16)
    assert pods_and_gpus(of("", "args: [ray, start]")) == (3, 12)
    assert pods_and_gpus(of("replicas: many,", serving)) is None


ODD_KINDS = (
    *("Deployment", "InferenceService", "ScaledObject", "PrometheusRule", "HorizontalPodAutoscaler", "Ingress"),
    *("HTTPRoute", "ServiceMonitor", "PodMonitor", "NIMService"),
)


def test_whatever_stands_where_a_value_belongs_is_no_fault_of_ours() -> None:
    odd = ("[]", "{}", "null", "[[1]]", "{a: {b: c}}", '"x\\n\\e[1m"', "-1", "1e9999")
    keys = "image command args env ports resources readinessProbe livenessProbe volumeMounts lifecycle securityContext"
    for value in odd:
        for key in keys.split():
            container = {"image": f'"{VLLM}:v0.12.0"', "args": "[a/b, -tp, '2']", key: value}
            said(pod(", ".join(f"{name}: {each}" for name, each in container.items())))
        for kind in ODD_KINDS:
            for path in (
                "spec",
                "spec: {template",
                "spec: {predictor",
                "spec: {triggers",
                "spec: {groups",
                "spec: {metrics",
                "spec: {selector: {matchLabels: {a: b}}, endpoints",
                "spec: {storage: {nimCache",
                "spec: {rules: [], defaultBackend",
            ):
                said(f"apiVersion: v1\nkind: {kind}\n{path}: {value}{'}' * (path.count('{') - path.count('}'))}\n")


def test_the_pods_of_these_kinds_serve() -> None:
    containers = f'{{containers: [{{name: c, image: "{VLLM}"}}]}}'
    template = f"template: {{spec: {containers}}}"
    specs = {
        **dict.fromkeys(("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job"), f"{{{template}}}"),
        **dict.fromkeys(("Pod", "ServingRuntime", "ClusterServingRuntime"), containers),
        "LeaderWorkerSet": f"{{leaderWorkerTemplate: {{leaderT{template[1:]}}}}}",
        "InferenceService": f"{{predictor: {containers}}}",
        "LLMInferenceService": f"{{template: {containers}}}",
    }
    both, one = {"image-without-version", "probes-missing"}, {"image-without-version"}
    found = {
        kind: both & said(f"apiVersion: x/v1\nkind: {kind}\nspec: {spec}\n").keys() for kind, spec in specs.items()
    }
    served = dict.fromkeys(("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Pod", "LeaderWorkerSet"), both)
    runtimes = ("ServingRuntime", "ClusterServingRuntime", "InferenceService", "LLMInferenceService")
    assert found == {**served, **dict.fromkeys(runtimes, one), "Job": set()}


def test_a_runtime_of_triton_may_serve_on_a_cpu() -> None:
    small = "resources: {limits: {memory: 2Gi}}"
    servers = {f'image: "{TRITON}:24.10-py3", args: [tritonserver]': False, f'image: "{VLLM}:v0.12.0"': True}
    for server, found in servers.items():
        text = "apiVersion: serving.kserve.io/v1alpha1\nkind: ServingRuntime\nmetadata: {name: r}\nspec:\n"
        assert ("memory-limit-small" in said(f"{text}  containers: [{{name: c, {server}, {small}}}]\n")) is found


def nim(cache: str, more: str = "") -> str:
    head = "apiVersion: apps.nvidia.com/v1alpha1\nkind: NIMService\nmetadata: {name: n, namespace: a}\n"
    return f"{head}spec: {{storage: {{nimCache: {{name: {cache}}}}}{more}}}\n"


def test_nim_services() -> None:
    cache = "apiVersion: apps.nvidia.com/v1alpha1\nkind: NIMCache\nmetadata: {name: c, namespace: a}\n"
    rule = "nim-cache-missing"
    assert said(nim("d"), cache) == {rule: "4:35"}
    assert said(nim("c"), cache) == said(nim("d")) == said(nim("d"), cache.replace(" a}", " b}")) == {}
    env = ", env: [{name: HF_TOKEN, value: hf_0123456789012345678901234}]"
    assert said(nim("c", env), cache) == {"secret-as-plain-value": "4:70"}
    texts = [nim("c", f", replicas: {many}, resources: {{limits: {{nvidia.com/gpu: 2}}}}") for many in ("3", "x")]
    made = [next(iter(objects([parse(text.encode(), "m.yaml")]))) for text in (*texts, nim("c"))]
    assert [pods_and_gpus(each) for each in made] == [(3, 6), None, None]
    scaled = texts[0].replace("replicas: 3", "scale: {enabled: true}")
    assert pods_and_gpus(next(iter(objects([parse(scaled.encode(), "m.yaml")])))) is None
