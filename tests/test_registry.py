"""Everything that the package reports is registered under its name, and nothing else is."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.syntax import Module, given, modules, source
from tritonrepo.cli import run
from tritonrepo.report.pages import sections
from tritonrepo.report.registry import REGISTRY
from tritonrepo.rules import RULES

OTHERS = sorted(REGISTRY.keys() - RULES.keys())


def written(module: Module, node: ast.expr) -> set[str]:
    """Return the names that an expression can be; none where it only hands on what another call was given."""
    match node:
        case ast.Constant(value=str(name)):
            return {name}
        case ast.IfExp(body=one, orelse=other):
            return written(module, one) | written(module, other)
        case ast.Name(id="rule") | ast.Attribute(attr="rule"):
            return set()
        case ast.Subscript(value=table):
            home, name = source(module, table) or (module, "")
            values = home.constants[name]
            assert isinstance(values, ast.Dict), ast.unparse(node)
            return {name for value in values.values for name in written(home, value)}
        case _:
            found = source(module, node)
            assert found, f"{module.path}:{node.lineno}: {ast.unparse(node)} does not say what is reported"
            return written(found[0], found[0].constants[found[1]])


SEVERITIES = {"fatal": "fatal", "failure": "error"}


def severity(call: ast.Call, taker: str) -> str:
    """Return how bad a call says that it is; "" where it hands on what it was given."""
    said = [
        each.attr for each in call.args if isinstance(each, ast.Attribute) and ast.unparse(each.value) == "Severity"
    ]
    return SEVERITIES.get(taker) or "".join(said).lower()


def reported() -> Iterator[tuple[str, str, str]]:
    """Yield each name that the package outside `rules` reports something under, how bad it is, and where."""
    for module in modules().values():
        for call in module.nodes:
            if not isinstance(call, ast.Call) or module.name.startswith("tritonrepo.rules"):
                continue
            for expression in given(module, call, "rule"):
                _, taker = source(module, call.func) or (module, "")
                for name in written(module, expression):
                    yield name, severity(call, taker), module.place(call)


def test_everything_that_is_reported_is_registered_and_as_bad_as_reported() -> None:
    severities: dict[str, set[str]] = {}
    for name, severity, place in reported():
        assert name in REGISTRY, place
        severities.setdefault(name, set()).add(severity)
    assert len(OTHERS) > 100
    assert set(OTHERS) - severities.keys() == set()
    others = {name: severities[name] - {""} for name in OTHERS}
    assert {name: used for name, used in others.items() if used and REGISTRY[name].severity not in used} == {}


def test_explain_knows_what_happened_and_the_next_step(capsys: pytest.CaptureFixture[str]) -> None:
    for name in OTHERS:
        assert run(["explain", name]) == 0
        out = capsys.readouterr().out
        assert out.startswith(f"{name} ({REGISTRY[name].severity}): ")
        assert "\n\nWhat to do\n  " in out


def test_a_page_is_a_title_a_severity_and_its_sections() -> None:
    for name in OTHERS:
        page = REGISTRY[name].page
        assert re.match(r"# [^\n]+[^.\n]\n\nSeverity: \w+\n\n## ", page), name
        assert [heading for heading, _ in sections(page)] == ["Why", "What to do"], name


def test_a_fence_keeps_what_it_holds() -> None:
    page = "# T\n\n## Bad\n\n````text\n## no heading\n```\n\n````\n\n## Says\n\n```text\n```\n\n## Why\n\nSo\nit is.\n"
    assert sections(page) == [("Bad", "## no heading\n```\n"), ("Says", ""), ("Why", "So\nit is.")]


EXPLAINED = {
    "words that names begin with": ("store", 0, "store-access   fatal"),
    "a misspelt name": ("stack-shcema", 2, 'Did you mean "stack-schema"?'),
    "all": ("--all", 0, "stack-schema "),
}


@pytest.mark.parametrize(("word", "code", "shown"), EXPLAINED.values(), ids=EXPLAINED)
def test_explain_finds_what_is_no_rule(capsys: pytest.CaptureFixture[str], word: str, code: int, shown: str) -> None:
    assert run(["explain", word]) == code
    said = capsys.readouterr()
    assert shown in (said.err if code else said.out)


def test_only_rules_can_be_selected(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", "--select", "stack-schema"]) == 2
    assert 'unknown rule "stack-schema"' in capsys.readouterr().err
