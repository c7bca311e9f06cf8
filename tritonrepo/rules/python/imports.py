"""What a Python source surely imports when it is imported itself: the statements at its top.

What is behind a condition, in a try statement or in a function may be meant to fail, or never run. After a statement
that may change where Python looks for modules, nothing is certain.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

from tritonrepo.rules.python.script import nodes

LINE = re.compile(rb"\n[\xef\xbb\xbf\x0c]{0,9}(?:import[ \t]+([^\n#;(\\]*)|from[ \t]+([.\w]+))")
HARMLESS = frozenset({"logging", "warnings", "np", "numpy", "re", "os", "TypeVar", "torch"})
"""Modules and functions that a source often uses at its top, none of which changes where Python looks for modules."""

CHANGING = frozenset({"path", "system", "popen", "meta_path", "path_hooks", "modules"})
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class Imported(NamedTuple):
    """A module that is imported by its name, or relative to the source's directory if `level` is not 0; and where."""

    module: str
    level: int
    line: int
    column: int

    @property
    def top(self) -> str:
        """The first part of the name."""
        return self.module.partition(".")[0]


def mentioned(text: bytes) -> set[str]:
    """Return the first part of each module that some line seems to import at the top, "" for a relative import."""
    found: set[str] = set()
    for modules, module in LINE.findall(b"\n" + text):
        words = [each.split()[0] for each in modules.split(b",") if each.split()] if modules else [module]
        found.update(word.partition(b".")[0].decode("ascii", "replace") for word in words)
    return found


def imports(tree: ast.Module) -> Iterator[Imported | None]:
    """Yield what a source surely imports, in order; None as the last one if the rest is uncertain."""
    for statement in tree.body:
        match statement:
            case ast.Import(names=aliases):
                yield from (Imported(each.name, 0, each.lineno, each.col_offset + 1) for each in aliases)
            case ast.ImportFrom(module=str(module), level=level):
                yield Imported(module, level, statement.lineno, statement.col_offset + len("from ") + 1)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() | ast.ImportFrom():
                pass
            case _:
                if _may_change(statement):
                    yield None
                    return


def _may_change(statement: ast.stmt) -> bool:
    """Return whether a statement may change what can be imported, or end the import."""
    for node in nodes(statement):
        match node:
            case ast.Raise() | ast.Await() | ast.Yield() | ast.YieldFrom():
                return True
            case ast.Call(func=called) if _root(called) not in HARMLESS:
                return True
            case ast.Attribute(attr=name) if name in CHANGING:
                return True
    return False


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""
