"""What the real server says of a load: an ensemble over gRPC, and a pipeline that streams over HTTP."""

from __future__ import annotations

import json
import urllib.request

import pytest

from tritonrepo.bench.target import Protocol, Target
from tritonrepo.bench.watching import Observer, beside
from tritonrepo.server.endpoint import Endpoint
from tritonrepo.server.process import Server

ASKED = 3


def ask(server: Server, model: str, how: str) -> None:
    """Send the requests of a load, one after the other."""
    for number in range(ASKED):
        body = json.dumps({"query": f"How do I start server {number}?"}).encode()
        url, head = f"{server.http}/v2/models/{model}/{how}", {"Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(url, body, head), timeout=120) as response:
            assert response.status == 200
            response.read()


@pytest.fixture(scope="module")
def served(rag_server: Server) -> Server:
    """The server, warmed up."""
    ask(rag_server, "rag", "generate_stream")
    return rag_server


def target(server: Server, protocol: Protocol, model: str) -> Target:
    return Target(model, protocol, Endpoint(server.http, 60, grpc=server.grpc, metrics=server.metrics), model)


def test_an_ensemble_is_split_by_what_its_steps_took(served: Server) -> None:
    observer = Observer(target(served, Protocol.GRPC, "search"), None)
    observer.begin()
    ask(served, "search", "generate")
    found = observer.end()
    whole, *steps = found.steps
    named = {step.model: step for step in steps}
    assert (found.server, found.version, found.missing) == ("triton", "2.51.0", ())
    assert (whole.model, whole.requests, whole.within, whole.batch) == ("search", ASKED, "", None)
    assert [step.model for step in steps[:3]] == ["embedder", "retriever", "reranker"]
    assert {step.requests for step in steps[:3]} == {ASKED}
    assert named["embedder_model"].within == "search"
    assert whole.whole_ms is not None
    assert whole.whole_ms > whole.infer_ms
    assert whole.infer_ms == pytest.approx(sum(step.infer_ms for step in steps[:3]), rel=0.05)
    assert beside(found, ASKED) == found
    assert beside(found, ASKED - 1).notes[-1].endswith("1 more than this client sent: others ask it too")


def test_a_pipeline_that_streams_has_the_counts_of_what_it_calls(served: Server) -> None:
    observer = Observer(target(served, Protocol.GENERATE, "rag"), None)
    observer.begin()
    ask(served, "rag", "generate_stream")
    found = observer.end()
    named = {step.model: step for step in found.steps}
    assert (found.steps[0].model, found.steps[0].requests, found.steps[0].streams) == ("rag", ASKED, True)
    assert named.keys() >= {"embedder", "retriever", "reranker", "generator_prompt", "generator"}
    assert all(step.within == "rag" for step in found.steps[1:])
    assert "Triton's time of a decoupled model may end before its answer does: rag" in found.notes
    assert found.counts["requests_succeeded"] == ASKED
    assert found.gauges.keys() >= {"requests_pending", "cpu_utilization", "cpu_memory_used"}


def test_the_metrics_alone_say_the_same_as_the_statistics(served: Server) -> None:
    both = [
        Observer(target(served, protocol, "search"), served.metrics) for protocol in (Protocol.GENERATE, Protocol.CHAT)
    ]
    for observer in both:
        observer.begin()
    ask(served, "search", "generate")
    statistics, metrics = (observer.end() for observer in both)
    of_metrics = {step.model: step for step in metrics.steps}
    for step in statistics.steps:
        other = of_metrics[step.model]
        assert (other.requests, other.failed) == (step.requests, step.failed)
        times = (step.queue_ms, step.input_ms, step.infer_ms, step.output_ms)
        assert (other.queue_ms, other.input_ms, other.infer_ms, other.output_ms) == pytest.approx(times, abs=0.01)
