"""What the server says of a load: what it counted between two looks, and what must be known of that.

The metrics are recorded from real servers, or have their names, labels and forms; no GPU is here. The load is a change
of what the server answers.
"""

from __future__ import annotations

import gc
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.speaking import Asked, Said, Speaking, plain, speaking
from tests.tabled import tabled
from tritonrepo.bench import watching
from tritonrepo.bench.result import Observed, Step
from tritonrepo.bench.saved import as_data
from tritonrepo.bench.seen import looked_at
from tritonrepo.bench.target import Protocol, Target
from tritonrepo.bench.watching import Observer, beside
from tritonrepo.server import metrics, sampling
from tritonrepo.server.endpoint import Endpoint

SCRAPES = Path(__file__).parent / "data" / "scrapes"
TRITON, VLLM = ((SCRAPES / name).read_text("utf-8") for name in ("triton-24.10.txt", "vllm-0.32.0.txt"))
ZERO = re.compile(r"(?m)^(\w[^#\n]*[} ]) ?\S+$")


def fresh(text: str) -> str:
    """Return metrics as they are before the first request."""
    return ZERO.sub(r"\1 0", text)


def stats(model: str, requests: int, executions: int, **more: Any) -> dict[str, Any]:  # noqa: ANN401  JSON
    """Return the statistics of a model: 10 ms each, of which 4 ms in the queue, 1, 3 and 2 to compute."""
    parts = {"success": 10, "queue": 4, "compute_input": 1, "compute_infer": 3, "compute_output": 2}
    spent = {part: {"count": requests, "ns": requests * ms * 1_000_000} for part, ms in parts.items()}
    return {
        "name": model,
        "version": more.pop("version", "1"),
        "inference_count": more.pop("rows", requests),
        "execution_count": executions,
        "inference_stats": {**spent, **more},
    }


@dataclass
class Server:
    """A server's answers, which a test changes between two looks."""

    stats: list[dict[str, Any]] = field(default_factory=list)
    configs: Mapping[str, Any] = field(default_factory=dict)
    metrics: str = ""
    about: Mapping[str, Any] = field(default_factory=lambda: {"name": "triton", "version": "2.51.0"})
    other: Mapping[str, Said] = field(default_factory=dict)
    heard: Callable[[Asked], None] = lambda _: None

    def answer(self, asked: Asked) -> Said:
        self.heard(asked)
        path = asked.path
        if path in self.other:
            return self.other[path]
        if path.endswith("/config"):
            config = self.configs.get(path.split("/")[3])
            return plain({"error": "unknown model"}, 400) if config is None else plain(config)
        if path == "/metrics":
            return Said(self.metrics.encode(), 200 if self.metrics else 404)
        return {"/v2": plain(self.about), "/v2/models/stats": plain({"model_stats": self.stats})}.get(
            path, Said(b"", 404)
        )


@contextmanager
def observing(
    server: Server, model: str, protocol: Protocol = Protocol.GENERATE
) -> Iterator[tuple[Speaking, Observer]]:
    with speaking(server.answer) as here:
        endpoint = Endpoint(here.url, 30, 30)
        metrics = f"{here.url}/metrics" if protocol.of_triton else None
        yield here, Observer(Target("target", protocol, endpoint, model), metrics)


def observed(
    server: Server, model: str, change: Callable[[Server], None], protocol: Protocol = Protocol.GENERATE
) -> Observed:
    with observing(server, model, protocol) as (_, observer):
        observer.begin()
        change(server)
        return observer.end()


def becoming(**changes: Any) -> Callable[[Server], None]:  # noqa: ANN401  any field
    def change(server: Server) -> None:
        for name, value in changes.items():
            setattr(server, name, value)

    return change


def steps_of(*models: str) -> dict[str, Any]:
    return {"platform": "ensemble", "ensemble_scheduling": {"step": [{"model_name": model} for model in models]}}


ENSEMBLE = {
    "search": steps_of("inner", "embed"),
    "inner": steps_of("rank", "embed"),
    "embed": {"backend": "onnxruntime"},
    "rank": {"backend": "onnxruntime"},
}


def test_the_time_of_an_ensemble_is_split_by_its_steps() -> None:
    before = [stats("rank", 3, 3), stats("search", 1, 0), stats("embed", 2, 2), stats("inner", 1, 0), stats("x", 7, 7)]
    fail = {"fail": {"count": 2, "ns": 5}}
    after = [stats("embed", 12, 4, rows=22), stats("x", 9, 9), stats("inner", 6, 0), stats("search", 6, 0, **fail)]
    server = Server([*before], ENSEMBLE, fresh(TRITON))
    found = observed(server, "search", becoming(stats=[*after, stats("rank", 13, 8)]))
    times = (4.0, 1.0, 3.0, 2.0)
    assert found.steps == (
        Step("search", "1", 5, 2, *times, None, 10.0),
        Step("inner", "1", 5, 0, *times, None, 10.0, "search"),
        Step("rank", "1", 10, 0, *times, 2.0, 10.0, "inner", executions=5),
        Step("embed", "1", 10, 0, *times, 10.0, 10.0, "inner", executions=2),
    )
    assert (found.server, found.version, found.missing) == ("triton", "2.51.0", ())
    assert "other models were asked meanwhile, and slow this one down: x (2)" in found.notes


def test_what_a_python_model_calls_is_told_by_the_counts() -> None:
    rag = {"backend": "python", "model_transaction_policy": {"decoupled": True}}
    server = Server([stats("rag", 1, 1), stats("embed", 1, 1)], {"rag": rag}, fresh(TRITON))
    found = observed(server, "rag", becoming(stats=[stats("rag", 3, 3), stats("embed", 4, 2), stats("idle", 0, 0)]))
    assert [(step.model, step.within, step.streams, step.requests) for step in found.steps] == [
        ("rag", "", True, 2),
        ("embed", "rag", False, 3),
    ]
    assert found.notes[0] == "counted as called by rag, since configs do not name what a Python model calls: embed (3)"
    assert found.notes[1] == "Triton's time of a decoupled model may end before its answer does: rag"
    assert found.missing == (
        "first_response: start Triton 24.11 or later with `--metrics-config histogram_latencies=true`",
    )


def test_what_the_only_python_step_calls_is_listed_after_it() -> None:
    configs = {"search": steps_of("embed", "rank"), "embed": {"backend": "python"}, "rank": {"backend": "onnxruntime"}}
    before = [stats(model, 1, 1) for model in ("search", "embed", "rank")]
    after = [stats(model, 3, 3) for model in ("search", "embed", "rank", "little")]
    server = Server(before, configs, fresh(TRITON))
    found = observed(server, "search", becoming(stats=[*after, stats("much", 9, 3)]))
    assert [(step.model, step.within) for step in found.steps] == [
        ("search", ""), ("embed", "search"), ("much", "embed"), ("little", "embed"), ("rank", "search"),
    ]  # fmt: skip


def test_where_statistics_are_restricted_metrics_are_read() -> None:
    closed = {"/v2/models/stats": plain({"error": "This API is restricted, expecting header 'x-key'"}, 403)}
    configs = {"search": steps_of("embedder"), "embedder": {"backend": "onnxruntime"}}
    server = Server(configs=configs, metrics=fresh(TRITON), other=closed)
    found = observed(server, "search", becoming(metrics=TRITON))
    assert [(step.model, step.requests, step.within) for step in found.steps] == [
        ("search", 10, ""), ("embedder", 53, "search"),
    ]  # fmt: skip
    assert [step.batch for step in found.steps] == [None, 67 / 13]
    assert found.missing[0].startswith("counts of Triton: the server denies access without credentials: HTTP 403")
    without = re.sub("(?m)^.*_duration_us.*$", "", TRITON)
    off = observed(Server(metrics=without), "search", becoming(metrics=without), Protocol.CHAT)
    assert off.missing == ("times of steps: Triton was started with `--metrics-config counter_latencies=false`",)


LOST: dict[str, tuple[list[dict[str, Any]], str, int]] = {
    "a model that was loaded again": (
        [stats("m", 2, 2)], "m version 1 was loaded again during the run: its counts began again", 0,
    ),
    "a model that was unloaded": ([], "m version 1 is no longer loaded: its counts are lost", 0),
    "a model that nobody asked": ([stats("m", 5, 5)], "the server counted no request to m", 0),
    "a new version": (
        [stats("m", 5, 5), stats("m", 4, 4, version="2")], "", 1,
    ),
}  # fmt: skip


@tabled(("after", "missing", "steps"), LOST.values(), ids=LOST)
def test_counts_that_cannot_be_compared_are_left_out(after: list[dict[str, Any]], missing: str, steps: int) -> None:
    server = Server([stats("m", 5, 5)], {"m": {"backend": "onnxruntime"}}, fresh(TRITON))
    found = observed(server, "m", becoming(stats=after))
    assert (found.missing, len(found.steps)) == ((missing,) if missing else (), steps)


def test_metrics_of_triton_are_enough_for_a_gateway_in_front_of_it() -> None:
    found = observed(Server(metrics=fresh(TRITON)), "search", becoming(metrics=TRITON), Protocol.CHAT)
    first = found.steps[0]
    assert (found.server, first.model, first.requests, first.failed) == ("triton", "search", 10, 0)
    assert (first.whole_ms, first.queue_ms) == (4372.8027, 0.0007)
    assert {step.model for step in found.steps} >= {"embedder", "reranker", "rag"}
    assert (found.counts["requests_succeeded"], found.gauges["requests_pending"]) == (10, 0)


def test_a_vllm_of_its_own_is_recorded() -> None:
    server = Server(metrics=fresh(VLLM), other={"/version": plain({"version": "0.32.0"})})
    found = observed(server, "tiny", becoming(metrics=VLLM), Protocol.CHAT)
    assert (found.server, found.version, found.steps, found.missing) == ("vllm", "0.32.0", (), ())
    assert found.counts == {
        "prompt_tokens": 207,
        "generated_tokens": 146,
        "prefix_cache_queries": 207,
        "prefix_cache_hits": 0,
        "preemptions": 0,
        "answers_finished": 6,
    }
    assert found.gauges == {"requests_running": 0, "requests_waiting": 0, "kv_cache_usage": 0}
    assert found.histograms["token_gap"] == (1.6120418650243664 / 139 * 1000, 69.5 / 103 * 10)
    assert found.histograms["first_token"] == (0.6757001876831055 / 7 * 1000, None)
    assert found.histograms["answer_queue_duration"][1] == 150
    assert (found.bounds["token_gap"], found.bounds["first_token"]) == ((0, 10), (1, None))
    assert "the p50 of token_gap is interpolated in the first bucket, which ends at 10 ms" in found.notes
    assert "the p50 of first_token is over 1 ms, where the last bucket begins" in found.notes
    assert found.histograms.keys() >= {"answer_duration", "prefill_duration", "decode_duration", "answer_token_time"}
    assert "prompt_length" not in found.histograms
    json.dumps(as_data(found), allow_nan=False)


def test_of_engines_behind_one_port_the_whole_counts() -> None:
    def text(first: int, second: int) -> str:
        label = 'model_name="m",engine='
        tokens = (
            f'vllm:generation_tokens_total{{{label}"0"}} {first}\nvllm:generation_tokens_total{{{label}"1"}} {second}\n'
        )
        usage = f'vllm:kv_cache_usage_perc{{{label}"0"}} 0.{first}\nvllm:kv_cache_usage_perc{{{label}"1"}} 0.{second}\n'
        running = f'vllm:num_requests_running{{{label}"0"}} {first}\nvllm:num_requests_running{{{label}"1"}} {second}\n'
        return tokens + usage + running + 'vllm:generation_tokens_total{model_name="other",engine="0"} 9\n'

    found = observed(Server(metrics=text(1, 2)), "m", becoming(metrics=text(5, 3)), Protocol.COMPLETIONS)
    assert found.counts == {"generated_tokens": 5}
    assert found.gauges == {"requests_running": 8, "kv_cache_usage": 0.5}
    assert found.notes[0] == "the figures are those of 2 engines together"
    other = observed(Server(metrics=text(1, 2)), "adapter", becoming(metrics=text(5, 3)), Protocol.COMPLETIONS)
    assert other.counts == {"generated_tokens": 5}
    assert other.notes[1] == 'the metrics do not name "adapter": they are of m, other'


BACKEND = """vllm:prompt_tokens_total{{model="llm",version="1"}} {0}
vllm:generation_tokens_total{{model="llm",version="1"}} {0}
vllm:generation_tokens_total{{model="unasked",version="1"}} 77
vllm:time_to_first_token_seconds_bucket{{model="llm",version="1",le="0.1"}} 0
vllm:time_to_first_token_seconds_bucket{{model="llm",version="1",le="0.25"}} {0}
vllm:time_to_first_token_seconds_bucket{{model="llm",version="1",le="+Inf"}} {0}
vllm:time_to_first_token_seconds_sum{{model="llm",version="1"}} {0}
vllm:time_to_first_token_seconds_count{{model="llm",version="1"}} {0}
vllm:request_queue_time_seconds_bucket{{model="llm",version="1",le="0.3"}} 0
vllm:request_queue_time_seconds_sum{{model="llm",version="1"}} {0}
vllm:request_queue_time_seconds_count{{model="llm",version="1"}} {0}
nv_inference_request_failure{{model="llm",version="1",reason="CANCELED"}} {0}
nv_inference_request_failure{{model="llm",version="1",reason="BACKEND"}} 0
nv_inference_first_response_histogram_ms_bucket{{model="llm",version="1",le="100"}} 0
nv_inference_first_response_histogram_ms_bucket{{model="llm",version="1",le="500"}} {0}
nv_inference_first_response_histogram_ms_bucket{{model="llm",version="1",le="+Inf"}} {0}
nv_inference_first_response_histogram_ms_sum{{model="llm",version="1"}} {0}
nv_inference_first_response_histogram_ms_count{{model="llm",version="1"}} {0}
nv_cache_num_hits_per_model{{model="llm",version="1"}} {0}
nv_cache_num_misses_per_model{{model="llm",version="1"}} 0
nv_energy_consumption{{gpu_uuid="GPU-1"}} {0}
nv_gpu_utilization{{gpu_uuid="GPU-1"}} 0.5
"""
CHAIN = {
    "rag": steps_of("llm"),
    "llm": {"backend": "vllm", "model_transaction_policy": {"decoupled": True}},
}


def asked(number: int) -> list[dict[str, Any]]:
    return [stats("rag", number, 0), stats("llm", number, number)]


def test_the_engine_within_triton_is_part_of_the_pipeline() -> None:
    server = Server(asked(1), CHAIN, BACKEND.format(1))
    found = observed(server, "rag", becoming(stats=asked(5), metrics=BACKEND.format(5)))
    assert found.counts == {"prompt_tokens": 4, "generated_tokens": 4, "cache_hits": 4, "cache_misses": 0}
    assert found.histograms == {
        "first_response": (1.0, 300.0), "first_token": (1000.0, 175.0), "answer_queue_duration": (1000.0, None),
    }  # fmt: skip
    assert found.bounds["first_token"] == (100.0, 250.0)
    assert found.gpus == {"GPU-1": {"gpu_utilization": 0.5, "gpu_energy": 4}}
    assert found.missing == ()
    assert set(found.notes) >= {
        "first_response is the one of llm",
        "requests to llm that failed, by reason: CANCELED 4",
        "no look at the metrics was made during the run: the largest values are those before and after it",
    }
    both = BACKEND + "\n".join(line.replace("llm", "rag") for line in BACKEND.split("\n") if "first_response" in line)
    both = both.replace('ms_sum{{model="rag",version="1"}} {0}', 'ms_sum{{model="rag",version="1"}} {0}0')
    own = observed(Server(asked(1), CHAIN, both.format(1)), "rag", becoming(stats=asked(5), metrics=both.format(5)))
    assert own.histograms["first_response"] == (10.0, 300.0)
    assert "first_response is the one of llm" not in own.notes
    silent = observed(
        Server(asked(1), CHAIN, fresh(TRITON)), "rag", becoming(stats=asked(5), metrics=fresh(TRITON))
    ).missing
    assert silent[0] == "tokens and times of llm: its config needs the parameter REPORT_CUSTOM_METRICS"


def test_names_of_nim_and_where_it_has_them() -> None:
    def text(number: int) -> Said:
        usage = 'gpu_cache_usage_perc{model_name="m"} 0.25'
        return Said(f'generation_tokens_total{{model_name="m"}} {number}\n{usage}\n'.encode())

    nim = Server(other={"/v1/metrics": text(1), "/v1/version": plain({"release": "1.14.0"})})
    vllm = Server(metrics='vllm:generation_tokens_total{model_name="m"} 1', other={"/version": plain({"version": "1"})})
    with speaking(vllm.answer) as here:
        for url, path in (("/v1/", ""), ("", "/v1/chat/completions")):
            observer = Observer(Target("t", Protocol.CHAT, Endpoint(here.url + url, 30), "m", path), None)
            observer.begin()
            found = observer.end()
            assert (found.counts, found.version) == ({"generated_tokens": 0}, "1")
    behind = Server(other={"/a/metrics": Said(vllm.metrics.encode()), "/a/version": plain({"version": "2"})})
    with speaking(behind.answer) as here:
        at = Endpoint(here.url, 30)
        observer = Observer(Target("t", Protocol.CHAT, at, "m", "/a/v1/chat/completions?b=/v1/"), None)
        observer.begin()
        found = observer.end()
        assert (found.counts, found.version) == ({"generated_tokens": 0}, "2")
    with speaking(nim.answer) as here:
        observer = Observer(Target("t", Protocol.CHAT, Endpoint(f"{here.url}/v1", 30), "m", "/chat/completions"), None)
        observer.begin()
        nim.other = {**nim.other, "/v1/metrics": text(8)}
        found = observer.end()
    assert (found.server, found.version, found.counts) == ("nim", "1.14.0", {"generated_tokens": 7})
    assert found.gauges == {"kv_cache_usage": 0.25}


def test_counters_that_went_back_are_not_believed() -> None:
    why = "the server or a model was started again during the run, or several servers respond at this address"
    found = observed(Server(metrics=VLLM), "tiny", becoming(metrics=fresh(VLLM)), Protocol.CHAT)
    assert found.missing[0].startswith("prompt_tokens, generated_tokens, prefix_cache_queries, answers_finished and ")
    assert found.missing[0].endswith(f": counters went back: {why}")
    assert (found.counts, found.histograms) == ({}, {})
    gone = observed(
        Server(metrics=VLLM), "tiny", becoming(metrics='vllm:num_requests_running{model_name="tiny"} 1'), Protocol.CHAT
    )
    assert "the metrics had them before the run, and not after it" in gone.missing[0]
    assert (gone.counts, gone.gauges["requests_running"]) == ({}, 1)


def test_gauges_are_looked_at_beside_the_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "EVERY_S", 0.01)
    monkeypatch.setattr(sampling, "SHARE", 0)
    looked, count = threading.Event(), iter(range(1, 10**6))
    waiting = {3: 9, 4: 2}

    def text(number: int) -> str:
        tokens = {2: 1, 5: 3}.get(number, number)  # started again, and soon larger than before
        return f"""vllm:num_requests_waiting{{model_name="m"}} {waiting.get(number, 0)}
vllm:generation_tokens_total{{model_name="m"}} {tokens}
nv_gpu_power_usage{{gpu_uuid="GPU-1"}} {100 if number < 4 else 300}
"""

    def hear(asked: Asked) -> None:
        if asked.path == "/metrics":
            number = next(count)
            server.metrics = "<html>" if number == 6 else text(number)
            if number > 7:
                looked.set()

    server = Server(heard=hear)
    with observing(server, "m", Protocol.CHAT) as (_, observer):
        observer.begin()
        assert looked.wait(60)
        found = observer.end()
    assert found.gauges["requests_waiting"] == 9
    assert 100 < found.gpus["GPU-1"]["gpu_power_usage"] < 300
    assert found.counts == {}
    assert found.missing[0].startswith("tokens and times of the engine: a counter went back between two looks")


def test_a_server_that_fell_silent_between_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "EVERY_S", 0.01)
    again = threading.Event()
    server = Server(metrics=VLLM)
    with observing(server, "tiny", Protocol.CHAT) as (here, observer):
        observer.begin()

        def hear(_: Asked) -> None:
            if sum(one.path == "/metrics" for one in here.asked) > 3:
                again.set()

        server.heard, server.other = hear, {"/metrics": Said(b"", 503)}
        assert again.wait(60)
        server.other = {}
        found = observer.end()
    assert any(
        re.match("the metrics could not be read at .* looks during the run: .* HTTP status 503", note)
        for note in found.notes
    )


def test_a_look_that_takes_long_comes_less_often() -> None:
    assert (sampling.pause(0.001), sampling.pause(0.05), sampling.pause(1.01)) == (1, 1, 20.2)
    sampler = sampling.Sampler(metrics.reader(Endpoint("http://127.0.0.1:9")), [], lambda _: None)
    sampler.looks, sampler.longest_s = 1, 20.2
    assert [*looked_at(sampler)] == ["the largest values are of looks up to 20.2 s apart, because a look takes long"]


def test_a_server_that_hangs_is_left_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "ANSWER_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # which connects, and never answers
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        observer = Observer(Target("t", Protocol.GENERATE, Endpoint(url, 30), "m"), url)
        observer.begin()
        found = observer.end()
    assert "counts of Triton: the response was not complete within 0.1 s" in found.missing


def test_the_looks_end_with_their_observer() -> None:
    def looking() -> list[str]:
        return [thread.name for thread in threading.enumerate() if thread.name == "metrics"]

    with speaking(Server(metrics=VLLM).answer) as here:
        observer = Observer(Target("t", Protocol.CHAT, Endpoint(here.url, 30), "tiny"), None)
        observer.begin()
        assert looking()
        del observer
        gc.collect()
        assert not looking()


HOSTILE: dict[str, Said] = {
    "a page": Said(b"<html></html>"),
    "nothing": Said(b""),
    "an error": plain({"error": "no\x1b[31m\nno"}, 500),
    "no end": Said(b'{"model_stats": [{"name": "m", "version": 1, "inference_stats": {}, "execution_count": 1e999}]}'),
    "NaN": Said(b'{"model_stats": [{"name": "m", "version": "1", "inference_stats": {"queue": {"ns": NaN}}}]}'),
    "lists for objects": Said(b'{"model_stats": [{"name": [], "version": {}, "inference_stats": []}]}'),
    "a list": Said(b"[]"),
    "deep": Said(b"[" * 100_000),
    "negative": plain({"model_stats": [stats("m", -5, -3)]}),
    "huge": plain({"model_stats": [stats("m", 10**40, 1)]}),
    "cut off": Said(b'{"model_stats": [', head={"Content-Length": "500"}),
    "elsewhere": Said(status=302, head={"Location": "http://127.0.0.1:9/"}),
    "metrics": Said(b'nv_inference_count{model="m"} 1e308\nvllm:prompt_tokens_total{model_name="m"} 1e308\n'),
    "buckets of any kind": Said(
        b'vllm:time_to_first_token_seconds_bucket{le="x"} 5\nvllm:time_to_first_token_seconds_bucket{le="-1"} 3\n'
        b"vllm:time_to_first_token_seconds_bucket 7\nvllm:time_to_first_token_seconds_count 2\n"
        b"vllm:time_to_first_token_seconds_sum -4\n"
    ),
}  # fmt: skip


@tabled("said", HOSTILE.values(), ids=HOSTILE)
def test_nothing_that_a_server_says_ends_a_load(said: Said) -> None:
    for protocol in (Protocol.GENERATE, Protocol.CHAT):
        for first, then in ((said, said), (None, said), (said, None)):
            paths = ["/v2", "/v2/models/stats", "/v2/models/m/config", "/metrics", "/version"]
            server = Server([stats("m", 5, 5)], {"m": {"backend": "python"}}, VLLM)
            server.other = dict.fromkeys(paths, first) if first else {}
            found = observed(server, "m", becoming(other=dict.fromkeys(paths, then) if then else {}), protocol)
            assert all(line.isprintable() for line in (*found.missing, *found.notes))
            json.dumps(as_data(found), allow_nan=False)


def test_a_server_that_is_not_there_and_one_that_goes_away() -> None:
    nobody = Observer(Target("t", Protocol.GENERATE, Endpoint("http://127.0.0.1:9", 30), "m"), None)
    nobody.begin()
    found = nobody.end()
    assert len(found.missing) == 3
    assert found.missing[1].endswith("; `--metrics URL` says where they are")
    assert Observer(Target("t", Protocol.GRPC, Endpoint("http://127.0.0.1:9", 30), "m"), "none").end() == Observed()
    server = Server([stats("m", 5, 5)], {}, fresh(TRITON))
    with observing(server, "m") as (here, observer):
        observer.begin()
        here.stop()
        gone = observer.end()
    assert (gone.version, gone.steps, len(gone.missing)) == ("2.51.0", (), 2)


CONFIGS: dict[str, dict[str, Any]] = {
    "a circle": {"m": steps_of("n"), "n": steps_of("m")},
    "itself": {"m": steps_of("m")},
    "no names": {"m": {"platform": "ensemble", "ensemble_scheduling": {"step": [{}, 3]}}},
    "no steps": {"m": {"ensemble_scheduling": []}},
    "no config": {},
    "without an end": {f"m{'m' * number}": steps_of(f"mm{'m' * number}") for number in range(400)},
}


@tabled("configs", CONFIGS.values(), ids=CONFIGS)
def test_configs_of_any_kind_leave_the_model_itself(configs: dict[str, Any]) -> None:
    found = observed(Server([stats("m", 5, 5)], configs, TRITON), "m", becoming(stats=[stats("m", 6, 6)]))
    assert [(step.model, step.requests) for step in found.steps] == [("m", 1)]


def test_a_token_stays_with_the_server_it_is_for() -> None:
    secret = {"Authorization": "Bearer secret"}
    with speaking(Server([stats("m", 1, 1)]).answer) as ours, speaking(Server(metrics=TRITON).answer) as theirs:
        there = theirs.url.replace("127.0.0.1", "localhost")
        observer = Observer(
            Target("t", Protocol.GENERATE, Endpoint(ours.url, 30, headers=secret), "m"), f"{there}/metrics"
        )
        observer.begin()
        observer.end()
    assert {one.head.get("authorization") for one in ours.asked} == {"Bearer secret"}
    assert {one.head.get("authorization") for one in theirs.asked} == {None}
    repeating = Server(other={"/v2/models/stats": plain({"error": "I know secret and Bearer secret"}, 400)})
    with speaking(repeating.answer) as ours:
        asking = Endpoint(ours.url, 30, headers=secret, variables={"Authorization": "Bearer $TOKEN"})
        observer = Observer(Target("t", Protocol.GENERATE, asking, "m"), "none")
        observer.begin()
        found = observer.end()
    assert not any("secret" in line for line in found.missing)


def test_counts_that_are_written_late_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "PAUSE_S", 0.001)
    looks = iter([0, 1, 1, 3, 5, 8, 8, *[99] * 50])
    server = Server(configs={"m": {"backend": "onnxruntime"}})

    def hear(asked: Asked) -> None:
        if asked.path == "/v2/models/stats":
            server.stats = [stats("m", next(looks), 1)]

    server.heard = hear
    with observing(server, "m") as (_, observer):
        observer.begin()
        found = observer.end()
    assert [step.requests for step in found.steps] == [7]


STEP = Step("m", "1", 8, 2, 0, 0, 0, 0, None)
BESIDE: dict[str, tuple[Observed, str]] = {
    "as many": (Observed(steps=(STEP,)), ""),
    "more": (
        Observed(steps=(STEP, STEP._replace(version="2", requests=3))),
        "m had 15 requests, 5 more than this client sent: others ask it too",
    ),
    "fewer": (
        Observed(steps=(STEP._replace(requests=1), STEP._replace(model="n"))),
        "m had 3 of the 10 requests that were sent: the others failed before, or went elsewhere",
    ),
    "an engine": (
        Observed(counts={"answers_finished": 12.0}),
        "the engine had 12 requests, 2 more than this client sent: others ask it too",
    ),
    "nothing": (Observed(), ""),
}  # fmt: skip


@tabled(("found", "note"), BESIDE.values(), ids=BESIDE)
def test_requests_of_others_are_told(found: Observed, note: str) -> None:
    assert beside(found, 10).notes == ((note,) if note else ())
