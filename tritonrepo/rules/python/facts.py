"""What is certain about a Python model's class from its source alone.

Code that may do anything is not judged: a decorator, a base class, a name bound twice, setattr and the like.

Source: python_backend, src/pb_stub.cc, Stub::AutoCompleteModelConfig, Stub::Initialize: TritonPythonModel is looked up
in the module and called without arguments; auto_complete_config gets the config, initialize a dict.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from tritonrepo.repository import Model
from tritonrepo.repository.once import once
from tritonrepo.rules.python.lookups import Lookup, lookups
from tritonrepo.rules.python.script import Script, SyntaxFault, nodes, scripts

CLASS = "TritonPythonModel"
BINDING = frozenset({"*", "exec", "eval", "globals", "vars", "locals", "setattr", "modules"})
DYNAMIC = BINDING | {"__import__", "__dict__", "__getattr__", "__getattribute__", "__new__"}
"""Names in a source that may bind anything anywhere."""

NAMES = ("id", "attr", "name", "asname", "arg", "value")
Function = ast.FunctionDef | ast.AsyncFunctionDef


class Told(NamedTuple):
    """What goes wrong when a method is called: the place, and Python's words, "" if unknown."""

    line: int
    column: int
    words: str


class ClassFacts(NamedTuple):
    """What is certain; False and None mean that nothing is.

    `executes_not` is the place of a class that answers no request. `signatures` has the methods that cannot take their
    arguments, `raising` those that only raise; `completes` is auto_complete_config if it is a plain function.
    """

    classless: bool = False
    executes_not: Told | None = None
    signatures: tuple[tuple[str, Told], ...] = ()
    raising: tuple[tuple[str, Told], ...] = ()
    completes: ast.FunctionDef | None = None


NOTHING = ClassFacts()
LOOKING = b"put_config_by_name"
LOOKED_UP = re.compile(rb"get_(in|out)put_config_by_name\s*\([^()\"']*,\s*[\"']([^\"'\\]*)[\"']\s*\)")


HEAD = re.compile(rb"\nclass TritonPythonModel(?:\((?:object)?\))?:")
EXECUTE = re.compile(rb"\n    def execute\(self, ?\w{1,99}(?:: ?[^,()=\n]{1,99})?\)")
INITIALIZE = re.compile(
    rb"\n    def initialize\(self, ?\w{1,99}(?:: ?[^,()=\n]{1,99})?\)[^\n#]{0,99}:\n[ ]{8}(?!raise|pass|\.\.\.|[\"'rR])"
)
OTHERS = (b"__init__", b"auto_complete_config", b"async def")


def _is_plain(text: bytes) -> bool:
    """Return whether a source, as most do, has one class with methods in which nothing is wrong; this is cheap."""
    text = b"\n" + text
    if text.count(b"class ") != 1 or not HEAD.search(text) or any(each in text for each in OTHERS):
        return False
    found = len(EXECUTE.findall(text)) == text.count(b"def execute") == 1
    return found and len(INITIALIZE.findall(text)) == text.count(b"def initialize")


@once
def class_facts(model: Model) -> tuple[tuple[Script, ClassFacts], ...]:
    """Return what is certain about each source of a model."""
    return tuple((script, NOTHING if _is_plain(script.text) else _facts(script.tree)) for script in scripts(model))


def _facts(tree: ast.Module | SyntaxFault | None) -> ClassFacts:
    """Return what is certain about a source; nothing if it cannot be parsed."""
    if not isinstance(tree, ast.Module):
        return NOTHING
    cls = _class(tree)
    if cls is None:
        return ClassFacts(classless=not (DYNAMIC | {CLASS}) & words(tree))
    methods = _methods(cls)
    found = ClassFacts(
        executes_not=_executes_not(cls, methods.get("execute")),
        signatures=tuple(_signatures(methods)),
        raising=tuple((name, told) for name in METHODS if name in methods and (told := _raises(methods[name]))),
        completes=_plain(methods.get("auto_complete_config")),
    )
    return found if found == NOTHING or _is_certain(tree, cls, methods) else NOTHING


def _class(tree: ast.Module) -> ast.ClassDef | None:
    return next((node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == CLASS), None)


def _methods(cls: ast.ClassDef) -> dict[str, Function]:
    return {node.name: node for node in cls.body if isinstance(node, Function)}


def has_all(script: Script, names: Mapping[str, Collection[str]]) -> bool:
    """Return whether a source, as most do, surely looks up only inputs and outputs of these names; this is cheap."""
    found = LOOKED_UP.findall(script.text)
    there = all(name.decode("utf-8", "replace") in names[f"{kind.decode()}put"] for kind, name in found)
    return there and len(found) == script.text.count(LOOKING)


def needs(script: Script) -> Iterator[Lookup]:
    """Yield the tensors that the config must have as written; none if the model may complete it.

    They are certain only if the class `is_certain`, which costs more; most configs have what is needed.
    """
    tree = script.tree
    cls = _class(tree) if isinstance(tree, ast.Module) else None
    methods = _methods(cls) if cls is not None else {}
    method = methods.get("initialize")
    if not isinstance(tree, ast.Module) or not isinstance(method, ast.FunctionDef):
        return
    if not method.decorator_list and "auto_complete_config" not in methods:
        yield from lookups(tree, method)


def is_certain(script: Script) -> bool:
    """Return whether the class is the one that is called, with the methods that its source shows."""
    tree = script.tree
    cls = _class(tree) if isinstance(tree, ast.Module) else None
    return isinstance(tree, ast.Module) and cls is not None and _is_certain(tree, cls, _methods(cls))


def words(tree: ast.AST) -> set[str]:
    """Return every name and string of a source except comments and docstrings; `*` for an import of all names."""
    every = nodes(tree)
    bare = {id(node.value) for node in every if isinstance(node, ast.Expr)}
    return {
        word.rpartition(".")[2]
        for node in every
        if id(node) not in bare or not isinstance(node, ast.Constant)
        for field in NAMES
        if isinstance(word := getattr(node, field, None), str)
    }


def _is_certain(tree: ast.Module, cls: ast.ClassDef, methods: dict[str, Function]) -> bool:
    base = not cls.bases or [getattr(each, "id", None) for each in cls.bases] == ["object"]
    if cls.decorator_list or cls.keywords or not base or DYNAMIC & words(tree):
        return False
    every = [node for node in nodes(tree) if isinstance(node, BINDERS)]
    bound = [name for node in every for name in _bound(node)]
    inside = [name for node in nodes(cls) if isinstance(node, BINDERS) for name in _bound(node, attributes=False)]
    stored = {name for node in every if isinstance(node, ast.Attribute) for name in _bound(node)}
    known = {name for name in (*METHODS, "execute") if name in methods}
    return bound.count(CLASS) == 1 and not stored & {*METHODS, "execute"} and all(inside.count(n) == 1 for n in known)


BINDERS = Function | ast.ClassDef | ast.Name | ast.Attribute | ast.alias


def _bound(node: ast.AST, *, attributes: bool = True) -> Iterator[str]:
    """Yield the name that a node binds."""
    if isinstance(node, Function | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
        yield node.id
    elif attributes and isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
        yield node.attr
    elif isinstance(node, ast.alias):
        yield node.asname or node.name.partition(".")[0]


METHODS = {"__init__": 1, "initialize": 2, "auto_complete_config": 1}
"""The methods that are called when a model loads, and with how many arguments, including self."""


def _executes_not(cls: ast.ClassDef, execute: Function | None) -> Told | None:
    if execute is None:
        return None if "execute" in words(cls) else Told(cls.lineno, cls.col_offset + 1, "")
    said = "" if execute.decorator_list else _cannot_take(execute, 2)
    return Told(execute.lineno, execute.col_offset + 1, said) if said else None


def _signatures(methods: dict[str, Function]) -> Iterator[tuple[str, Told]]:
    for name, given in METHODS.items():
        method = methods.get(name)
        said = _cannot_take(method, given + _extra(method)) if method is not None and _extra(method) >= 0 else ""
        if method is not None and said:
            yield name, Told(method.lineno, method.col_offset + 1, f"TypeError: {CLASS}.{said}")


def _extra(method: Function) -> int:
    """Return how many extra arguments a method gets because of its decorator; -1 if that is unknown."""
    decorators = [getattr(each, "id", "?") for each in method.decorator_list]
    if not decorators or (method.name == "auto_complete_config" and decorators == ["staticmethod"]):
        return 0
    return 1 if method.name == "auto_complete_config" and decorators == ["classmethod"] else -1


def _cannot_take(method: Function, given: int) -> str:
    """Return Python's words if a call with this many arguments fails, else "".

    Source: cpython, Python/ceval.c, too_many_positional, missing_arguments.
    """
    takes = [arg.arg for arg in (*method.args.posonlyargs, *method.args.args)]
    needs = len(takes) - len(method.args.defaults)
    if given > len(takes) and method.args.vararg is None:
        count = f"{len(takes)}" if needs == len(takes) else f"from {needs} to {len(takes)}"
        plural = "" if count == "1" else "s"
        was = "was" if given == 1 else "were"
        return f"{method.name}() takes {count} positional argument{plural} but {given} {was} given"
    if given < needs:
        return f"{method.name}() missing {_listed(takes[given:needs], 'positional')}"
    keywords = zip(method.args.kwonlyargs, method.args.kw_defaults, strict=True)
    lacking = [arg.arg for arg, default in keywords if default is None]
    return f"{method.name}() missing {_listed(lacking, 'keyword-only')}" if lacking else ""


def _listed(names: Sequence[str], kind: str) -> str:
    quoted = [f"'{name}'" for name in names]
    comma = "," if len(quoted) > 2 else ""  # noqa: PLR2004  two names take no comma
    text = f"{', '.join(quoted[:-1])}{comma} and {quoted[-1]}" if len(quoted) > 1 else quoted[0]
    return f"{len(quoted)} required {kind} argument{'' if len(quoted) == 1 else 's'}: {text}"


def _raises(method: Function) -> Told | None:
    """Return the first effective statement if it raises an exception whose text is known."""
    first = next((each for each in method.body if not _is_idle(each)), None)
    words = raised(first) if isinstance(first, ast.Raise) else ""
    if first is None or not words or isinstance(method, ast.AsyncFunctionDef):
        return None
    generates = any(isinstance(node, ast.Yield | ast.YieldFrom) for node in nodes(method))
    return None if generates else Told(first.lineno, first.col_offset + 1, words)


def raised(statement: ast.Raise) -> str:
    """Return the text of a built-in exception or pb_utils.TritonModelException with at most one string; else ""."""
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


def _plain(method: Function | None) -> ast.FunctionDef | None:
    """Return auto_complete_config if it is an ordinary function of its config."""
    if not isinstance(method, ast.FunctionDef) or _extra(method) < 0 or _cannot_take(method, 1 + _extra(method)):
        return None
    return None if any(isinstance(node, ast.Yield | ast.YieldFrom) for node in nodes(method)) else method


def _is_idle(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Pass) or (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    )
