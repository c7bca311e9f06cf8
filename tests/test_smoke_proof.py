"""What `smoke` proves from the server's own counts, with servers whose counts a test chooses.

No GPU is here: the metrics of GPUs have the names, labels and forms that Triton's core writes (src/metrics.cc and
src/metric_model_reporter.cc).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from tests.speaking import Asked, Said, arrays, index, inferred, plain, speaking
from tests.tabled import tabled
from tests.test_metrics import ONE, TWO
from tritonrepo.diagnostics import Span, Stop
from tritonrepo.server.client import Client
from tritonrepo.server.endpoint import Endpoint
from tritonrepo.smoke.asking import Asking
from tritonrepo.smoke.case import Case, Check, Crowd, Result
from tritonrepo.smoke.connection import Connection
from tritonrepo.smoke.pace import Clock
from tritonrepo.smoke.plan import Known
from tritonrepo.smoke.plan import plain as plain_cases
from tritonrepo.smoke.proof import EQUAL, Proof
from tritonrepo.smoke.run import run
from tritonrepo.smoke.served import of_config

GPU = ({"kind": "KIND_GPU", "count": 1, "gpus": [0, 1]},)
CPU = ({"kind": "KIND_CPU", "count": 2},)
MODEL = ({"kind": "KIND_MODEL", "count": 1},)
BOTH = (*GPU, *CPU)


ALONE = 5


@dataclass
class Serving:
    """A server that answers, and counts as it is told.

    `sharing`: how many of the requests share an execution. `late`: the first look misses the last execution.
    `gpus`: the label of each part of the executions, "" for none. `memory`: what each GPU uses before and after;
    `busy` alike. `failing`: failures by reason that nobody sees.
    """

    groups: Sequence[Mapping[str, Any]] = CPU
    sharing: int = 1
    gpus: Sequence[str] = ("",)
    memory: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    busy: Mapping[str, float] = field(default_factory=dict)
    failing: Mapping[str, int] = field(default_factory=dict)
    metrics_of: str = "m"
    counts_metrics: bool = True
    restarted: bool = False
    joins: bool = True
    late: bool = False
    cached: bool = False
    status: int = 200
    asked: int = 0
    looks: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, asked: Asked) -> Said:
        if asked.path.endswith("/infer"):
            with self.lock:
                self.asked += 1
            return inferred(X=arrays(asked)["A"].astype(np.float32))._replace(status=self.status)
        self.looks += asked.path.endswith(("stats", "metrics"))
        said = {
            "index": index([("m", "1", "READY", "")]),
            "stats": plain({"model_stats": [self._stats()]}),
            "config": plain(self._config()),
            "live": Said(),
            "metrics": Said(self._metrics().encode()),
        }
        return said[asked.path.rpartition("/")[2]]

    def _config(self) -> dict[str, Any]:
        tensor = {"data_type": "TYPE_FP32", "dims": [1]}
        batching: dict[str, object] = {"dynamic_batching": {}} if self.joins else {}
        return {
            "name": "m", "backend": "python", "max_batch_size": 8, "instance_group": list(self.groups), **batching,
            "input": [{"name": "A", **tensor}], "output": [{"name": "X", **tensor}],
        }  # fmt: skip

    @property
    def executions(self) -> int:
        if self.cached:
            return 0
        together = max(self.asked - ALONE, 0)  # what is sent one after the other shares nothing
        return min(self.asked, ALONE) - -together // self.sharing

    def _stats(self) -> dict[str, Any]:
        before = 0 if self.restarted and self.asked else 7
        behind = bool(self.asked and self.late)
        self.late = self.late and not behind
        requests, executions = self.asked + before, self.executions + before - behind
        failed = sum(self.failing.values()) if self.asked else 0
        spent = {"count": requests, "ns": requests * 2_000_000}
        return {
            "name": "m", "version": "1", "inference_count": requests, "execution_count": executions,
            "inference_stats": {
                "success": spent, "queue": spent, "compute_infer": spent, "fail": {"count": failed, "ns": 0},
            },
            "batch_stats": [{"batch_size": self.sharing, "compute_infer": {"count": executions, "ns": 1}}],
        }  # fmt: skip

    def _metrics(self) -> str:
        ran = 7 + (self.executions if self.counts_metrics else 0)
        lines = ["nv_cpu_utilization 0.5"]
        for number, uuid in enumerate(self.gpus):
            label = f'gpu_uuid="{uuid}",' if uuid else ""
            count = ran if number == 0 else 7
            lines.append(f'nv_inference_exec_count{{{label}model="{self.metrics_of}",version="1"}} {count}')
        for reason, count in self.failing.items():
            label = f'model="m",reason="{reason}",version="1"'
            lines.append(f"nv_inference_request_failure{{{label}}} {count if self.asked else 0}")
        for uuid, used in self.memory.items():
            lines.append(f'nv_gpu_memory_used_bytes{{gpu_uuid="{uuid}"}} {used[bool(self.asked)]}')
            lines.append(f'nv_gpu_memory_total_bytes{{gpu_uuid="{uuid}"}} {80 << 30}')
        for uuid, busy in self.busy.items():
            lines.append(f'nv_gpu_utilization{{gpu_uuid="{uuid}"}} {busy if self.asked else 0}')
        return "\n".join(lines)


def results(serving: Serving, metrics: str = "", *, failing: bool = False) -> dict[str, Result]:
    """Return the results of the checks that this file is about."""
    with speaking(serving.answer) as server:
        endpoint = Endpoint(server.url, 30, 30, metrics=metrics or f"{server.url}/metrics")
        found = [*run(Connection(Client(endpoint), None), Known(), frozenset())]
    assert failing == any(result.outcome == "failed" for result in found)
    return {str(r.check): r for r in found if r.check in {"batching", "hardware", "failures"}}


GIB = 1 << 30
IDLE = (
    f"whether it computes on its GPU is not proven: none of them was seen busy: {ONE} (1.0 GiB used before and after)"
)
HARDWARE: dict[str, tuple[Serving, str, str]] = {
    "a CPU": (Serving(), "passed", "N on the CPU; there is no GPU to see; a request waits 2.0 ms"),
    "a CPU beside a GPU": (
        Serving(memory={ONE: (GIB, GIB)}), "passed", "N on the CPU; a request waits 2.0 ms and is",
    ),
    "a GPU that works": (
        Serving(GPU, gpus=[ONE, TWO], memory={ONE: (GIB, 2 * GIB), TWO: (GIB, GIB)}, busy={ONE: 0.25, TWO: 0}),
        "passed", f"N on {ONE} (2.0 GiB of 80.0 GiB used, +1.0 GiB, up to 25% busy); a request",
    ),
    "a GPU that is busy with what it had": (
        Serving(GPU, gpus=[ONE], memory={ONE: (GIB, GIB)}, busy={ONE: 0.5}), "passed", f"on {ONE} (1.0 GiB of 80.0 GiB",
    ),
    "a GPU that was never busy, and whose memory stayed": (
        Serving(GPU, gpus=[ONE], memory={ONE: (GIB, GIB)}, busy={ONE: 0}), "not checked", IDLE,
    ),
    "a GPU without metrics of its own": (Serving(GPU, gpus=[ONE]), "passed", f"N on {ONE}; a request"),
    "a GPU in the config and none in the metrics": (
        Serving(GPU), "warning", "version 1: the config says KIND_GPU, but the server shows no GPU",
    ),
    "a GPU in the config and others in the metrics": (
        Serving(GPU, memory={ONE: (0, 0), TWO: (0, 0)}), "warning", "KIND_GPU, but the server shows 2 other GPUs",
    ),
    "instances on both": (Serving(BOTH), "passed", "N on the CPU"),
    "a model that chooses": (
        Serving(MODEL, memory={ONE: (GIB, GIB)}, busy={ONE: 0.5}), "passed",
        f"N of the model, which chooses its devices itself; {ONE} (1.0 GiB of 80.0 GiB used, up to",
    ),
    "a model that chooses, and no GPU": (Serving(MODEL), "passed", "itself; there is no GPU to see"),
    "metrics of another server": (Serving(metrics_of="n"), "not checked", "/metrics do not name this version"),
    "metrics of another server with the same models": (
        Serving(counts_metrics=False), "not checked", "did not count its executions: they may be of another server",
    ),
    "nothing but cached responses": (Serving(cached=True), "not checked", "it was not executed"),
    "a restart in between": (Serving(restarted=True), "not checked", "the counts went back while it was tested"),
}  # fmt: skip


@tabled(("serving", "outcome", "said"), HARDWARE.values(), ids=HARDWARE)
def test_where_a_model_ran_is_told_from_the_metrics(serving: Serving, outcome: str, said: str) -> None:
    serving.joins, serving.sharing = False, 1
    found = results(serving)
    result = found["hardware"]
    assert (result.outcome, "batching" in found) == (outcome, False)
    executed = f"{serving.executions} execution{'' if serving.executions == 1 else 's'}"
    seen = result.seen.replace(executed, "N", 1)
    assert said in "\n".join([seen, result.unchecked, *(d.message for d in result.diagnostics)])
    assert all("--gpus all" in d.hint for d in result.diagnostics)


@pytest.mark.parametrize(("groups", "told"), [(CPU, False), (GPU, True), (MODEL, True)], ids=["CPU", "GPU", "model"])
def test_without_metrics_only_a_gpu_is_missed(groups: Sequence[Mapping[str, Any]], told: bool) -> None:  # noqa: FBT001
    found = results(Serving(groups), "none")
    assert ("hardware" in found) == told
    if told:
        assert (found["hardware"].outcome, found["hardware"].unchecked) == ("not checked", "metrics were not asked for")


def test_metrics_that_were_asked_for_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tritonrepo.smoke.proof.PATIENCE_S", 0)
    with pytest.raises(Stop) as stop:
        results(Serving(), "http://127.0.0.1:1")
    assert [(d.rule, d.severity) for d in stop.value.diagnostics] == [("server-unreachable", "fatal")]


def test_a_batch_is_proven_by_equal_requests_at_once() -> None:
    serving = Serving(sharing=4)
    found = results(serving)
    shared = f"{serving.asked} requests in {serving.executions} executions, batches of 4"
    assert (found["batching"].outcome, found["batching"].seen) == ("passed", shared)
    assert EQUAL < serving.asked < 2 * EQUAL


def test_an_execution_that_is_counted_late_proves_no_batch() -> None:
    found = results(Serving(late=True))
    assert found["batching"].outcome == "not checked"


def test_that_no_batch_was_formed_is_told() -> None:
    serving = Serving()
    found = results(serving)
    assert found["batching"].outcome == "not checked"
    assert found["batching"].unchecked == "8 requests were sent at once, 5 times, but no two of them shared a batch"
    assert 5 * EQUAL < serving.asked < 6 * EQUAL


@contextmanager
def proving(serving: Serving, clock: Clock | None = None) -> Iterator[tuple[Proof, Case]]:
    """Yield what proves something of this server, and a case of its model."""
    with speaking(serving.answer) as server:
        client = Client(Endpoint(server.url, 30, 30, metrics=f"{server.url}/metrics"))
        served = of_config(client.config("m"), "1", Span("at"))
        proof = Proof(Asking(Connection(client, None), {}, clock=clock), [served])
        yield proof, next(iter(plain_cases(served)))


def test_a_model_that_was_asked_at_once_is_not_asked_so_again() -> None:
    with proving(serving := Serving()) as (proof, case):
        proof.note(case, Result("m", "1", case.check, protocol="http"))
        proof.note(Crowd((case,), batched=True), Result("m", "1", Check.AT_ONCE))
        (batching, _) = proof.results()
    assert (batching.outcome, batching.unchecked) == (
        "not checked",
        "it was not asked",
    )
    assert serving.asked == 0


def test_after_the_deadline_nothing_is_proven() -> None:
    with proving(serving := Serving(), Clock(0)) as (proof, _):
        assert [*proof.results()] == []
    assert serving.looks == 0


FAILURES = {
    "a failure": ({"BACKEND": 2}, "version 1: the server counted 2 failed requests that no test saw (BACKEND: 2)"),
    "a failure and what was canceled": (
        {"OTHER": 1, "CANCELED": 3}, "version 1: the server counted 1 failed request that no test saw (OTHER: 1)",
    ),
    "what was canceled": ({"CANCELED": 3}, ""),
}  # fmt: skip


@pytest.mark.parametrize(("failing", "said"), FAILURES.values(), ids=FAILURES)
def test_a_failure_that_no_test_saw_is_told(failing: dict[str, int], said: str) -> None:
    result = results(Serving(failing=failing, joins=False)).get("failures")
    assert "".join(d.message for d in (result.diagnostics if result else ())) == said
    assert result is None or result.outcome == "warning"


def test_failures_that_a_test_saw_are_not_told_again() -> None:
    serving = Serving(failing={"BACKEND": 2}, joins=False, status=500)
    assert results(serving, failing=True).keys() == {"hardware"}


def test_a_model_whose_answers_are_wrong_is_not_asked_for_batches() -> None:
    serving = Serving(status=500)
    found = results(serving, failing=True)
    assert found["batching"].outcome == "not checked"
    assert serving.asked < EQUAL
