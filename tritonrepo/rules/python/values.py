"""Values of expressions that are certain from a source alone: literals, names that are bound to them, parts of them."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tritonrepo.rules.python.script import nodes

SCALARS = (str, int, float, bool, bytes, type(None))
UNKNOWN = object()
CONFIG = object()
"""The value of `config.as_dict()`, of which only the names of inputs and outputs can be read."""

KINDS = ("input", "output")


@dataclass(slots=True)
class Named:
    """A tensor of the config, of which only the name can be read; like the dict that it is, it has no hash."""

    name: str


@dataclass(slots=True)
class Listed:
    """The inputs or outputs of the config at the time when they are read."""

    kind: str


class Constants:
    """The names that a module binds once, at its top, to a literal that nothing has changed when a method is called."""

    def __init__(self, tree: ast.Module, cls: str) -> None:
        self.tree = tree
        self.cls = cls
        self._values: dict[str, Any] = {}

    def get(self, name: str) -> Any:  # noqa: ANN401  any plain value
        """Return the value of a name, always the same object, or UNKNOWN."""
        if name not in self._values:
            self._values[name] = self._value(name)
        return self._values[name]

    def _value(self, name: str) -> Any:  # noqa: ANN401  any plain value
        node = self._assigned.get(name)
        if node is None or self.bound[name] != 1:
            return UNKNOWN
        value = _literal(node)
        return value if isinstance(value, SCALARS) or not self._exposed & {name, self.cls} else UNKNOWN

    @cached_property
    def bound(self) -> Counter[str]:
        """How often each name is bound, anywhere in the module."""
        every = nodes(self.tree)
        names = [each.id for each in every if isinstance(each, ast.Name) and not isinstance(each.ctx, ast.Load)]
        names += [each.arg for each in every if isinstance(each, ast.arg)]
        names += [each.asname or each.name.partition(".")[0] for each in every if isinstance(each, ast.alias)]
        defined = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
        names += [each.name for each in every if isinstance(each, defined)]
        names += [name for each in every if isinstance(each, ast.Global | ast.Nonlocal) for name in each.names]
        caught = (each.name for each in every if isinstance(each, ast.ExceptHandler | ast.MatchAs | ast.MatchStar))
        return Counter([*names, *filter(None, caught)])

    @cached_property
    def _assigned(self) -> dict[str, ast.expr]:
        found: dict[str, ast.expr] = {}
        for statement in self.tree.body:
            match statement:
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    found[name] = value
                case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                    found[name] = value
                case _:
                    pass
        return found

    @cached_property
    def _exposed(self) -> set[str]:
        """The names that code reads which may run before a method of the class is called."""
        methods = [
            each
            for cls in self.tree.body
            if isinstance(cls, ast.ClassDef) and cls.name == self.cls
            for each in cls.body
            if isinstance(each, ast.FunctionDef)
        ]
        later = {id(node) for method in methods for statement in method.body for node in nodes(statement)}
        read = (each for each in nodes(self.tree) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load))
        found = {each.id for each in read if id(each) not in later}
        return found | {self.cls} if found & {method.name for method in methods} else found


@dataclass(slots=True)
class Scope:
    """Values in a function: of its own names, of the module's constants, and of the config that it is given.

    A local name is no constant even before it is bound: the module then binds the name more than once.
    """

    config: str
    constants: Constants
    tensors: Callable[[str], list[str]]
    known: dict[str, Any] = field(default_factory=dict)

    def value(self, node: ast.expr) -> Any:  # noqa: ANN401  any plain value
        """Return the value of an expression, UNKNOWN if it is not certain."""
        try:
            return self._value(node)
        except (ValueError, TypeError, LookupError, RecursionError, MemoryError):
            return UNKNOWN

    def items(self, value: Any) -> list[Any] | None:  # noqa: ANN401  any plain value
        """Return what a loop over a value yields; None if that is not certain."""
        if isinstance(value, Listed):
            return [Named(name) for name in self.tensors(value.kind)]
        return [*value] if isinstance(value, list | tuple) else None

    def is_builtin(self, name: str) -> bool:
        """Return whether a name is not bound by the module."""
        return not self.constants.bound[name]

    def _value(self, node: ast.expr) -> Any:  # noqa: ANN401, C901, PLR0911  one case for each form
        match node:
            case ast.Name(id=name):
                return self._name(name)
            case ast.List(elts=items):
                return self._all(items)
            case ast.Tuple(elts=items):
                return _made(tuple, self._all(items))
            case ast.Dict(keys=keys, values=values) if None not in keys:
                return _paired(self._all([key for key in keys if key is not None]), self._all(values))
            case ast.Call(func=ast.Name(id="dict"), args=[], keywords=given) if self.is_builtin("dict"):
                names = [each.arg for each in given]
                return UNKNOWN if None in names else _paired(names, self._all([each.value for each in given]))
            case ast.Call(func=ast.Name(id="list" | "set" as name), args=[], keywords=[]) if self.is_builtin(name):
                return [] if name == "list" else set()
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="as_dict"), args=[], keywords=[]):
                return CONFIG if name == self.config else UNKNOWN
            case ast.Subscript(value=inner, slice=ast.Constant(value=key)):
                return self._part(self._value(inner), key)
            case ast.ListComp(elt=part, generators=[one]) | ast.SetComp(elt=part, generators=[one]):
                found = self._each(part, one)
                return found if isinstance(node, ast.ListComp) else _made(set, found)
            case ast.Compare(left=left, ops=[operator], comparators=[right]):
                return _compared(operator, self._value(left), self._value(right))
            case _:
                return _literal(node)

    def _name(self, name: str) -> Any:  # noqa: ANN401  any plain value
        return self.known[name] if name in self.known else self.constants.get(name)

    def _all(self, items: list[ast.expr]) -> Any:  # noqa: ANN401  a list, or UNKNOWN
        values = [self._value(item) for item in items]
        return UNKNOWN if any(value is UNKNOWN or value is CONFIG for value in values) else values

    def _part(self, whole: Any, key: Any) -> Any:  # noqa: ANN401  any plain value
        if whole is CONFIG:
            return Listed(key) if key in KINDS else UNKNOWN
        if isinstance(whole, Named):
            return whole.name if key == "name" else UNKNOWN
        return whole[key] if isinstance(whole, dict) else UNKNOWN

    def _each(self, part: ast.expr, one: ast.comprehension) -> Any:  # noqa: ANN401  a list, or UNKNOWN
        """Return the values of a comprehension over one name without conditions."""
        over = self.items(self._value(one.iter))
        if over is None or not isinstance(one.target, ast.Name) or one.ifs or one.is_async:
            return UNKNOWN
        outer = dict(self.known)
        found = []
        for item in over:
            self.known[one.target.id] = item
            found.append(self._value(part))
        self.known = outer
        return UNKNOWN if any(value is UNKNOWN for value in found) else found


def _made(kind: Callable[[Any], Any], items: Any) -> Any:  # noqa: ANN401  any plain value
    return UNKNOWN if items is UNKNOWN else kind(items)


def _paired(names: Any, values: Any) -> Any:  # noqa: ANN401  a dict, or UNKNOWN
    return UNKNOWN if UNKNOWN in (names, values) else dict(zip(names, values, strict=True))


def _compared(operator: ast.cmpop, left: Any, right: Any) -> Any:  # noqa: ANN401  a bool, or UNKNOWN
    """Return whether a value is in a list or set, as the operator asks."""
    if not isinstance(left, str) or not isinstance(right, list | set | tuple):
        return UNKNOWN
    if isinstance(operator, ast.In | ast.NotIn):
        return (left in right) == isinstance(operator, ast.In)
    return UNKNOWN


def _literal(node: ast.expr) -> Any:  # noqa: ANN401  any plain value
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, RecursionError, MemoryError):
        return UNKNOWN
