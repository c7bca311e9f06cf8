"""`deploy observe` on real scrapes: what it writes is read by promtool, and asks only for what the servers have."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import crds
from tests.dashboards import faults, names, queries
from tests.speaking import Said, speaking
from tests.test_deploy import here, made
from tests.test_observe import HOSTILE, promtool
from tritonrepo.cli import run
from tritonrepo.server.catalogue import SERIES, catalogue

__all__ = ["here"]

SCRAPES = Path(__file__).parent / "data" / "scrapes"
"""Recorded with `curl`, after requests: Triton 24.10 with the models of the example, and vLLM 0.32.0 on the CPU. Only
the first and the last bucket of each histogram are kept."""

TRITON, VLLM = (SCRAPES / name for name in ("triton-24.10.txt", "vllm-0.32.0.txt"))
OF_BACKEND = (
    "prompt_tokens_total",
    "generation_tokens_total",
    "time_to_first_token_seconds",
    "inter_token_latency_seconds",
)
BACKEND = TRITON.read_text("utf-8") + "".join(
    re.sub(r'(?:engine="0",|,model_name="tiny")', "", line)
    .replace("{", '{model="generator",version="1",')
    .replace(",}", "}")
    for line in VLLM.read_text("utf-8").splitlines(keepends=True)
    if any(name in line for name in OF_BACKEND)
).replace("inter_token_latency", "time_per_output_token")
"""What Triton shows whose vLLM backend reports its metrics: not recorded, since that backend needs a GPU."""

OUT = Path("deploy/observe")
STREAM = 'backend: "{0}"\nmax_batch_size: 0\nmodel_transaction_policy {{ decoupled: true }}\n'
STEP = """backend: "python"
max_batch_size: 16
input {{ name: "{0}" data_type: TYPE_STRING dims: [ 1 ] }}
output {{ name: "{1}" data_type: TYPE_STRING dims: [ 1 ] }}
"""
RAG = """platform: "ensemble"
max_batch_size: 16
input { name: "a" data_type: TYPE_STRING dims: [ 1 ] }
output { name: "c" data_type: TYPE_STRING dims: [ 1 ] }
ensemble_scheduling {
  step { model_name: "one" model_version: 1 input_map { key: "a" value: "a" } output_map { key: "b" value: "b" } }
  step { model_name: "two" model_version: 1 input_map { key: "b" value: "b" } output_map { key: "c" value: "c" } }
}
"""
REPORTS = 'parameters { key: "REPORT_CUSTOM_METRICS" value { string_value: "true" } }\n'


def types(text: str) -> dict[str, str]:
    return dict(re.findall(r"^# TYPE (\S+) (\w+)$", text, re.MULTILINE))


def series(text: str) -> set[str]:
    return set(re.findall(r"^([\w:]+)[{ ]", text, re.MULTILINE))


def observe(*words: str) -> int:
    return run(["deploy", "observe", "models", *words])


@pytest.fixture
def models() -> None:
    made(
        "models",
        {
            "rag/config.pbtxt": RAG,
            "one/config.pbtxt": STEP.format("a", "b"),
            "two/config.pbtxt": STEP.format("b", "c"),
            "generator/config.pbtxt": STREAM.format("vllm") + REPORTS,
            "generator/1/model.json": {"model": "o/m", "max_num_seqs": 32},
            f"{HOSTILE.replace('/', '')}/config.pbtxt": STEP.format("x", "y"),
            **{f"{name}/1/model.py": "" for name in ("one", "two")},
            "rag/1/x": "",
            "many/config.pbtxt": RAG.replace("two", "one").replace('"one" m', f"{json.dumps(HOSTILE)} m", 1),
        },
    )


def boards() -> dict[str, Any]:
    return {path.stem: json.loads(path.read_text("utf-8")) for path in sorted((OUT / "dashboards").iterdir())}


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((OUT / "rules.yaml").read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def parsed(tmp: Path) -> None:
    """Have promtool read the rules, the scrape config, and all queries of the dashboards as rules."""
    asked = [query.replace("$__rate_interval", "5m") for board in boards().values() for query in queries(board)]
    (tmp / "queries.yaml").write_text(
        json.dumps(
            {"groups": [{"name": "x", "rules": [{"record": f"r{n}", "expr": query} for n, query in enumerate(asked)]}]}
        ),
        "utf-8",
    )
    promtool("check", "rules", str((OUT / "rules.yaml").absolute()), "queries.yaml", cwd=tmp)
    promtool("check", "config", str((OUT / "scrape.yaml").absolute()), cwd=tmp)


@pytest.mark.usefixtures("models")
def test_what_is_asked_for_is_what_the_servers_have(tmp_path: Path) -> None:
    texts = {"/triton": BACKEND, "/vllm": VLLM.read_text("utf-8")}
    with speaking(lambda asked: Said(texts[asked.path].encode())) as server:
        scrapes = [word for path in texts for word in ("--scrape", server.url + path)]
        assert observe(*scrapes, "--gpus", "0") == 0
    there, known = series("\n".join(texts.values())), types("\n".join(texts.values()))
    found = boards()
    assert list(found) == ["rag", "triton", "vllm"]
    for name, board in found.items():
        assert [*faults(board, known)] == [], name
        assert names(board) <= there
        assert names(board)
    every = [query for board in found.values() for query in queries(board)] + [rule["expr"] for rule in rules()]
    asked = {name for rule in rules() for name in re.findall(r"\b(?:nv_|vllm:)[\w:]+", rule["expr"])}
    assert asked <= there
    labels = {*re.findall(r'[{,](\w+)="', "".join(texts.values())), "instance"}
    grouped = {label for query in every for by in re.findall(r"by \(([^)]+)\)", query) for label in by.split(", ")}
    assert {"le", "model", "model_name", "reason", "finished_reason"} <= grouped <= labels
    parsed(tmp_path)


def test_the_catalogue_knows_the_kinds_of_the_metrics_of_real_servers() -> None:
    for path, exposer in ((TRITON, "triton"), (VLLM, "vllm")):
        text = path.read_text("utf-8")
        known, there = types(text), series(text)
        of = {
            name.name: metric.kind
            for metric in catalogue().values()
            for name in metric.names
            if name.exposer == exposer
        }
        assert {name: kind for name, kind in of.items() if name in known} == {
            name: known[name] for name in of if name in known
        }
        assert all(f"{name}{ending}" in there for name in known for ending in SERIES.get(known[name], ("",)))


@pytest.mark.usefixtures("models")
def test_without_a_scrape_names_are_those_of_the_release(tmp_path: Path) -> None:
    words = ("--system", "triton", "--system", "vllm", "--system", "nim", "--namespace", "prod", "--job", 'nim=n i"m')
    assert observe("--release", "24.10", "--gpus", "0", *words) == 0
    there = series(TRITON.read_text("utf-8"))
    board = boards()["triton"]
    assert names(board) <= there
    assert [*faults(board, types(TRITON.read_text("utf-8")))] == []
    said = {rule.get("alert"): rule for rule in rules()}
    assert "RagTtftP95" not in said
    assert {"NimKvFull", "VllmItlP95", "GpuMemoryHigh"} - said.keys() == {"GpuMemoryHigh"}
    assert 'job="n i\\"m", namespace="prod"' in said["NimTargetDown"]["expr"]
    parsed(tmp_path)
    assert observe("--release", "24.11", "--gpus", "1", *words) == 0
    assert {"RagTtftP95", "GpuMemoryHigh"} <= {rule.get("alert") for rule in rules()}
    assert "# Triton must be started with --metrics-config histogram_latencies=true, as deploy" in (
        OUT / "rules.yaml"
    ).read_text("utf-8")


@pytest.mark.usefixtures("models")
def test_the_operator_gets_the_same_rules_and_the_servers() -> None:
    assert observe("--system", "nim", "--system", "triton", "--namespace", "prod") == 0
    written = yaml.safe_load((OUT / "prometheusrule.yaml").read_text("utf-8"))
    assert written["spec"] == yaml.safe_load((OUT / "rules.yaml").read_text("utf-8"))
    assert [*crds.faults(written)] == []
    monitors = [*yaml.safe_load_all((OUT / "podmonitor.yaml").read_text("utf-8"))]
    assert [each["metadata"]["name"] for each in monitors] == ["models", "models-nim"]
    assert [fault for each in monitors for fault in crds.faults(each)] == []
    for each, path, ports in zip(monitors, (None, "/v1/metrics"), (["metrics"], ["http", "api"]), strict=True):
        assert [endpoint["port"] for endpoint in each["spec"]["podMetricsEndpoints"]] == ports
        for endpoint in each["spec"]["podMetricsEndpoints"]:
            assert (endpoint.get("path"), each["metadata"]["namespace"]) == (path, "prod")
            assert endpoint["relabelings"] == [
                {"action": "replace", "targetLabel": "job", "replacement": each["metadata"]["name"]}
            ]


@pytest.mark.usefixtures("models")
def test_limits_are_those_of_the_models() -> None:
    assert observe("--slo-latency", "100", "--slo-ttft", "3000") == 0
    limits = {
        rule["labels"]["model"]: rule["expr"].strip() for rule in rules() if rule.get("record", "").endswith(":limit")
    }
    assert limits["one"] == "vector(32)"
    assert limits["generator"] == "vector(64)"
    assert "rag" not in limits
    alerts = {(rule["alert"], rule["labels"]["server"]): rule["expr"] for rule in rules() if "alert" in rule}
    assert alerts["TritonQueueLong", "triton"].endswith("> 25\n")
    assert alerts["RagTtftP95", "triton"].endswith("> 3000\n")
    assert 'model!~"generator"' in alerts["TritonLatency", "triton"]
    assert "by (le, model)" in alerts["VllmTtftP95", "triton"]
    text = (OUT / "runbook.md").read_text("utf-8")
    assert all(f"\n## {name}\n" in text for name, _ in alerts)
    assert not re.search(r"\bdelta\(", (OUT / "rules.yaml").read_text("utf-8"))


@pytest.mark.usefixtures("models")
def test_what_cannot_be_watched_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    config = Path("models/generator/config.pbtxt")
    config.write_text(STREAM.format("vllm"), "utf-8")
    assert observe("--slo-ttft", "5000") == 0
    said = capsys.readouterr().err
    assert "models: warning: the vLLM model does not report the metrics of vLLM" in said
    assert 'so nothing watches the engine: "generator"' in said
    assert 'the string_value "true"' in said
    assert "so RagTtftP95 never sees 5000 ms [observe-buckets]" in said
    assert not (OUT / "dashboards/vllm.json").exists()
    assert observe("--system", "triton", "--system", "vllm", "--gpus", "0") == 0
    assert "observe-engine-silent" not in capsys.readouterr().err
    config.write_text(STREAM.format("vllm") + REPORTS, "utf-8")
    for release, more, says in (
        ("24.07", {}, "The vLLM backend of Triton 24.07 has none."),
        ("25.01", {"disable_log_stats": True}, "the engine then runs in the process of the model. With disable_log"),
        ("25.10", {"disable_log_stats": True}, "to the config of the model. With disable_log_stats in model.json, it"),
        ("25.10", {"disable_log_stats": False}, ""),
    ):
        Path("models/generator/1/model.json").write_text(json.dumps({"model": "o/m", **more}), "utf-8")
        assert observe("--release", release, "--gpus", "0") == 0
        said = capsys.readouterr().err
        assert says in said
        assert ("observe-engine-silent" in said) == bool(says)
    with speaking(lambda _: Said(TRITON.read_bytes())) as server:
        assert observe("--scrape", server.url, "--gpus", "0") == 0
        assert server.asked[0].path == "/metrics"
    said = capsys.readouterr().err
    assert (
        "warning: the server lacks the metrics of 1 alert, which is left out: RagTtftP95 [observe-metrics-missing]"
        in said
    )
    assert "RagTtftP95 needs --metrics-config histogram_latencies=true." in said
    assert "# Left out, because models lacks their metrics: RagTtftP95." in (OUT / "rules.yaml").read_text("utf-8")


@pytest.mark.usefixtures("models")
def test_the_same_again_writes_nothing_and_secrets_are_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "s3cr3t")
    with speaking(lambda _: Said(VLLM.read_bytes())) as server:
        words = ("--scrape", server.url, "--header", "X-Key: h1dden", "--token-env", "TOKEN")
        assert observe(*words) == 0
        assert server.asked[0].head["authorization"] == "Bearer s3cr3t"
        assert observe(*words, "--check", "-q") == 0
    texts = "".join(path.read_text("utf-8") for path in OUT.rglob("*") if path.is_file())
    assert "s3cr3t" not in texts
    assert "h1dden" not in texts
    assert server.url.partition("//")[2] in (OUT / "scrape.yaml").read_text("utf-8")


@pytest.mark.usefixtures("models")
def test_a_wrong_word_is_a_usage_error_and_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    for words, says in (
        (("--namespace", "Prod"), '"Prod" is not the name of a namespace.'),
        (("--namespace", "a\n"), "is not the name of a namespace"),
        (("--job", "triton"), '"triton" is not of the form SYSTEM=NAME'),
        (("--job", "tgi=x"), '"tgi=x" is not of the form SYSTEM=NAME'),
        (("--slo-ttft", "0"), "0 is not in the range"),
        (("--system", "tgi"), "'tgi' is not one of"),
        (("--scrape", "ftp://x"), "this is not the URL of a server"),
        (("--scrape", "http://u:p@localhost:1"), "user and password in the URL"),
        (("--scrape", "http://localhost:1"), "http://localhost:1"),
        (("-o", "models/x"), "the output directory is in the model repository"),
    ):
        assert observe(*words) == 2, words
        assert says in capsys.readouterr().err
    assert not Path("deploy").exists()
    with speaking(lambda _: Said(b"<html>")) as server:
        assert observe("--scrape", server.url) == 1
    assert "the response has no metrics of a model server" in capsys.readouterr().err


@pytest.mark.usefixtures("models")
def test_tracing_is_turned_on_by_options_of_the_server() -> None:
    assert observe("--release", "25.08", "--system", "triton", "--system", "vllm") == 0
    text = (OUT / "tracing.md").read_text("utf-8")
    assert "## Triton 25.08\n" in text
    options = re.findall(r"^--trace-config (\S+)$", text, re.MULTILINE)
    assert options[:3] == ["mode=opentelemetry", "level=TIMESTAMPS", "rate=100"]
    assert options[-1] == "opentelemetry,resource=service.name=models"
    assert re.search(r"vllm serve MODEL .*--otlp-traces-endpoint=http://\S+:4317 ", text, re.DOTALL)
    assert observe("--system", "triton") == 0
    assert "vLLM" not in (OUT / "tracing.md").read_text("utf-8")


@pytest.mark.usefixtures("models")
def test_the_response_cache_is_shown_if_a_model_uses_it() -> None:
    config, shown = Path("models/one/config.pbtxt"), list[str]()
    for enabled in (False, True):
        config.write_text(STEP.format("a", "b") + f"response_cache {{ enable: {str(enabled).lower()} }}\n", "utf-8")
        assert observe("--release", "24.10") == 0
        shown = [query for query in queries(boards()["triton"]) if "nv_cache_" in query]
        assert len(shown) == enabled
    hits, _, whole = shown[0].partition(" / ")
    assert hits.startswith("sum by (model) (rate(nv_cache_num_hits_per_model{")
    assert whole == f"({hits} + {hits.replace('hits', 'misses')})"
