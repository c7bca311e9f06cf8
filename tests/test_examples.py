"""The examples besides the RAG: each builds from its committed lock, and what a CPU can serve is served and tested."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.questions import questions, shares_words
from tests.conftest import EXAMPLE
from tests.pbtxt_descriptors import message_class
from tests.processes import killed
from tritonrepo import api
from tritonrepo.cli import run
from tritonrepo.smoke.case import Check, Outcome

EXAMPLES = EXAMPLE.parent


@pytest.mark.parametrize("name", ["search", "mixed"])
def test_an_example_builds_from_its_lock(tmp_path: Path, name: str) -> None:
    assert run(["build", "-f", str(EXAMPLES / name / "tritonrepo.yaml"), "-o", str(tmp_path / "out"), "--locked"]) == 0


def test_a_third_of_the_questions_of_the_benchmark_shares_no_word_with_its_passage() -> None:
    lines = map(json.loads, (EXAMPLE / "index" / "passages.jsonl").read_text("utf-8").splitlines())
    texts = {line["id"]: line["text"] for line in lines}
    asked = questions()
    assert len({question.text for question in asked}) == len(asked) >= 120
    assert {question.id for question in asked} <= texts.keys()
    assert sum(not shares_words(question, texts) for question in asked) >= len(asked) / 3


def test_the_llama_builds_without_the_hub_and_leaves_its_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from google.protobuf import text_format

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    lock = (EXAMPLES / "vllm-llama" / "tritonrepo.lock").read_bytes()
    out = tmp_path / "out"
    assert run(["build", "-f", str(EXAMPLES / "vllm-llama" / "tritonrepo.yaml"), "-o", str(out)]) == 0
    assert (EXAMPLES / "vllm-llama" / "tritonrepo.lock").read_bytes() == lock
    model = json.loads((out / "llama" / "1" / "model.json").read_bytes())
    assert (model["tensor_parallel_size"], model["enable_lora"], model["disable_log_stats"]) == (2, True, False)
    assert json.loads((out / "llama" / "1" / "multi_lora.json").read_bytes()) == {"support": "/mnt/adapters/support"}
    config = text_format.Parse((out / "llama" / "config.pbtxt").read_text("utf-8"), message_class("26.07")())
    assert "REPORT_CUSTOM_METRICS" in str(config)


def test_own_models_answer_beside_a_search_and_what_no_cpu_can_serve_is_left_out(tmp_path: Path) -> None:
    stack, work = EXAMPLES / "mixed", api.Workspace(os.environ)
    out = tmp_path / "out"
    api.apply_build(api.plan_build(api.load([stack], work), out))
    with killed(api.serve(out, api.ServeOptions(api.Ports(0, 0, 0)), work)) as server:
        about = replace(api.known(str(stack), work, str(out)), left_out=server.left_out)
        results = list(api.smoke(server.endpoint, about))
        missed = list(api.smoke(server.endpoint, replace(about, left_out={}), {"urgency"}))
    assert [(each.rule, each.severity, each.message, each.hint) for each in server.unavailable] == [
        (
            "server-backend-missing",
            "warning",
            "urgency is not served here: this server has no pytorch backend",
            "Use a server whose image has the backend. Not served because of it: urgent.",
        )
    ]
    assert Outcome.FAILED in {result.outcome for result in missed}
    # on a busy machine, requests may not meet in a batch
    calm = [result for result in results if result.check not in {Check.AT_ONCE, Check.BATCHING}]
    unchecked = {(result.model, result.unchecked) for result in calm if result.outcome is Outcome.NOT_CHECKED}
    assert unchecked == {(name, "this server has no pytorch backend") for name in ("urgency", "urgent")}
    rest = [result for result in calm if not result.unchecked]
    assert {result.outcome for result in rest} == {Outcome.PASSED}
    declared = {(result.model, result.protocol) for result in results if result.check is Check.DECLARED}
    assert declared == {(model, protocol) for model in ("route", "search") for protocol in ("grpc", "http")}
