"""A question to a served stack, as `up --ask` asks it: sources on stderr, the streamed answer on stdout."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import EXAMPLE
from tests.speaking import Speaking, plain, speaking, streamed
from tritonrepo.cli import run
from tritonrepo.cli.asking import ask
from tritonrepo.diagnostics import Stop
from tritonrepo.flows.asking import Passage, Pipelines, passages, pipelines
from tritonrepo.flows.stack import load
from tritonrepo.flows.workspace import Workspace
from tritonrepo.server.endpoint import Endpoint


def answering(found: Mapping[str, Any], pieces: list[str]) -> AbstractContextManager[Speaking]:
    """A server that gives these search results and these pieces of an answer."""
    return speaking(lambda asked: streamed(*pieces) if asked.path.endswith("/generate_stream") else plain(found))


TWO = {"ids": ["a", "b"], "scores": [0.5, 0.12345], "passages": ["x" * 101, "short"]}
ONE = {"ids": "a", "scores": 1, "passages": "only"}


def test_sources_are_numbered_and_the_answer_follows_piece_by_piece(capsys: pytest.CaptureFixture[str]) -> None:
    with answering(TWO, ["One ", "", "two."]) as here:
        assert ask(here.url, Pipelines("rag", "search"), "why?") == 0
    said = capsys.readouterr()
    assert said.out == "One two.\n"
    assert said.err == f"[1] a  0.500  {'x' * 100}…\n[2] b  0.123  short…\n"
    assert [(asked.path, json.loads(asked.body)) for asked in here.asked] == [
        ("/v2/models/search/generate", {"query": "why?"}),
        ("/v2/models/rag/generate_stream", {"query": "why?", "stream": True}),
    ]


def test_a_stack_that_does_not_search_has_no_sources(capsys: pytest.CaptureFixture[str]) -> None:
    with answering({}, ["x"]) as here:
        assert ask(here.url, Pipelines("rag", None), "q") == 0
    assert capsys.readouterr() == ("x\n", "")
    assert [asked.path for asked in here.asked] == ["/v2/models/rag/generate_stream"]


@pytest.mark.parametrize("pieces", [[], ["", ""]], ids=["none", "empty ones"])
def test_an_answer_without_text_is_a_failure(capsys: pytest.CaptureFixture[str], pieces: list[str]) -> None:
    with answering({}, pieces) as here, pytest.raises(Stop) as caught:
        ask(here.url, Pipelines("rag", None), "q")
    (told,) = caught.value.diagnostics
    assert (told.rule, told.severity, told.at.path) == ("ask-empty", "error", here.url)
    assert told.message == 'ensemble "rag" finished without an answer'
    assert capsys.readouterr().out == "\n"


def test_a_single_passage_comes_without_a_list() -> None:
    with answering(ONE, []) as here:
        assert passages(Endpoint(here.url), "search", "q") == [Passage("a", 1.0, "only")]


def test_a_question_goes_to_the_pipeline_that_answers() -> None:
    stack = load(EXAMPLE, Workspace(os.environ)).stack
    assert pipelines(stack, needed=True) == Pipelines("rag", "search")


ASKED = {
    "roles": ("[e, r, g]", Pipelines("p", None)),
    "a search": ("[e, r]", Pipelines(None, "p")),
    "a search of which not all is shown": ("[e, r], outputs: [ids]", Pipelines(None, None)),
    "an own model that takes a query": ("[own, e, r, g]", Pipelines("p", None)),
    "an own model that takes something else": ("[other, e, r, g]", Pipelines(None, None)),
    "an own model that may take a query": ("[bare, e, r, g]", Pipelines("p", None)),
    "an own model that may give an answer": ("[e, r, g, bare]", Pipelines(None, None)),
    "an own model that gives the answer": ("[e, r, g, own]", Pipelines("p", None)),
    "an own model that gives something else": ("[e, r, g, other]", Pipelines(None, None)),
}


@pytest.mark.parametrize(("chain", "found"), ASKED.values(), ids=ASKED)
def test_a_question_goes_to_a_chain_that_takes_a_query_and_gives_what_is_shown(
    inside: Path, chain: str, found: Pipelines
) -> None:
    text = """\
name: s
models:
  e: {role: embedder, source: ./w}
  r: {role: retriever, index: ./i, documents: ./d/*.jsonl, embed_with: e}
  g: {role: generator, source: hf://o/m}
  own: {backend: python, config: {input: [{name: query}], output: [{name: answer}]}}
  other: {backend: python, config: {input: [{name: text}], output: [{name: query}]}}
  bare: {backend: python}
ensembles:
  p: {chain: CHAIN}
"""
    (inside / "tritonrepo.yaml").write_text(text.replace("CHAIN", chain), "utf-8")
    assert pipelines(load([], Workspace(os.environ)).stack, needed=False) == found


EMBEDDER = """\
name: s
models:
  e: {role: embedder, source: ./w}
"""


def test_a_stack_without_pipelines_has_no_index_to_build_and_nobody_to_ask(
    inside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (inside / "tritonrepo.yaml").write_text(EMBEDDER, "utf-8")
    assert run(["index"]) == 0
    assert capsys.readouterr() == ("", "the stack has no retriever\n")
    stack = load([], Workspace(os.environ)).stack
    assert pipelines(stack, needed=False) == Pipelines(None, None)
    with pytest.raises(Stop) as caught:
        pipelines(stack, needed=True)
    (told,) = caught.value.diagnostics
    assert (told.rule, told.severity, told.hint) == ("ask-pipeline", "fatal", "Add such an ensemble under ensembles.")
