"""What watches servers: every alert fires when it should and not otherwise, as promtool sees it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tritonrepo.deploy.manifests import text
from tritonrepo.deploy.observe import rules, scraping
from tritonrepo.deploy.observe.alert import Group
from tritonrepo.deploy.observe.exposed import Exposed
from tritonrepo.deploy.observe.servers import KINDS, Server, System, groups
from tritonrepo.deploy.observe.watched import Limit, Slo, Watched

HOSTILE = "a|b.c\"d\\e\n{{ .x }}'$job[[job]]${job}"
"""The name of a model that leaves whatever does not quote it."""

SEEN = Watched(
    name="rag",
    models=("embedder", HOSTILE),
    limits=(Limit("embedder", 256, "2 × 2 instances × batch of 64"), Limit(HOSTILE, 8, "at least 8")),
    pipelines=(),
    streaming=(HOSTILE,),
    reporting=("generator",),
    silent=(),
    cached=(),
    gpus=1,
    slo=Slo(1999, 333),
)


def promtool(*words: str, cwd: Path) -> str:
    """Return what promtool says; fail if it finds a fault. CI fails if it is not there."""
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed")
    env = os.environ | {"GOGC": "400"}  # it collects its garbage less often, which saves a third of its time
    made = subprocess.run([program, *words], cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    return made.stdout


def server(system: System, seen: frozenset[str] | None = None, version: str = "") -> Server:
    job = {"job": f"rag-{system}", "namespace": "prod"}
    on = Exposed(dict.fromkeys(KINDS[system].exposers, version), job, seen)
    backend = Exposed({"vllm_backend": version}, job, seen) if system is System.TRITON else None
    return Server(system, job["job"], on, backend)


def made(*systems: System) -> list[Group]:
    return [group for system in systems for group in groups(server(system), SEEN)]


def test_every_alert_fires_and_is_quiet(tmp_path: Path) -> None:
    """Each group in files of its own: promtool evaluates all rules of a file for each of its tests."""
    found = made(*System)
    for number, group in enumerate(found):
        (tmp_path / f"rules-{number}.yaml").write_text(text([{"groups": rules.groups("rag", [group])}]), "utf-8")
        tests = {**rules.tests("rag", [group]), "rule_files": [f"rules-{number}.yaml"]}
        (tmp_path / f"test-{number}.yaml").write_text(text([tests]), "utf-8")
    written, tested = ([f"{name}-{number}.yaml" for number, _ in enumerate(found)] for name in ("rules", "test"))
    assert promtool("check", "rules", "--lint-fatal", *written, cwd=tmp_path).count("rules found") == len(found) == 4
    assert promtool("test", "rules", *tested, cwd=tmp_path).count("SUCCESS") == len(found)
    for group, path in zip(found, tested, strict=True):
        names = {alert.name for alert in group.alerts}
        cases = re.findall(r"alertname: (\S+)\n +exp_alerts:(.*)", (tmp_path / path).read_text("utf-8"))
        assert {name for name, expected in cases if not expected} == names
        assert {name for name, expected in cases if expected == " []"} == names
    assert len({alert.name for group in found for alert in group.alerts}) == 19 + 8


def test_only_counters_have_a_rate() -> None:
    on = server(System.TRITON).metrics
    with pytest.raises(TypeError):
        on.rate("requests_pending", "5m")
    with pytest.raises(TypeError):
        on.total("requests_failed")
    with pytest.raises(TypeError):
        on.quantile("0.5", "queue_duration", "5m")
    with pytest.raises(LookupError):
        on.gauge("kv_cache_usage")


def test_a_newer_name_comes_before_an_older_one() -> None:
    on = server(System.VLLM).metrics
    usage = on.highest("kv_cache_usage", "model")
    assert usage == (
        '(max by (model_name) (vllm:kv_cache_usage_perc{job="rag-vllm", namespace="prod"})'
        ' or max by (model_name) (vllm:gpu_cache_usage_perc{job="rag-vllm", namespace="prod"}))'
    )
    seen = frozenset({"vllm:gpu_cache_usage_perc"})
    assert "kv_cache" not in server(System.VLLM, seen).metrics.highest("kv_cache_usage", "model")
    assert not server(System.VLLM, seen).metrics.has("preemptions")
    assert [server(System.TRITON, version=each).metrics.has("first_response") for each in ("24.10", "24.11")] == [
        False,
        True,
    ]
    assert server(System.NIM).metrics.names("requests_running")[0].name == "num_requests_running"


def test_the_page_lists_every_alert() -> None:
    page = (Path(__file__).parent.parent / "docs" / "observe.md").read_text("utf-8")
    listed = re.findall(r"^\| `(\w+)` \| (\w+) \| (\d+m) \|", page, re.MULTILINE)
    alerts = [alert for group in made(System.TRITON, System.VLLM) for alert in group.alerts]
    assert set(listed) == {(alert.name, alert.severity, alert.holds) for alert in alerts}
    assert len(set(listed)) == len(listed)
    nim = {alert.name for group in made(System.NIM) for alert in group.alerts}
    assert nim == {f"Nim{name.removeprefix('Vllm')}" for name, *_ in listed if name.startswith(("Vllm", "Cache"))}


def test_a_scrape_config_has_the_addresses_that_were_read() -> None:
    rows = {
        (): (None, "/metrics", ["localhost:8002"]),
        ("https://a:1/m", "https://b/m"): ("https", "/m", ["a:1", "b"]),
        ("http://a:1/metrics",): (None, "/metrics", ["a:1"]),
    }
    found = {}
    for urls in rows:
        (job,) = yaml.safe_load(text([scraping.config([server(System.TRITON)._replace(urls=urls)])]))["scrape_configs"]
        (static,) = job["static_configs"]
        assert static["labels"] == {"namespace": "prod"}
        found[urls] = (job.get("scheme"), job["metrics_path"], static["targets"])
    assert found == rows


def test_targets_of_one_job_that_are_read_in_several_ways_say_how(tmp_path: Path) -> None:
    urls = ("https://a:1/m", "http://b/m", "https://c:1/m")
    (tmp_path / "scrape.yaml").write_text(text([scraping.config([server(System.TRITON)._replace(urls=urls)])]), "utf-8")
    (job,) = yaml.safe_load((tmp_path / "scrape.yaml").read_text("utf-8"))["scrape_configs"]
    assert not {"scheme", "metrics_path"} & job.keys()
    assert job["static_configs"] == [
        {
            "targets": targets,
            "labels": {"__scheme__": scheme, "__metrics_path__": "/m", "namespace": "prod"},
        }
        for scheme, targets in (("https", ["a:1", "c:1"]), ("http", ["b"]))
    ]
    assert "SUCCESS" in promtool("check", "config", "scrape.yaml", cwd=tmp_path)
