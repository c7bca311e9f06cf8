"""The first thing in a source that raises for certain, whatever the code before it does.

Only what runs on every way counts: statements at the top of a file, of a class in it, or of a method up to its first
return. What is before may raise, too, which refuses the model as well.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

from tritonrepo.rules.python.script import INSTALLED, nodes

BINDING = frozenset({"*", "exec", "eval", "globals", "vars", "locals", "setattr", "modules"})
DYNAMIC = BINDING | {"__import__", "__dict__", "__getattr__", "__getattribute__", "__new__"}
"""Names in a source with which anything may be bound anywhere."""

INJECTING = DYNAMIC | {"install", "__builtins__", "builtins", "_getframe", "currentframe", "import_module"}
"""Names with which a name may come to be that nothing in the source binds; gettext and icecream have an install."""

PACKAGES = """
PIL accelerate boto3 cupy cv2 faiss huggingface_hub numpy onnxruntime optimum pandas peft requests safetensors scipy
sentence_transformers sklearn soundfile tiktoken tokenizers torch torchvision transformers tritonclient vllm yaml
"""
IMPORTED = INSTALLED.union(PACKAGES.split())
"""Modules that bind nothing outside themselves."""

GIVEN = frozenset(dir(builtins)) | {
    "__file__",
    "__path__",
    "__cached__",
    "__annotations__",
    "__module__",
    "__qualname__",
}
GIVEN |= {"_", "exit", "quit", "help", "copyright", "credits", "license"}
BRANCHING = ast.Lambda | ast.IfExp | ast.BoolOp | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
EAGER = (3, 13)
"""The last Python that looks at a function's annotations as it is defined."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
NAMES = ("id", "attr", "name", "asname", "arg", "value", "rest")


class Raised(NamedTuple):
    """Where something raises, Python's words for it, and ours: what is wrong with it, and the next step."""

    line: int
    column: int
    words: str
    message: str
    hint: str


@dataclass(slots=True)
class Scope:
    """What a source's names may mean: those that are `near`, all that nothing binds, and whether annotations are read.

    The whole source is looked at only for a name that is not near, since most have none.
    """

    tree: ast.Module
    near: set[str]
    annotated: bool
    unbound: frozenset[str] | None = None

    def lacks(self, name: str) -> bool:
        """Tell whether nothing binds a name for certain."""
        if name in GIVEN or name in self.near:
            return False
        if self.unbound is None:
            self.unbound = _unbound(self.tree)
        return name in self.unbound

    def within(self, function: Function) -> Scope:
        """Give the scope in which the names that a function binds are near, too."""
        near = {node.arg for node in ast.walk(function.args) if isinstance(node, ast.arg)}
        near |= {name for statement in function.body for name in _binds(statement)}
        return replace(self, near=self.near | near)


@lru_cache(maxsize=32)
def scope(tree: ast.Module, python: tuple[int, int] | None) -> Scope:
    """Give the scope of a source as this Python runs it, or one that is not known."""
    lazy = any(isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in tree.body)
    near = {name for statement in tree.body for name in _binds(statement)}
    return Scope(tree, near, not lazy and python is not None and python <= EAGER)


def _binds(statement: ast.stmt) -> list[str]:
    """Give the names that a statement binds, as far as a glance tells."""
    match statement:
        case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
            return [each.asname or each.name.partition(".")[0] for each in aliases]
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.Assign(targets=targets):
            return [each.id for each in targets if isinstance(each, ast.Name)]
        case _:
            return []


def _unbound(tree: ast.Module) -> frozenset[str]:
    """Give the names of a source that are read and never bound; none where something may bind them unseen."""
    every = nodes(tree)
    imports = {name.partition(".")[0] for node in every for name in _modules(node)}
    if not imports <= IMPORTED or INJECTING & words(tree):
        return frozenset()
    read = {node.id for node in every if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    return frozenset(name for name in read - _bindable(every) if not name.startswith("__"))


def _bindable(every: list[ast.AST]) -> set[str]:
    """Give every word of a source that is no plain read of a name."""
    found: set[str] = set()
    for node in every:
        if not (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)):
            found |= {word for field in NAMES if isinstance(word := getattr(node, field, None), str)}
        if isinstance(node, ast.Global | ast.Nonlocal):
            found |= {*node.names}
        if isinstance(node, ast.alias):
            found.add(node.name.partition(".")[0])
    return found


def _modules(node: ast.AST) -> list[str]:
    """Give the modules that an import names, "." for one beside."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return ["." if node.level else node.module or "."]
    return []


def words(tree: ast.AST) -> set[str]:
    """Give every name and every string of a source, its comments and docstrings aside; `*` for what imports all."""
    every = nodes(tree)
    bare = {id(node.value) for node in every if isinstance(node, ast.Expr)}
    return {
        word.rpartition(".")[2]
        for node in every
        if id(node) not in bare or not isinstance(node, ast.Constant)
        for field in NAMES
        if isinstance(word := getattr(node, field, None), str)
    }


def first(body: list[ast.stmt], names: Scope) -> Raised | None:
    """Give the first of these statements that raises for certain."""
    for statement in body:
        if isinstance(statement, ast.While) or _leaves(statement):
            return None
        found = _statement(statement, names)
        if found is not None:
            return found
    return None


def _leaves(statement: ast.stmt) -> bool:
    """Tell whether a function may end here without an exception, or the rest be left out for another reason."""
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Return | ast.Break | ast.Continue | ast.While):
            return True
        if not isinstance(node, Function | ast.ClassDef | ast.expr):
            waiting += ast.iter_child_nodes(node)
    return False


def _statement(statement: ast.stmt, names: Scope) -> Raised | None:
    if isinstance(statement, ast.Raise) and (said := raised(statement)):
        hint = "Drop the line, or make it depend on something."
        return Raised(*_at(statement), said, f"always raises {said.partition(':')[0]}", hint)
    found = next((found for each in _evaluated(statement, names) if (found := _inside(each, names))), None)
    return first(statement.body, names) if found is None and isinstance(statement, ast.ClassDef) else found


def _evaluated(statement: ast.stmt, names: Scope) -> Iterator[ast.AST]:
    """Give what a statement evaluates in any case, the body of a class aside."""
    if isinstance(statement, Function):
        yield from _defining(statement, names)
    elif isinstance(statement, ast.ClassDef):
        yield from (*statement.decorator_list, *statement.bases, *(each.value for each in statement.keywords))
    elif isinstance(statement, ast.AnnAssign):
        yield from () if statement.value is None else (statement.value,)
    elif isinstance(statement, ast.Assign | ast.AugAssign | ast.Expr | ast.Raise):
        yield statement


def _defining(function: Function, names: Scope) -> Iterator[ast.expr]:
    """Give what Python evaluates as it defines a function."""
    arguments = function.args
    yield from function.decorator_list
    yield from arguments.defaults
    yield from (each for each in arguments.kw_defaults if each is not None)
    if names.annotated and not getattr(function, "type_params", []):
        every = (*arguments.posonlyargs, *arguments.args, arguments.vararg, *arguments.kwonlyargs, arguments.kwarg)
        annotations = (*(each.annotation for each in every if each is not None), function.returns)
        yield from (each for each in annotations if each is not None)


def _inside(node: ast.AST, names: Scope) -> Raised | None:
    """Give the first part of what is evaluated in any case that raises."""
    waiting = [node]
    while waiting:
        found = waiting.pop()
        if isinstance(found, ast.Name) and names.lacks(found.id):
            said = f"name '{found.id}' is not defined"
            return Raised(
                *_at(found), f"NameError: {said}", f"reads {found.id}, which nothing defines", _import(found.id)
            )
        match found:
            case ast.BinOp(left=ast.Constant(value=int()), op=ast.Div(), right=ast.Constant(value=int() as right)) if (
                not right
            ):
                return Raised(*_at(found), "ZeroDivisionError: division by zero", "divides by zero", "Mend the number.")
        if not isinstance(found, BRANCHING) and not (isinstance(found, ast.Compare) and len(found.ops) > 1):
            waiting += reversed([*ast.iter_child_nodes(found)])
    return None


def _import(name: str) -> str:
    known = {"np": "import numpy as np", "pb_utils": "import triton_python_backend_utils as pb_utils"}
    typing = {"List", "Dict", "Optional", "Any", "Union", "Tuple"}
    wanted = known.get(name) or (f"from typing import {name}" if name in typing else "")
    wanted = wanted or (f"import {name}" if name in INSTALLED else "")
    return f"Write {wanted} at the top." if wanted else "Import it, define it, or mend its spelling."


def _at(node: ast.stmt | ast.expr) -> tuple[int, int]:
    return node.lineno, node.col_offset + 1


def raised(statement: ast.Raise) -> str:
    """Give the text of an exception of Python's own, or pb_utils.TritonModelException, with one string; else ""."""
    call = statement.exc
    if isinstance(call, ast.Call) and call.keywords:  # most take none, and raise a TypeError instead
        return ""
    arguments = call.args if isinstance(call, ast.Call) else []
    kind = call.func if isinstance(call, ast.Call) else call
    name = kind.id if isinstance(kind, ast.Name) else kind.attr if isinstance(kind, ast.Attribute) else ""
    known = isinstance(getattr(builtins, name, None), type) and issubclass(getattr(builtins, name), Exception)
    if not (known and isinstance(kind, ast.Name)) and name != "TritonModelException":
        return ""
    texts = [each.value for each in arguments if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    if len(texts) != len(arguments) or len(texts) > 1 or name == "KeyError":
        return ""
    return f"{name}: {texts[0]}" if texts else name
