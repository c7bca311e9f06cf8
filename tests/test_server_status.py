"""`status` of a server: what it serves and how it fares, once and again, whatever it says.

No GPU is here: the metrics of GPUs have the names, labels and forms that Triton's core writes (src/metrics.cc).
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.speaking import Asked, Said, Speaking, plain, speaking
from tests.test_json import checked
from tests.test_metrics import ONE, TWO, stats
from tritonrepo.cli import run
from tritonrepo.cli.output import Guarded
from tritonrepo.diagnostics import Stop
from tritonrepo.flows import server_status as flow
from tritonrepo.flows.server_status import server_status, server_watch
from tritonrepo.server.endpoint import Endpoint
from tritonrepo.server.standing import ServerStatus

Capture = pytest.CaptureFixture[str]
GPU = f"""nv_gpu_utilization{{gpu_uuid="{ONE}"}} 0.35
nv_gpu_memory_used_bytes{{gpu_uuid="{ONE}"}} 4294967296
nv_gpu_memory_total_bytes{{gpu_uuid="{ONE}"}} 85899345920
nv_gpu_power_usage{{gpu_uuid="{ONE}"}} 120.4
nv_inference_exec_count{{gpu_uuid="{ONE}",model="m",version="1"}} 5
nv_inference_exec_count{{gpu_uuid="{TWO}",model="m",version="1"}} 1
nv_inference_pending_request_count{{model="m",version="1"}} 3
nv_inference_request_failure{{model="m",reason="BACKEND",version="1"}} 2
nv_inference_request_failure{{model="m",reason="CANCELED",version="1"}} 1
nv_cpu_memory_used_bytes 1073741824
nv_cpu_memory_total_bytes 2147483648
nv_cpu_utilization 0.25
"""
READY = {"name": "m", "version": "1", "state": "READY"}
GROUPS = [
    {"kind": "KIND_GPU", "count": 2, "gpus": [0, 1]},
    {"kind": "KIND_CPU", "count": 1},
    {"kind": "KIND_MODEL", "count": 1, "gpus": []},
]

CONFIG = plain({"name": "m", "backend": "python", "instance_group": GROUPS})


@dataclass
class Served:
    """A server's answers, which a test may change."""

    index: Sequence[Mapping[str, str]] = (READY,)
    stats: Sequence[Mapping[str, Any]] = field(default_factory=lambda: [stats(12, 4)])
    metrics: str = ""
    ready: bool = True
    about: object = field(default_factory=lambda: {"name": "triton", "version": "2.51.0", "extensions": ["statistics"]})
    config: Said = CONFIG
    closed: frozenset[str] = frozenset()

    def becomes(self, **changes: object) -> None:
        for name, value in changes.items():
            setattr(self, name, value)

    def answer(self, asked: Asked) -> Said:
        if asked.path in self.closed:
            return plain({"error": "This API is restricted, expecting header 'x-key'"}, 403)
        if asked.path.endswith("/config"):
            return self.config
        return {
            "/v2": plain(self.about),
            "/v2/health/live": Said(),
            "/v2/health/ready": Said(status=200 if self.ready else 400),
            "/v2/repository/index": plain(list(self.index)),
            "/v2/models/stats": plain({"model_stats": list(self.stats)}),
            "/metrics": Said(self.metrics.encode(), 200 if self.metrics else 404),
        }[asked.path]


@contextmanager
def serving(served: Served) -> Iterator[Speaking]:
    with speaking(served.answer) as server:
        yield server


def of(server: Speaking, served: Served) -> Endpoint:
    return Endpoint(server.url, 30, 30, metrics=f"{server.url}/metrics" if served.metrics else "none")


def seen(served: Served) -> ServerStatus:
    with serving(served) as server:
        return server_status(of(server, served))


def told(served: Served) -> list[tuple[str, str, str]]:
    return [(found.rule, found.severity, found.message) for found in seen(served).found]


def test_a_server_with_gpus_is_shown(capsys: Capture) -> None:
    served = Served(metrics=GPU)
    with serving(served) as server:
        assert run(["status", server.url, "--metrics", f"{server.url}/metrics", "-v"]) == 0
        shown = re.sub(" +", " ", capsys.readouterr().out.replace(server.url, "URL")).splitlines()
        assert run(["status", server.url, "--metrics", server.url, "--format", "json"]) == 0
    assert shown == [
        "URL: triton 2.51.0 (release 24.10), ready, 1 model",
        "extensions: statistics",
        "",
        "model version state backend instances requests failed ms queue input infer output executions batches pending",
        "m 1 ready python 2 GPU 0, 1, 1 CPU, 1 MODEL 12 0 3.0 0.0 - - - 4 4 3",
        "",
        "GPU used of busy watts executions",
        f"{ONE} 4.0 GiB 80.0 GiB 35% 120 5",
        f"{TWO} 1",
        "",
        "memory of the machine: 1.0 GiB of 2.0 GiB used, CPUs 25% busy",
    ]
    document = checked("status-server", capsys.readouterr().out)
    (model,) = document["models"]
    assert (model["pending"], model["failures_by_reason"]) == (3, {"BACKEND": 2, "CANCELED": 1})
    assert (model["since_load"]["requests"], model["since_load"]["batches"], model["since_last"]) == (
        12,
        {"4": 4},
        None,
    )
    assert model["instance_groups"][0] == {"kind": "KIND_GPU", "instances": 2, "gpus": [0, 1]}
    assert [gpu["executions"] for gpu in document["gpus"]] == [5, 1]
    assert (document["server"]["releases"], document["machine"]["utilization"]) == (["24.10"], 0.25)


def test_without_metrics_it_is_said_what_is_not_shown(capsys: Capture) -> None:
    with serving(Served()) as server:
        assert run(["status", server.url]) == 0  # the second port after this one is another's, or nobody's
        assert run(["status", server.url, "--metrics", "none"]) == 0
        last = capsys.readouterr().out.splitlines()[-1]
        assert run(["status", server.url, "--metrics", f"{server.url}/metrics"]) == 2
    assert last == "not shown: GPUs, memory, pending requests and reasons of failures: metrics were not asked for"
    assert "the response has HTTP status 404 [server-metrics]" in capsys.readouterr().err


FAIL = {"fail": {"count": 3, "ns": 9}}
STATES: dict[str, tuple[Served, list[tuple[str, str, str]]]] = {
    "all is well": (Served(), []),
    "a version that was refused": (
        Served(index=[READY, {"name": "n", "version": "2", "state": "UNAVAILABLE", "reason": "no file"}], ready=False),
        [("server-model-unavailable", "error", "n version 2 is UNAVAILABLE: no file")],
    ),
    "a version that is loading": (
        Served(index=[{**READY, "state": "LOADING"}], stats=[], ready=False),
        [("server-model-unavailable", "warning", "m version 1 is LOADING")],
    ),
    "versions that nobody asked for": (
        Served(index=[{"name": "n"}, {**READY, "state": "UNAVAILABLE", "reason": "unloaded"}], stats=[]), [],
    ),
    "not ready, and nothing says why": (
        Served(ready=False), [("server-not-ready", "error", "the server reports that it is not ready")],
    ),
    "a process that has died": (
        Served(stats=[stats(0, 0, **FAIL)], metrics=GPU),
        [("status-failures", "error", "m version 1: all requests failed since it was loaded (BACKEND: 2)")],
    ),
    "some that failed": (
        Served(stats=[stats(9, 9, **FAIL)]),
        [("status-failures", "warning", "m version 1: 3 of 12 requests failed since it was loaded")],
    ),
    "what clients canceled": (
        Served(stats=[stats(9, 9, **FAIL)],
               metrics='nv_inference_request_failure{model="m",reason="CANCELED",version="1"} 3'), [],
    ),
    "a model that is gone before its config is read": (
        Served(config=plain({"error": "not found"}, 404), stats=[]), [],
    ),
    "a config of words": (Served(config=plain({"instance_group": "x"})), []),
    "quotes and commas in names": (
        Served(index=[{"name": 'a",b\n', "version": "1", "state": "UNAVAILABLE", "reason": "x\n::error::y"}]),
        [("server-model-unavailable", "error", 'a",b\n version 1 is UNAVAILABLE: x\n::error::y')],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("served", "found"), STATES.values(), ids=STATES)
def test_what_is_wrong_is_told(served: Served, found: list[tuple[str, str, str]], capsys: Capture) -> None:
    assert told(served) == found
    with serving(served) as server:
        code = run(["status", server.url, "--metrics", of(server, served).metrics or "none"])
    assert code == int(any(severity == "error" for _, severity, _ in found))
    assert not [line for line in capsys.readouterr().out.splitlines() if line.startswith("::")]


INDEX, STATISTICS = "/v2/repository/index", "/v2/models/stats"


@pytest.mark.parametrize(
    ("closed", "what", "requests"),
    [(INDEX, "models that are not loaded", 12), (STATISTICS, "counts and times", None)],
    ids=["the index", "the statistics"],
)
def test_what_a_server_restricts_is_told_and_the_rest_is_shown(
    closed: str, what: str, requests: int | None, capsys: Capture
) -> None:
    with serving(Served(closed=frozenset([closed]))) as server:
        assert run(["status", server.url, "--metrics", "none", "--format", "json"]) == 0
        document = checked("status-server", capsys.readouterr().out)
        assert run(["status", server.url, "--metrics", "none"]) == 0
    (said,) = document["closed"]
    assert said.startswith(f"{what}: the server denies access without credentials: HTTP 403: ")
    assert f"not shown: {what}: " in capsys.readouterr().out
    (model,) = document["models"]
    assert (model["name"], model["state"], model["backend"]) == ("m", "READY", "python")
    assert (model["since_load"] and model["since_load"]["requests"]) == requests


def test_a_server_that_restricts_everything_ends_with_code_2(capsys: Capture) -> None:
    with serving(Served(closed=frozenset([INDEX, STATISTICS]))) as server:
        assert run(["status", server.url, "--metrics", "none"]) == 2
    assert "[server-denied]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("about", "shown"),
    [
        ({}, "a server, ready"),
        ({"name": "other", "version": "9"}, "other 9, ready"),
        ({"name": 1, "version": None, "extensions": "x"}, "1 None, ready"),
    ],
    ids=["nothing", "another server", "words of other kinds"],
)
def test_a_server_may_say_anything_of_itself(about: object, shown: str, capsys: Capture) -> None:
    with serving(Served(about=about)) as server:
        assert run(["status", server.url, "--metrics", "none", "-v"]) == 0
    assert capsys.readouterr().out.startswith(f"{server.url}: {shown}")


ENDED = {
    "no server": (lambda url: [url.rpartition(":")[0] + ":1"], "server-unreachable"),
    "no URL": (lambda _: ["http://a b"], "server-url"),
    "metrics of another form": (lambda url: [url, "--metrics", "ftp://x"], "server-url"),
    "a bucket's option": (lambda url: [url, "--all"], "--all is for a bucket, not a server"),
    "a server's option": (lambda _: ["s3://models/prod", "--watch"], "--watch is for a server, by its URL"),
    "a header for a bucket": (lambda _: ["s3://models/prod", "--header", "a: b"], "--header is for a server"),
    "TLS for none": (lambda url: [url, "--ca", __file__], "--ca is for TLS"),
    "no pause": (lambda url: [url, "--watch", "0"], "is not in the range x>0"),
}


@pytest.mark.parametrize(("arguments", "why"), ENDED.values(), ids=ENDED)
def test_what_cannot_be_looked_at_ends_with_code_2(
    arguments: Callable[[str], list[str]], why: str, capsys: Capture
) -> None:
    with serving(Served()) as server:
        assert run(["status", *arguments(server.url)]) == 2
    assert why in capsys.readouterr().err


def test_a_server_of_another_kind_ends_with_code_2_and_its_document(capsys: Capture) -> None:
    with speaking(lambda _: Said(b"<html>")) as server:
        assert run(["status", server.url, "--format", "json"]) == 2
    document = checked("status-server", capsys.readouterr().out)
    assert [found["rule"] for found in document["diagnostics"]] == ["server-answer"]
    assert (document["server"], document["models"]) == (None, [])


def test_a_server_that_says_nothing_is_late(capsys: Capture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert run(["status", url, "--timeout", "0.05"]) == 2
    assert "the response was not complete within 0.05 s [server-late]" in capsys.readouterr().err


def test_a_token_is_sent_and_never_shown(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setenv("TRITON_TOKEN", "hush-hush-1")
    refused = {**READY, "state": "UNAVAILABLE", "reason": "Bearer hush-hush-1 is no file"}
    served = Served(index=[refused], about={"name": "hush-hush-1"}, metrics="hush-hush-1")
    with serving(served) as server:
        at = ["status", server.url, "--token-env", "TRITON_TOKEN", "--metrics"]
        assert [run([*at, "none"]), run([*at, server.url]), run([*at, "none", "--format", "json"])] == [1, 2, 1]
    said = capsys.readouterr()
    assert "hush" not in said.out + said.err
    assert "m version 1 is UNAVAILABLE: Bearer $TRITON_TOKEN is no file" in said.out
    assert {asked.head["authorization"] for asked in server.asked} == {"Bearer hush-hush-1"}


def test_the_port_of_the_metrics_is_recognized(capsys: Capture) -> None:
    with speaking(lambda asked: Said(GPU.encode(), 200 if asked.path == "/metrics" else 404)) as server:
        assert run(["status", server.url]) == 2
    assert "fatal: this is the metrics port of a Triton server [server-answer]" in capsys.readouterr().err


class Clock:
    """Time that passes by what is slept, and what happens meanwhile."""

    def __init__(self, *events: Callable[[], object]) -> None:
        self.now, self.events = 100.0, [*events]

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.events.pop(0)()


def patched(monkeypatch: pytest.MonkeyPatch, *events: Callable[[], object]) -> None:
    clock = Clock(*events)
    monkeypatch.setattr("tritonrepo.server.look.time.monotonic", clock.monotonic)
    monkeypatch.setattr(flow, "time", clock)


def stop() -> None:
    raise KeyboardInterrupt


def test_a_watch_tells_what_happened_in_between(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    served = Served()
    two = {**READY, "version": "2", "state": "LOADING"}
    patched(
        monkeypatch,
        lambda: None,
        lambda: served.becomes(stats=[stats(32, 9)], index=[READY, two]),
        lambda: served.becomes(stats=[stats(32, 9, fail={"count": 5, "ns": 1})]),
        lambda: served.becomes(stats=[stats(2, 2)], index=[{**READY, "state": "UNLOADING"}]),
        stop,
    )
    with serving(served) as server:
        assert run(["status", server.url, "--metrics", "none", "--watch", "10"]) == 130
    said = capsys.readouterr()
    assert said.err == "interrupted\n"
    lines = [re.sub("^[0-9:]{8}", "TIME", line) for line in said.out.replace(server.url, "URL").splitlines()]
    assert lines[lines.index("TIME no requests") :] == [
        "TIME no requests",
        "TIME m 1: 2.0 requests and 0 failed a second, 3.0 ms (queue 0.0, input -, infer -, output -), batches 4",
        "TIME m 2: loading",
        "TIME URL: warning: m version 2 is LOADING [server-model-unavailable]",
        "TIME   Wait until it is loaded.",
        "TIME m 1: 0 requests and 0.5 failed a second, - ms (queue -, input -, infer -, output -)",
        "TIME URL: error: m version 1: all requests failed since the last look [status-failures]",
        "TIME   Run `tritonrepo smoke URL --only m`, which shows what the model responds.",
        "TIME m 1: unloading, was ready",
        "TIME m 2: no longer in the index",
    ]


def vllm(prompt: int, answer: int, first_s: float, gaps: int) -> str:
    """Return the metrics of Triton's vLLM backend: vllm_backend, src/utils/metrics.py of 25.01 and later."""
    label = '{model="m",version="1"}'
    values: dict[str, float] = {"prompt_tokens_total": prompt, "generation_tokens_total": answer}
    for name, total, count in (("time_to_first_token", first_s, 2), ("time_per_output_token", gaps * 0.01, gaps)):
        values |= {f"{name}_seconds_sum": total, f"{name}_seconds_count": count}
    return "".join(f"vllm:{name}{label} {value}\n" for name, value in values.items())


def test_tokens_of_a_language_model_are_shown(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    served = Served(metrics=vllm(100, 40, 0.5, 38))
    patched(
        monkeypatch,
        lambda: served.becomes(stats=[stats(14, 5)], metrics=vllm(300, 140, 0.5, 138)),
        lambda: served.becomes(stats=[stats(15, 6)], metrics=vllm(10, 4, 0.1, 0)),
        stop,
    )
    with serving(served) as server:
        at = ["status", server.url, "--metrics", server.url]
        assert run([*at, "--watch", "10"]) == 130
        lines = capsys.readouterr().out.splitlines()
        assert run([*at, "--format", "json"]) == 0
    spoken = [re.sub(".*(?:; |m 1: )(?=[0-9,.]+ tokens)", "", line) for line in lines if " tokens of prompts" in line]
    assert spoken == [
        "100 tokens of prompts and 40 of answers, the first after 250.0 ms, 10.0 ms between two",
        "20.0 tokens of prompts and 10.0 of answers a second, 10.0 ms between two",
        "1.0 tokens of prompts and 0.4 of answers a second, the first after 50.0 ms",
    ]
    (model,) = checked("status-server", capsys.readouterr().out)["models"]
    assert model["tokens"] == {"prompt": 10, "answer": 4, "first_ms": 50, "gap_ms": None}


def test_a_watch_leaves_out_what_was_canceled_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    reasons = 'nv_inference_request_failure{{model="m",reason="CANCELED",version="1"}} {}\n'
    reasons += 'nv_inference_request_failure{{model="m",reason="OTHER",version="1"}} {}\n'
    served = Served(stats=[stats(9, 9, fail={"count": 4, "ns": 1})], metrics=reasons.format(3, 1))
    now = {"stats": [stats(12, 12, fail={"count": 6, "ns": 1})], "metrics": reasons.format(4, 2)}
    patched(monkeypatch, lambda: served.becomes(**now), lambda: None)
    with serving(served) as server:
        looks = server_watch(of(server, served), 1)
        messages = [[found.message for found in next(looks).found] for _ in range(3)]
    assert messages == [
        ["m version 1: 1 of 13 requests failed since it was loaded (OTHER: 1)"],
        ["m version 1: 1 of 5 requests failed since the last look (OTHER: 1)"],
        [],
    ]


def test_a_watch_ends_with_code_1_when_the_server_is_gone(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    served = Served()
    patched(monkeypatch, lambda: served.becomes(about=[]))
    with serving(served) as server:
        assert run(["status", server.url, "--metrics", "none", "--format", "json", "--watch"]) == 1
    first, last = [checked("status-server", line) for line in capsys.readouterr().out.splitlines()]
    assert (first["diagnostics"], len(first["models"]), last["models"]) == ([], 1, [])
    assert [found["severity"] for found in last["diagnostics"]] == ["error"]


def test_a_watch_keeps_configs_and_says_when_counts_went_back(monkeypatch: pytest.MonkeyPatch) -> None:
    served = Served()
    patched(monkeypatch, lambda: None, lambda: served.becomes(stats=[stats(1, 1)]))
    with serving(served) as server:
        looks = server_watch(of(server, served), 1)
        statuses = [next(looks) for _ in range(3)]
    assert [status.seconds for status in statuses] == [0, 1, 1]
    assert [status.models[0].later and status.models[0].later.requests for status in statuses] == [None, 0, None]
    assert len([asked for asked in server.asked if asked.path.endswith("/config")]) == 1


def test_a_terminal_is_drawn_anew(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    patched(monkeypatch, lambda: None, stop)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with serving(Served()) as server:
        assert run(["status", server.url, "--metrics", "none", "--watch"]) == 130
    _, first, second = capsys.readouterr().out.split("\x1b[H\x1b[2J")
    assert "a second, over the last" not in first
    assert "a second, over the last 2.0 s; times are means of a request in ms\n" in second


def test_a_watch_ends_when_nobody_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    reads, writes = os.pipe()
    os.close(reads)
    patched(monkeypatch, lambda: None, lambda: None)
    with os.fdopen(writes, "w") as stream, serving(Served()) as server:
        monkeypatch.setattr("sys.stdout", Guarded(stream))
        assert run(["status", server.url, "--metrics", "none", "--watch"]) == 0


def test_a_stop_at_first_is_fatal() -> None:
    with pytest.raises(Stop) as stopped:
        next(server_watch(Endpoint("http://127.0.0.1:1", 1), 1))
    assert [(found.rule, found.severity) for found in stopped.value.diagnostics] == [("server-unreachable", "fatal")]
