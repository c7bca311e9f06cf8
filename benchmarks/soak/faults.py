"""Small faults in a module's text: Cosmic Ray's, and two that people make, a forgotten call and a forgotten element."""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

Node = Any
"""A node of parso, which has no types."""

Place = tuple[int, int]
"""Line and column, both as parso counts them: lines from 1, columns from 0."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A place where a module can be wrong, and how."""

    module: str
    kind: str
    occurrence: int
    """The how-manyth place of this kind in the module, as Cosmic Ray counts them."""

    first: int
    last: int
    """The lines of the statement that holds the fault, or of its head where it has a body."""

    key: str
    """A name that stays while the module's text does."""


class Operator(Protocol):
    """A kind of fault, as Cosmic Ray asks for it."""

    def mutation_positions(self, node: Node) -> Iterator[tuple[Place, Place]]:
        """Yield start and end of what can be wrong at a node."""

    def mutate(self, node: Node, index: int) -> Node:
        """Return the node with the fault at one of these places."""


class ForgottenCall:
    """A statement that only calls something becomes `pass`."""

    def mutation_positions(self, node: Node) -> Iterator[tuple[Place, Place]]:
        if node.type == "simple_stmt" and node.children[0].type in {"atom_expr", "power"}:
            called = node.children[0]
            if called.children[-1].type == "trailer" and called.children[-1].children[0].value == "(":
                yield called.start_pos, called.end_pos

    def mutate(self, node: Node, index: int) -> Node:
        assert index == 0
        node.children[0] = get_ast(f"{node.children[0].get_first_leaf().prefix}pass").children[0]
        return node


class ForgottenElement:
    """A list, tuple, set or dict written out in the code loses one of its elements."""

    def mutation_positions(self, node: Node) -> Iterator[tuple[Place, Place]]:
        for element in self._elements(node):
            yield element[0].start_pos, element[-1].end_pos

    def mutate(self, node: Node, index: int) -> Node:
        lost = self._elements(node)[index]
        start = node.children.index(lost[0])
        end = start + len(lost)
        comma = end < len(node.children)
        del node.children[start : end + comma]
        return node

    @staticmethod
    def _elements(node: Node) -> list[list[Node]]:
        """Return the elements of a display with two or more, each as its nodes (a dict's have key, colon and value)."""
        if node.type not in {"testlist_comp", "dictorsetmaker"} or any("comp_for" in c.type for c in node.children):
            return []
        found: list[list[Node]] = [[]]
        for child in node.children:
            if getattr(child, "value", None) == ",":
                found.append([])
            else:
                found[-1].append(child)
        elements = [one for one in found if one]
        return elements if len(elements) > 1 else []


UNNOTICEABLE = re.compile(r"^NoOp$|Operator_(Eq|NotEq|Lt|LtE|Gt|GtE)_Is|_(UAdd|Invert)$")
"""Kinds that change nothing, or nothing that this code can tell: equal texts and small numbers are one object."""


def _operators() -> dict[str, Operator]:
    found = {name.removeprefix("core/"): get_operator(name) for name in operator_names()}
    plain = {name: one() for name, one in found.items() if not one.arguments() and not UNNOTICEABLE.search(name)}
    return {**plain, "ForgottenCall": ForgottenCall(), "ForgottenElement": ForgottenElement()}


OPERATORS = _operators()


def faults(root: Path, module: str) -> list[Fault]:
    """Return a module's faults, one of each family and place: which operator replaces another is left to chance.

    Args:
        root: Directory that holds the package.
        module: Path of the module below it.
    """
    text = (root / module).read_text("utf-8")
    lines = text.splitlines()
    tree = ast.parse(text)
    dead = list(_unread(tree))
    nodes = list(ast_nodes(get_ast(text)))
    found: dict[tuple[str, Place], Fault] = {}
    for kind, operator in OPERATORS.items():
        places = [place for node in nodes for place, _ in operator.mutation_positions(node)]
        for occurrence, place in enumerate(places):
            if any(begin <= place < end for begin, end in dead) or lines[place[0] - 1].strip() == "@cache":
                continue
            key = hashlib.sha256(f"{module}\0{kind}\0{occurrence}\0{text}".encode()).hexdigest()[:16]
            fault = Fault(module, kind, occurrence, *_statement(tree, place[0]), key)
            held = found.setdefault((kind.partition("_")[0], place), fault)
            if fault.key < held.key:
                found[kind.partition("_")[0], place] = fault
    return list(found.values())


def faulty(text: str, fault: Fault) -> str | None:
    """Return a module's text with the fault; None where that is no Python, or means the same."""
    new = mutate_code(text, OPERATORS[fault.kind], fault.occurrence)
    try:
        same = new is None or ast.dump(ast.parse(new)) == ast.dump(ast.parse(text))
    except SyntaxError:
        return None
    return None if same else new


def _unread(tree: ast.Module) -> Iterator[tuple[Place, Place]]:
    """Yield start and end of annotations, and of what only a type checker reads."""
    for node in ast.walk(tree):
        parts: list[ast.stmt | ast.expr | None]
        match node:
            case ast.AnnAssign() | ast.arg():
                parts = [node.annotation]
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                parts = [node.returns]
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                parts = [*node.body]
            case ast.Assign(targets=[ast.Name(id="__all__")]):
                parts = [node]
            case _:
                continue
        for part in parts:
            if part is not None:
                yield (part.lineno, part.col_offset), (part.end_lineno or 0, part.end_col_offset or 0)


def _statement(tree: ast.Module, line: int) -> tuple[int, int]:
    """Return first and last line of the innermost statement at a line; of one with a body, its head's."""
    found = (line, line)
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or 0):
            body = getattr(node, "body", None)
            last = max(node.lineno, body[0].lineno - 1) if isinstance(body, list) and body else node.end_lineno or 0
            if line <= last:
                found = (node.lineno, last)
    return found
