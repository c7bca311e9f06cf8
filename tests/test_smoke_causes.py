"""What calls a broken model may be broken only therefore: the cause is tested, and told, first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tritonrepo.diagnostics import Severity, Span
from tritonrepo.repository import read, target
from tritonrepo.smoke import expected
from tritonrepo.smoke.case import Check, Flaw, Result, found
from tritonrepo.smoke.causes import called, diagnosed, explained
from tritonrepo.smoke.served import Served, of_config
from tritonrepo.tree import of_text

AT = Span("s")
STEPS = {
    "all": ["search", "writer"],
    "search": ["embedder", "retriever"],
    "embedder": [],
    "graph": [],
    "retriever": [],
    "writer": [],
    "loop": ["pool"],
    "pool": ["loop"],
}
"""Ensemble \u2192 what it calls; by its calls.json, the embedder calls the graph."""


def served() -> list[Served]:
    configs = (
        {"name": name, "ensemble_scheduling": {"step": [{"model_name": each} for each in called]}}
        for name, called in STEPS.items()
    )
    return [of_config(config, "1", AT) for config in configs]


@pytest.fixture
def below() -> dict[str, frozenset[str]]:
    files = {"embedder/config.pbtxt": 'backend: "python"', "embedder/1/calls.json": '{"graph": 1}'}
    tree = {path: of_text(text) for path, text in files.items()}
    return called(expected.of(read(tree, target()), "r"), served())


Failing = Callable[..., Result]


@pytest.fixture
def failed(below: dict[str, frozenset[str]]) -> Failing:
    def made(model: str, check: Check = Check.ANSWER) -> Result:
        told = found(check, Severity.ERROR, AT, Flaw("wrong", "Check it."), model)
        return Result(model, "1", check, diagnostics=(told,), calls=below[model])

    return made


def test_what_a_model_calls_is_known_by_its_config_and_its_files(below: dict[str, frozenset[str]]) -> None:
    assert below["all"] == {"search", "embedder", "graph", "retriever", "writer"}
    assert [sorted(below[name]) for name in ("embedder", "loop", "graph")] == [["graph"], ["pool"], []]


def test_a_consequence_names_the_deepest_cause_and_is_told_last(failed: Failing) -> None:
    passed = Result("embedder", "1", Check.ANSWER, calls=frozenset({"graph"}))
    results = [failed("all"), failed("search"), failed("graph"), passed, failed("retriever", Check.SEARCH)]
    assert [each.cause for each in explained(results)] == ["graph", "graph", "", "", ""]
    said = diagnosed(results)
    assert [each.model for each in said] == ["graph", "retriever", "all", "search"]
    told = {each.model: each.hint for each in said}
    assert told["graph"] == "Check it."
    hint = "This may be a consequence: search calls graph (answer) and retriever (search), which failed."
    assert told["search"] == f"{hint} Fix that first.\nCheck it."


def test_models_that_call_each_other_are_told_like_others(failed: Failing) -> None:
    assert [each.cause for each in explained([failed("loop"), failed("pool")])] == ["pool", "loop"]


def test_what_was_not_asked_any_more_is_no_consequence_and_no_cause(failed: Failing) -> None:
    unasked = replace(failed("search"), unasked=True)
    assert [each.cause for each in explained([failed("graph"), unasked, failed("all")])] == ["", "", "graph"]
    assert [each.model for each in diagnosed([unasked, failed("graph")])] == ["graph", "search"]


def test_a_second_server_explains_everything(failed: Failing) -> None:
    told = found(Check.AGREEMENT, Severity.ERROR, AT, Flaw("HTTP and gRPC reach different servers"), "writer")
    other = replace(failed("writer", Check.AGREEMENT), diagnostics=(told,))
    results = [failed("all"), failed("graph"), failed("writer"), other]
    assert [each.cause for each in explained(results)] == ["writer", "writer", "writer", ""]
    assert diagnosed(results)[0].message == "HTTP and gRPC reach different servers"
