"""What goes wrong for certain as Python imports a model's source, and the files beside it that it imports first."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from tritonrepo.diagnostics import Severity, Span
from tritonrepo.repository import Model
from tritonrepo.rules.python.raising import Raised, first, scope
from tritonrepo.rules.python.script import (
    INSTALLED,
    PACKAGE,
    Fault,
    Script,
    not_installed,
    parse,
    python_of,
    read,
    scripts,
)
from tritonrepo.rules.registry import Finding, rule


class Failed(NamedTuple):
    """The file that fails, and why."""

    path: str
    raised: Raised


@rule("python-import-error", Severity.ERROR, "backend=python")
def import_error(model: Model) -> Iterator[Finding]:
    """A Python model's file can be imported.

    Why:
        What it raises at its top, or in a file beside it that it imports there, refuses the model. Seen here is what is
        raised on every way: a raise, a name that nothing defines, a file beside it that is not there or that Python
        cannot read. Modules that an image may have or lack are not judged.
    Source:
        python_backend, src/pb_stub.cc, ModelContext::StubSetup; seen on 24.10
    Bad:
        -- ranker/config.pbtxt --
        backend: "python"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/model.py --
        class TritonPythonModel:
            def execute(self, requests: List) -> List:
                return [None for _ in requests]
    Says:
        ranker/1/model.py:2:33: error: its import reads List, which nothing defines [python-import-error]
          Write from typing import List at the top.
    Server says:
        NameError: name 'List' is not defined
    Good:
        -- ranker/config.pbtxt --
        backend: "python"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/model.py --
        from typing import List
        class TritonPythonModel:
            def execute(self, requests: List) -> List:
                return [None for _ in requests]
    """
    for script in scripts(model):
        found = _package(model, script) or _file(model, script, (script.path,))
        if found is not None:
            lacking = not_installed(model, script, found.raised.line if found.path == script.path else 0)
            said = f"ModuleNotFoundError: No module named '{lacking}'" if lacking else found.raised.words
            at = Span(f"{model.name}/{found.path}", found.raised.line, found.raised.column)
            yield Finding(at, f"its import {found.raised.message}", found.raised.hint, said)


def _package(model: Model, script: Script) -> Failed | None:
    """Give what fails in the __init__.py beside a source, which Python runs before it."""
    package = read(model, f"{script.path.rpartition('/')[0]}/{PACKAGE}")
    return _file(model, package, (package.path, script.path)) if package is not None else None


def _file(model: Model, script: Script, seen: tuple[str, ...]) -> Failed | None:
    """Give what fails in a file, at the top of it or in what it imports there; nothing of a source that is a fault.

    A model's own source that cannot be read is another rule's.
    """
    tree = parse(script, python_of(model))
    if isinstance(tree, Fault) and len(seen) > 1:
        hint = "Mend the line; nothing behind it was looked at."
        raised = Raised(
            tree.line, tree.column, tree.reason, f"fails, since Python cannot read it: {tree.message}", hint
        )
        return Failed(script.path, raised)
    if not isinstance(tree, ast.Module):
        return None
    names = scope(tree, python_of(model))
    for statement in tree.body:
        found = _beside(model, script, statement, seen)
        here = first([statement], names) if found is None else None
        if found is not None or here is not None:
            return Failed(script.path, here) if here is not None else found
        if isinstance(statement, ast.While):
            break
    return None


def _beside(model: Model, script: Script, statement: ast.stmt, seen: tuple[str, ...]) -> Failed | None:
    """Give what fails as a statement imports files of the version directory."""
    for name, relative in _imports(statement):
        directory = script.path.rpartition("/")[0]
        there = [path for path in model.entries if path.startswith((f"{directory}/{name}/", f"{directory}/{name}."))]
        path = f"{directory}/{name}.py"
        if not there and relative and f"{directory}/{name}" not in model.entries:
            return _not_there(script, statement, name)
        beside = read(model, path) if there == [path] and path not in seen else None
        found = _file(model, beside, (*seen, path)) if beside is not None else None
        if found is not None:
            return found
    return None


def _imports(statement: ast.stmt) -> Iterator[tuple[str, bool]]:
    """Give the names of files beside that a statement imports, and whether Python looks for them nowhere else."""
    match statement:
        case ast.ImportFrom(level=1, module=str(name)):
            yield name.partition(".")[0], True
        case ast.ImportFrom(level=1, names=aliases):
            yield from ((each.name, False) for each in aliases)
        case ast.Import(names=aliases):
            yield from ((each.name, False) for each in aliases if each.name not in INSTALLED and "." not in each.name)
        case ast.ImportFrom(level=0, module=str(name)) if name not in INSTALLED and "." not in name:
            yield name, False


def _not_there(script: Script, statement: ast.stmt, name: str) -> Failed:
    directory = script.path.rpartition("/")[0]
    words = f"ModuleNotFoundError: No module named '{directory.rpartition('/')[2]}.{name}'"
    message = f"needs {name}.py beside it, which is not there"
    raised = Raised(statement.lineno, statement.col_offset + 1, words, message, f"Put {name}.py into {directory}/.")
    return Failed(script.path, raised)
