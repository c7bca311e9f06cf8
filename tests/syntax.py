"""The package as syntax: its modules, what their names stand for, and what its calls are given."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "tritonrepo"


def children(node: ast.AST) -> list[ast.AST]:
    """Return a node's children, save how names are used; `ast.iter_child_nodes` takes each process seconds."""
    found: list[ast.AST] = []
    for field in node._fields:
        value = getattr(node, field, None)
        if type(value) is list:
            for each in value:
                if isinstance(each, ast.AST):
                    found.append(each)  # noqa: PERF401  a comprehension is a call
        elif isinstance(value, ast.AST) and field != "ctx":
            found.append(value)
    return found


def walk(node: ast.AST) -> list[ast.AST]:
    """Return a node and all that is in it, in the order of `ast.walk`."""
    found = [node]
    for each in found:
        found += children(each)
    return found


class Module:
    """A module's tree, what its names stand for, and the parameters of its callables."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tree = ast.parse(path.read_text("utf-8"))
        self.nodes = walk(self.tree)
        self.name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        self.imports = dict(self._imported())
        self.constants = {
            target.id: node.value
            for node in self.tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        self.parameters = dict(self._parameters())

    def _imported(self) -> Iterator[tuple[str, tuple[str, str]]]:
        for node in self.nodes:
            if isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    yield alias.asname or alias.name, (node.module, alias.name)

    def _parameters(self) -> Iterator[tuple[str, list[str]]]:
        for node in self.nodes:
            if isinstance(node, ast.FunctionDef):
                yield node.name, [argument.arg for argument in node.args.args]
            elif isinstance(node, ast.ClassDef):
                yield (
                    node.name,
                    [
                        each.target.id
                        for each in node.body
                        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
                    ],
                )

    def place(self, node: ast.AST) -> str:
        """Return where a node is, for messages."""
        return f"{self.path.relative_to(PACKAGE)}:{getattr(node, 'lineno', 0)}"


@cache
def modules() -> dict[str, Module]:
    """Return the package's modules by name; each process of the tests would parse them at an import."""
    return {module.name: module for module in map(Module, sorted(PACKAGE.rglob("*.py")))}


def source(module: Module, node: ast.expr) -> tuple[Module, str] | None:
    """Return the module that defines what an expression names, and the name there."""
    match node:
        case ast.Name(id=name):
            home, inner = module.imports.get(name, (module.name, name))
            return (modules()[home], inner) if home in modules() else None
        case ast.Attribute(value=ast.Name(id=name), attr=inner) if name in module.imports:
            found = modules().get(".".join(module.imports[name]))
            return (found, inner) if found else None
        case _:
            return None


def given(module: Module, call: ast.Call, parameter: str) -> list[ast.expr]:
    """Return what a call of one of the package's callables gives for a parameter: one expression, or none."""
    home, taker = source(module, call.func) or (module, "")
    parameters = home.parameters.get(taker, [])
    if parameter not in parameters:
        return []
    named = [keyword.value for keyword in call.keywords if keyword.arg == parameter]
    place = parameters.index(parameter)
    if any(isinstance(each, ast.Starred) for each in call.args[:place]):
        if isinstance(call.args[-1], ast.Starred):
            return named
        place -= len(parameters) - len(call.args) - len(call.keywords)  # where all are given, and some follow it
    return named or call.args[place:][:1]
