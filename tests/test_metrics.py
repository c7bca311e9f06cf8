"""Metrics and statistics of servers: what they mean by name and label, whatever anybody may have written there.

No GPU is here: the lines about GPUs have the names, labels and forms that Triton's core writes (src/metrics.cc and
src/metric_model_reporter.cc; its docs/user_guide/metrics.md).
"""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import yaml

from scripts.update_releases import METRICS, metric_faults
from tests.speaking import Said, plain, speaking
from tests.tabled import tabled
from tritonrepo.diagnostics import Stop
from tritonrepo.server import metrics, statistics
from tritonrepo.server.catalogue import catalogue, series
from tritonrepo.server.client import Client
from tritonrepo.server.endpoint import Endpoint
from tritonrepo.server.metrics import Scrape, parsed, scrape

ONE, TWO = "GPU-3b0c1f0e", "GPU-77aa01c2"
TRITON = f"""# HELP nv_inference_request_success Number of successful inference requests, all batch sizes
# TYPE nv_inference_request_success counter
nv_inference_request_success{{model="embedder",version="1"}} 0
nv_inference_request_success{{gpu_uuid="{ONE}",model="embedder",version="1"}} 30
nv_inference_request_success{{gpu_uuid="{TWO}",model="embedder",version="1"}} 12
nv_inference_request_failure{{model="embedder",reason="BACKEND",version="1"}} 2
nv_inference_request_failure{{model="embedder",reason="CANCELED",version="1"}} 1
nv_gpu_memory_used_bytes{{gpu_uuid="{ONE}"}} 4294967296.000000
nv_gpu_utilization{{gpu_uuid="{ONE}"}} 0.35
nv_cpu_utilization 0.5
nv_inference_first_response_histogram_ms_bucket{{model="embedder",version="1",le="100"}} 3
nv_inference_first_response_histogram_ms_sum{{model="embedder",version="1"}} 90
vllm:time_per_output_token_seconds_sum{{model="llm",version="1"}} 1.5
"""


def seen(text: str) -> Scrape:
    return Scrape("url", parsed(text))


def test_a_metric_is_found_by_what_it_means_whatever_its_name_and_labels_are() -> None:
    here = seen(TRITON)
    assert here.values("requests_succeeded", "model", "version") == {("embedder", "1"): 42}
    assert here.values("requests_succeeded", "gpu") == {("",): 0, (ONE,): 30, (TWO,): 12}
    assert here.values("requests_failed", "reason") == {("BACKEND",): 2, ("CANCELED",): 1}
    assert here.values("gpu_memory_used", "gpu") == {(ONE,): 4 << 30}
    assert here.value("cpu_utilization") == 0.5
    assert here.values("first_response", "model", of="_sum") == {("embedder",): 90}
    assert here.values("token_gap", "model", of="_sum") == {("llm",): 1.5}
    assert (here.values("requests_pending", "model"), here.value("cpu_memory_used")) == (None, None)


def test_the_name_that_replaced_another_counts() -> None:
    both = 'vllm:gpu_cache_usage_perc{model_name="m"} 0.2\nvllm:kv_cache_usage_perc{model_name="m",engine="0"} 0.3\n'
    assert seen(both).values("kv_cache_usage", "model") == {("m",): 0.3}
    assert seen(both.partition("\n")[0]).values("kv_cache_usage", "model") == {("m",): 0.2}
    assert seen('gpu_cache_usage_perc{model_name="m"} 0.4').values("kv_cache_usage", "model") == {("m",): 0.4}


HOSTILE = {
    "quotes, commas and line breaks in a label": (
        r'nv_inference_count{model="a\"b,c=\"d\"\\\n}",version="1"} 3', {('a"b,c="d"\\\n}', "1"): 3.0},
    ),
    "spaces": ('nv_inference_count { model = "m" , version = "1" , }  4 1700000000', {("m", "1"): 4.0}),
    "a carriage return": ('nv_inference_count{model="m",version="1"} 4\r', {("m", "1"): 4.0}),
    "the same series twice": (
        'nv_inference_count{version="1",model="m"} 4\nnv_inference_count{model="m",version="1"} 5', {("m", "1"): 5.0},
    ),
    "a label twice": ('nv_inference_count{model="m",model="n"} 4', {("n", ""): 4.0}),
    "no labels": ("nv_inference_count 7", {("", ""): 7.0}),
    "an exponent": ('nv_inference_count{model="m",version="1"} 1.5e+07', {("m", "1"): 1.5e7}),
    "no number": ('nv_inference_count{model="m"} x\nnv_inference_count{model="m"} 1_0', None),
    "numbers that are none": ('nv_inference_count{model="m"} NaN\nnv_inference_count{model="m"} +Inf', None),
    "no value": ('nv_inference_count{model="m"}\nnv_inference_count', None),
    "labels that do not end": ('nv_inference_count{model="m" 4\nnv_inference_count{model="m', None),
    "another name that begins alike": ('nv_inference_counts{model="m"} 4', None),
    "an HTML page": ("<!doctype html><html><body>nv_inference_count 3</body></html>", None),
    "nothing": ("", None),
}  # fmt: skip


@tabled(("text", "found"), HOSTILE.values(), ids=HOSTILE)
def test_texts_of_any_kind_are_read(text: str, found: dict[tuple[str, ...], float] | None) -> None:
    assert seen(text).values("inferences", "model", "version") == found


def test_too_many_series_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "MOST_SERIES", 2)
    text = "".join(f'nv_inference_count{{model="m{number}"}} 1\n' for number in range(3))
    assert len(parsed(text.rpartition("nv_")[0])["nv_inference_count"]) == 2
    with pytest.raises(Stop, match="there are more than 2 series of metrics"):
        parsed(text)


URLS = {
    "the second port after HTTP's": (Endpoint("http://triton:8500"), "http://triton:8502/metrics"),
    "no port": (Endpoint("triton"), "http://triton:8002/metrics"),
    "an IPv6 address behind a path, with TLS": (Endpoint("https://[::1]:9000/a"), "https://[::1]:9002/metrics"),
    "named without a path": (Endpoint("http://a", metrics="b:9/"), "http://b:9/metrics"),
    "named": (Endpoint("http://a", metrics="https://b/v1/metrics"), "https://b/v1/metrics"),
}


@tabled(("server", "url"), URLS.values(), ids=URLS)
def test_where_the_metrics_are(server: Endpoint, url: str) -> None:
    assert server.metrics_url() == url


REPLIES: dict[str, tuple[Said, str]] = {
    "a page": (Said(b"<html>Grafana</html>"), "has no metrics of a model server: <html>Grafana</html>"),
    "metrics of another program": (Said(b"go_goroutines 9\n"), "has no metrics of a model server: go_goroutines 9"),
    "nothing": (Said(b""), "has no metrics of a model server: nothing"),
    "a compressed text that nobody asked for": (
        Said(b"\x1f\x8b\x08\0\0", head={"Content-Encoding": "gzip"}), "has no metrics of a model server",
    ),
    "another path": (Said(b"no", 404), "the response has HTTP status 404"),
    "too much": (Said(b"x" * 41), "the metrics are larger than 0 MiB"),
}  # fmt: skip


@pytest.mark.parametrize(("said", "message"), REPLIES.values(), ids=REPLIES)
def test_what_has_no_metrics_is_told(said: Said, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "MOST_BYTES", 40)
    with speaking(lambda _: said) as server, pytest.raises(Stop) as stop:
        scrape(Endpoint("http://127.0.0.1:1", 30, metrics=server.url))
    (found,) = stop.value.diagnostics
    assert (found.rule, found.at.path) == ("server-metrics", f"{server.url}/metrics")
    assert message in found.message
    assert "--metrics URL" in found.hint
    assert metrics.reason(stop.value) == f"no metrics at {server.url}/metrics: {found.message}"


def test_a_token_reaches_only_the_host_and_the_protection_it_was_meant_for() -> None:
    with speaking(lambda _: Said(TRITON.encode())) as server:
        for url in ("http://127.0.0.1:1", "https://127.0.0.1:1", "http://elsewhere:1"):
            found = scrape(Endpoint(url, 30, headers={"Authorization": "t"}, metrics=server.url))
            assert found.value("cpu_utilization") == 0.5
    assert ["authorization" in asked.head for asked in server.asked] == [True, False, False]


def stats(requests: int, executions: int, **more: object) -> dict[str, object]:
    """Return the statistics of one version, as Triton 24.10 writes them."""
    spent = {"success": {"count": requests, "ns": requests * 3_000_000}, "queue": {"count": requests, "ns": 500_000}}
    sizes = [{"batch_size": 4, "compute_infer": {"count": executions, "ns": 1}}] if executions else []
    counts = {"inference_count": requests, "execution_count": executions, "batch_stats": sizes}
    return {"name": "m", "version": "1", **counts, "inference_stats": {**spent, **more}}


def test_statistics_between_two_looks() -> None:
    before, after = (statistics.counted(stats(*counts)) for counts in ((4, 4), (12, 6)))
    later = after.since(before)
    assert later is not None
    assert (later.requests, later.failed, later.executions, later.shared, later.batches) == (8, 0, 2, 6, {4: 2})
    assert (later.mean_ms("success"), later.mean_ms("queue"), later.mean_ms("compute_infer")) == (3, 0, None)
    assert before.since(after) is None
    cached = statistics.counted(stats(8, 2, cache_hit={"count": 6, "ns": 1}))
    assert cached.shared == 0


@tabled(
    "answer",
    [
        {},
        [],
        None,
        {"model_stats": [{}]},
        {"model_stats": [3]},
        {"model_stats": [{**stats(1, 1), "execution_count": "x"}]},
    ],
    ids=str,
)
def test_what_is_no_statistics_is_told(answer: object) -> None:
    with speaking(lambda _: plain(answer)) as server, pytest.raises(Stop, match="the response is not statistics"):
        Client(Endpoint(server.url, 30)).statistics()


FAULTS: dict[str, tuple[Callable[[dict[str, dict[str, dict[str, object]]]], object], str]] = {
    "no unit": (lambda found: found["metrics"]["executions"].pop("unit"), "executions: unit is missing"),
    "another kind": (
        lambda found: found["metrics"]["executions"].update(kind="m"), "executions: kind m per model is unknown",
    ),
    "no source": (lambda found: found["exposers"]["nim"].update(source=""), "nim: source is empty"),
    "a bound that is a number": (
        lambda found: found["metrics"]["executions"].update(names=[{"of": "nim", "name": "n", "since": 24.1}]),
        "executions: 24.1 is not a string: put it in quotes",
    ),
    "an exposer that is not listed": (
        lambda found: found["metrics"]["executions"].update(names=[{"of": "tgi", "name": "n"}]),
        "executions: unknown exposer tgi",
    ),
    "one name for two meanings": (
        lambda found: found["metrics"]["executions"].update(names=[{"of": "triton", "name": "nv_inference_count"}]),
        "executions: nv_inference_count already stands for inferences",
    ),
}  # fmt: skip


@tabled(("change", "said"), FAULTS.values(), ids=FAULTS)
def test_a_metric_without_source_or_place_is_refused(
    change: Callable[[dict[str, dict[str, dict[str, object]]]], object], said: str
) -> None:
    found = yaml.safe_load(METRICS.read_text("utf-8"))
    assert not [*metric_faults(found)]
    change(found)
    assert [*metric_faults(found)] == [said]


def test_every_series_has_one_meaning() -> None:
    assert {"nv_inference_count", "nv_inference_first_response_histogram_ms_bucket", "num_request_max"} <= series()
    assert "nv_inference_first_response_histogram_ms" not in series()
    text = json.dumps({meaning: metric._asdict() for meaning, metric in catalogue().items()})
    assert text.count('"vllm_backend"') == 8
