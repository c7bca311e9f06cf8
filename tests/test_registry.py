"""Everything that the package reports is registered under its name, and nothing else is."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tritonrepo.cli import run
from tritonrepo.report.pages import sections
from tritonrepo.report.registry import REGISTRY
from tritonrepo.rules import RULES

PACKAGE = Path(__file__).parent.parent / "tritonrepo"
OTHERS = sorted(REGISTRY.keys() - RULES.keys())


class Module:
    """A module's tree, what its names stand for, and which of its callables take the name of what they report."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tree = ast.parse(path.read_text("utf-8"))
        self.name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        self.imports = dict(self._imported())
        self.constants = {
            target.id: node.value
            for node in self.tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        self.takers = dict(self._takers())

    def _imported(self) -> Iterator[tuple[str, tuple[str, str]]]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    yield alias.asname or alias.name, (node.module, alias.name)

    def _takers(self) -> Iterator[tuple[str, int]]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef):
                names = [argument.arg for argument in node.args.args]
            elif isinstance(node, ast.ClassDef):
                names = [
                    each.target.id
                    for each in node.body
                    if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
                ]
            else:
                continue
            if "rule" in names:
                yield node.name, names.index("rule")


MODULES = {module.name: module for module in map(Module, sorted(PACKAGE.rglob("*.py")))}


def source(module: Module, node: ast.expr) -> tuple[Module, str] | None:
    """Return the module that defines what an expression names, and the name there."""
    match node:
        case ast.Name(id=name):
            home, inner = module.imports.get(name, (module.name, name))
            return (MODULES[home], inner) if home in MODULES else None
        case ast.Attribute(value=ast.Name(id=name), attr=inner) if name in module.imports:
            found = MODULES.get(".".join(module.imports[name]))
            return (found, inner) if found else None
        case _:
            return None


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
    for module in MODULES.values():
        for call in ast.walk(module.tree):
            if not isinstance(call, ast.Call) or module.name.startswith("tritonrepo.rules"):
                continue
            home, taker = source(module, call.func) or (module, "")
            place = home.takers.get(taker)
            given = [*(keyword.value for keyword in call.keywords if keyword.arg == "rule"), *call.args[place:][:1]]
            if place is not None and given:
                for name in written(module, given[0]):
                    yield name, severity(call, taker), f"{module.path.relative_to(PACKAGE)}:{call.lineno}"


USED = [*reported()]
NAMES = {name for name, _, _ in USED}


def test_everything_that_is_reported_is_registered() -> None:
    assert [(name, place) for name, _, place in USED if name not in REGISTRY] == []


def test_everything_that_is_registered_is_reported() -> None:
    assert len(OTHERS) > 100
    assert set(OTHERS) - NAMES == set()


@pytest.mark.parametrize("name", OTHERS)
def test_a_severity_is_one_that_is_used(name: str) -> None:
    used = {severity for each, severity, _ in USED if each == name} - {""}
    assert not used or REGISTRY[name].severity in used


@pytest.mark.parametrize("name", OTHERS)
def test_explain_knows_what_happened_and_the_next_step(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", name]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{name} ({REGISTRY[name].severity}): ")
    assert "\n\nWhat to do\n  " in out


@pytest.mark.parametrize("name", OTHERS)
def test_a_page_is_a_title_a_severity_and_its_sections(name: str) -> None:
    page = REGISTRY[name].page
    assert re.match(r"# [^\n]+[^.\n]\n\nSeverity: \w+\n\n## ", page)
    assert [heading for heading, _ in sections(page)] == ["Why", "What to do"]


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
