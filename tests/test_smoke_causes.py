"""What calls a broken model may be broken only therefore: the cause is tested, and told, first."""

from __future__ import annotations

import pytest

from tritonrepo.diagnostics import Severity, Span
from tritonrepo.repository import read, target
from tritonrepo.smoke import expected
from tritonrepo.smoke.case import Check, Flaw, Outcome, Result, found
from tritonrepo.smoke.causes import Causes, diagnosed
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
def causes() -> Causes:
    files = {"embedder/config.pbtxt": 'backend: "python"', "embedder/1/calls.json": '{"graph": 1}'}
    tree = {path: of_text(text) for path, text in files.items()}
    return Causes(expected.of(read(tree, target()), "r"), served())


def failed(model: str, check: Check = Check.ANSWER) -> Result:
    flaw = Flaw("wrong", "Check it.")
    return Result(model, "1", check, diagnostics=(found(check, Severity.ERROR, AT, flaw, model),))


def test_what_is_called_is_tested_first(causes: Causes) -> None:
    order = [one.name for one in causes.first()]
    assert [order.index(name) for name in ("graph", "embedder", "search", "all")] == sorted(
        order.index(name) for name in ("graph", "embedder", "search", "all")
    )
    assert causes.below("all") == {"search", "embedder", "graph", "retriever", "writer"}
    assert causes.below("loop") == {"pool"}


def test_a_consequence_names_the_deepest_cause_and_is_told_last(causes: Causes) -> None:
    told = [causes.told(each) for each in (failed("graph"), failed("retriever"), failed("search"), failed("all"))]
    told += [causes.told(failed("writer", Check.STREAM)), causes.told(Result("embedder", "1", Check.ANSWER))]
    assert [each.cause for each in told] == ["", "", "graph", "graph", "", ""]
    assert told[-1].outcome is Outcome.PASSED
    said = [*diagnosed(reversed(told))]
    assert [each.model for each in said] == ["writer", "retriever", "graph", "all", "search"]
    hint = (
        "This may be a consequence: search calls graph (answer) and retriever (answer), which failed. Fix that first."
    )
    assert said[-1].hint == f"{hint}\nCheck it."
    assert said[0].hint == "Check it."


def test_what_is_known_without_a_request_is_told_together(causes: Causes) -> None:
    noted = causes.note([failed("all", Check.VERSIONS), failed("writer", Check.LOADED), failed("loop")])
    assert [each.cause for each in noted] == ["writer", "", ""]


def test_models_that_call_each_other_are_told_like_others(causes: Causes) -> None:
    assert [causes.told(failed(name)).cause for name in ("loop", "pool", "loop")] == ["", "loop", "pool"]
