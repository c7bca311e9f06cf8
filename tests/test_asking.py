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
from tests.speaking import Said, Speaking, plain, speaking, streamed
from tests.tabled import tabled
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


LISTED = [
    {"id": "a", "title": "First steps", "url": "https://example.com/a", "score": 0.5, "text": "x", "metadata": {}},
    {"id": "b", "title": None, "url": None, "score": 0.12345, "text": "y" * 101, "metadata": {}},
    {"id": "c", "title": 7, "url": "", "score": None, "text": "short"},
]


def listing(sources: str) -> AbstractContextManager[Speaking]:
    """A server whose pipeline gives these sources before the pieces of its answer."""
    events = [{"sources": sources}, {"answer": "One "}, {"answer": "two."}]
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode()
    return speaking(lambda _: Said(body, head={"Content-Type": "text/event-stream"}))


def test_the_sources_that_come_with_an_answer_are_those_that_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with listing(json.dumps(LISTED)) as here:
        assert ask(here.url, Pipelines("rag", "search", lists=True), "why?") == 0
    said = capsys.readouterr()
    assert said.out == "One two.\n"
    assert said.err == (
        f"[1] First steps  0.500  https://example.com/a\n[2] b  0.123  {'y' * 100}…\n[3] 7  0.000  short…\n"
    )
    assert [asked.path for asked in here.asked] == ["/v2/models/rag/generate_stream"]


@tabled("text", ["{", "[1]", '[{"id": "a"}]', '{"id": 1}', "[" * 100_000])
def test_sources_that_cannot_be_read_are_told(text: str) -> None:
    with listing(text) as here, pytest.raises(Stop) as caught:
        ask(here.url, Pipelines("rag", "search", lists=True), "why?")
    (told,) = caught.value.diagnostics
    assert (told.rule, told.severity) == ("server-answer", "error")
    assert told.message.startswith("the sources of the answer cannot be read: ")


def test_a_search_result_has_what_its_document_says_of_it() -> None:
    said = ['{"title": "First steps", "url": "https://example.com/a", "page": 3}', "no JSON"]
    with answering({**TWO, "metadata": said}, []) as here:
        first, second = passages(Endpoint(here.url), "search", "q")
    assert (first.title, first.url) == ("First steps", "https://example.com/a")
    assert (second.title, second.url) == ("", "")


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
    assert pipelines(stack, needed=True) == Pipelines("rag", "search", lists=True)


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


LISTS = {
    "nothing said": ("", False),
    "sources": (", outputs: [answer, sources]", True),
    "the form": (", form: bls", True),
    "the form without sources": (", form: bls, outputs: [answer]", False),
}


@pytest.mark.parametrize(("keys", "lists"), LISTS.values(), ids=LISTS)
def test_a_pipeline_that_returns_sources_is_known_by_its_stack(inside: Path, keys: str, lists: bool) -> None:  # noqa: FBT001
    text = f"""\
name: s
models:
  e: {{role: embedder, source: ./w}}
  r: {{role: retriever, index: ./i, documents: ./d/*.jsonl, embed_with: e}}
  g: {{role: generator, source: hf://o/m}}
ensembles:
  p: {{chain: [e, r, g]{keys}}}
"""
    (inside / "tritonrepo.yaml").write_text(text, "utf-8")
    assert pipelines(load([], Workspace(os.environ)).stack, needed=True) == Pipelines("p", None, lists)


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
