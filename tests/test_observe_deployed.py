"""`deploy observe` beside the other commands: it asks for the jobs that are scraped, and watches what a stack calls."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import crds
from tests.dashboards import faults, names
from tests.speaking import Said, speaking
from tests.test_deploy import here
from tests.test_deploy_vllm import STACK
from tests.test_kube import built
from tests.test_observe_command import OUT, VLLM, boards, parsed, rules, series, types
from tritonrepo.cli import run

__all__ = ["here"]

NIM = "nvcr.io/nim/nvidia/model-free-nim:2.1.6"
PODS = {"Deployment": ("template",), "LeaderWorkerSet": ("leaderWorkerTemplate", "leaderTemplate")}
COMMANDS = {
    "k8s": ("--uri", "s3://bucket/models", "--gateway", "registry.example/gateway:1"),
    "kserve": ("--uri", "s3://bucket/models"),
    "vllm": ("--gpus-per-node", "1"),
    "vllm --name other": (),
    "nim": ("--image", NIM),
    "nim --operator": ("--image", NIM),
}


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model of the stack is on the Hub, which no test asks: its tokenizer does not matter here."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def stack(url: str, name: str = "support", more: str = "") -> None:
    text = STACK.replace("URL", url).replace("name: support", f'name: "{name}"')
    Path("tritonrepo.yaml").write_text(text.replace("max_model_len: 8192", f"max_model_len: 8192{more}"), "utf-8")


def observe(*words: str) -> int:
    return run(["deploy", "observe", ".", *words])


def pods(found: list[Any]) -> Iterator[tuple[dict[str, str], set[str]]]:
    """Yield the labels and the names of the ports of all pods, also of those that an operator makes."""
    for each in found:
        if path := PODS.get(each["kind"]):
            pod = each["spec"]
            for name in path:
                pod = pod[name]
            (container,) = pod["spec"]["containers"]
            yield pod["metadata"]["labels"], {port["name"] for port in container.get("ports", ())}
        elif each["kind"] == "ServingRuntime":
            yield each["spec"]["labels"], {port["name"] for port in each["spec"]["containers"][0]["ports"]}
        elif each["kind"] == "NIMService":
            own = {"app": each["metadata"]["name"], "app.kubernetes.io/part-of": "nim-service"}
            yield own | each["spec"]["labels"], {"api"}


def jobs(monitor: Any, found: list[Any]) -> Iterator[str]:  # noqa: ANN401  YAML
    """Yield the job of each target, as the operator gives it (pkg/prometheus/promcfg.go, generatePodMonitorConfig)."""
    spec, about = monitor["spec"], monitor["metadata"]
    for labels, ports in pods(found):
        if spec["selector"]["matchLabels"].items() <= labels.items():
            for endpoint in (each for each in spec["podMetricsEndpoints"] if each["port"] in ports):
                job = labels.get(spec.get("jobLabel", "")) or f"{about.get('namespace', 'default')}/{about['name']}"
                for rule in endpoint.get("relabelings", ()):
                    assert (rule["action"], rule["targetLabel"]) == ("replace", "job")
                    job = rule["replacement"]
                yield job


@pytest.mark.usefixtures("here")
def test_the_job_of_what_is_scraped_is_the_one_that_is_asked_for() -> None:
    """Also for a stack whose name cannot be that of a Service."""
    stack("http://llm:8000/v1", "7b", ", tensor_parallel_size: 2")
    part = "stack-7b"
    assert observe("--system", "triton", "--system", "vllm", "--system", "nim") == 0
    asked = {job for rule in rules() for job in re.findall(r'\bjob="([^"]+)"', rule["expr"])}
    assert asked == {part, f"{part}-vllm", f"{part}-nim"}
    scraped = yaml.safe_load((OUT / "scrape.yaml").read_text("utf-8"))["scrape_configs"]
    assert {each["job_name"] for each in scraped} == asked
    ours = [*yaml.safe_load_all((OUT / "podmonitor.yaml").read_text("utf-8"))]
    seen = set[str]()
    for command, words in COMMANDS.items():
        out = f"out/{command}"
        assert run(["deploy", *command.split(), ".", *words, "--pod-monitor", "-o", out]) == 0
        found = built(Path(out) / "overlays" / "prod")
        assert [
            fault for each in found if each["kind"] in {"NIMService", "PodMonitor"} for fault in crds.faults(each)
        ] == []
        given = [job for each in found if each["kind"] == "PodMonitor" for job in jobs(each, found)]
        also = [job for each in ours for job in jobs(each, found)]
        assert given == [*also, *([f"{part}-gateway"] if command == "k8s" else [])]
        assert len(also) == 1, command
        seen.update(also)
    assert seen == asked


@pytest.mark.usefixtures("here")
def test_an_engine_that_a_stack_calls_is_watched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for url, words, watched, says in (
        ("http://llm:8000/v1", (), ["support", "support-vllm"], ""),
        ("http://llm.models.svc.cluster.local:8000/v1", (), ["support", "support-vllm"], ""),
        ("http://10.1.2.3:8000/v1", (), ["support", "support-vllm"], ""),
        ("http://localhost:8000/v1", (), ["support", "support-vllm"], ""),
        ("http://llama-nim.models:8000/v1", (), ["support", "support-nim"], ""),
        ("http://llm:8000/v1", ("--system", "triton"), ["support"], ""),
        ("http://llm:8000/v1", ("--system", "triton", "--system", "nim"), ["support", "support-nim"], ""),
        (
            "https://api.example.com/v1",
            (),
            ["support"],
            '"chat" calls api.example.com, which may be a service of others',
        ),
        ("https://api.example.com/v1", ("--system", "triton", "--system", "vllm"), ["support", "support-vllm"], ""),
    ):
        stack(url)
        assert observe("--gpus", "0", *words) == 0
        scraped = yaml.safe_load((OUT / "scrape.yaml").read_text("utf-8"))["scrape_configs"]
        assert [each["job_name"] for each in scraped] == watched, url
        for each in scraped[1:]:
            (target,) = each["static_configs"][0]["targets"]
            given = (each.get("scheme", "http"), target.removesuffix(":443"))
            assert given == tuple(url.removesuffix("/v1").split("://"))
        said = capsys.readouterr().err
        assert says in said
        assert ("[observe-endpoint]" in said) == bool(says), url
        assert "observe-engine-silent" not in said
    stack("http://llm:8000/v1")
    there = VLLM.read_text("utf-8")
    with speaking(lambda _: Said(VLLM.read_bytes())) as server:
        for path, name, alerts in (("/metrics", "vllm", "Vllm"), ("/v1/metrics", "nim", "Nim")):
            assert observe("--scrape", server.url + path, "--gpus", "0") == 0
            found = boards()
            assert {*found} == {"triton", name}
            assert [*faults(found[name], types(there))] == []
            assert names(found[name]) <= series(there)
            assert names(found[name])
            expected = {f"{alerts}KvFull", f"{alerts}TargetDown", "TritonTargetDown"}
            assert expected <= {rule.get("alert") for rule in rules()}
    parsed(tmp_path)
