"""The house's own measures: short modules, short functions, an order of names."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import LONGEST
from tests.tabled import tabled
from tritonrepo.cli import COMMANDS

PACKAGE = Path(__file__).parent.parent / "tritonrepo"
MODULES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted(Path(__file__).parent.rglob("test_*.py"))
VAGUE = {"utils", "helpers", "common", "manager", "base"}


def test_a_module_is_short_and_says_what_it_is() -> None:
    for module in MODULES:
        text = module.read_text("utf-8")
        lines = len(text.splitlines())
        assert lines < 300, f"{module} has {lines} lines: split it into two modules, each about one subject"
        assert ast.get_docstring(ast.parse(text)), f"the first line of {module} says what is in it"
        assert module.stem not in VAGUE, f"name {module} by what is in it"


def functions(paths: list[Path]) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Yield the functions of modules, each with its place."""
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{path}:{node.lineno}: {node.name}", node


def test_functions_are_short() -> None:
    for place, node in functions(MODULES):
        statements = sum(isinstance(child, ast.stmt) for child in ast.walk(node)) - 1
        assert statements <= 30, f"{place} has {statements} statements: split it into two functions"


def test_a_test_is_short() -> None:
    """Its table is data, in a decorator or a constant, and does not count: only the function itself does."""
    for place, node in functions(TESTS):
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        assert lines <= 100, f"{place} has {lines} lines: split it, or move its data into a table"


def test_no_cache_of_inputs_outlives_a_run() -> None:
    """Facts that are packaged with us may be kept for good; what a user gave is kept by the run: see rules.judging."""
    keeping = {path.name for path in MODULES if "lru_cache" in path.read_text("utf-8")}
    assert not keeping


@tabled("command", COMMANDS)
def test_a_command_is_short(command: str) -> None:
    """Its work is a flow's: what a terminal has, any caller can have."""
    assert len((PACKAGE / "cli" / f"{command}.py").read_text("utf-8").splitlines()) < 120, "its work is a flow's"


def test_the_longest_test_files_are_there() -> None:
    assert [name for name in LONGEST if not (PACKAGE.parent / "tests" / f"test_{name}.py").is_file()] == []


def test_a_finding_gives_by_name_what_follows_place_and_message() -> None:
    for module in MODULES:
        for node in ast.walk(ast.parse(module.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Finding":
                assert len(node.args) <= 2, f"{module}:{node.lineno}"


def test_one_module_writes_to_the_streams() -> None:
    """What it does not print could be made to drive a terminal: see plain."""
    writing = re.compile(r"click\.(echo|secho)|sys\.(stdout|stderr)\.write|^ *print\(", re.MULTILINE)
    found = {path.name for path in (PACKAGE / "cli").glob("*.py") if writing.search(path.read_text("utf-8"))}
    assert found == {"output.py"}


def test_mypy_judges_every_module_of_a_backend() -> None:
    """They are found by name, as what their model.py imports, and one that is not listed would be passed over."""
    listed = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text("utf-8"))["tool"]["mypy"]["modules"]
    assert {path.stem for path in PACKAGE.glob("server/backends/*/*.py")} - {"model"} <= set(listed)
