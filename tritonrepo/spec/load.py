"""Nodes made into a frozen Stack by the types that `spec.stack` declares; all problems are collected with places."""

from __future__ import annotations

import math
import re
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, is_dataclass, replace
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from tritonrepo.diagnostics import Diagnostic, Fix, Severity, Span, Stop, closest, either, nearest
from tritonrepo.pbtxt.schema import model_config
from tritonrepo.spec import config, declare, source, stack
from tritonrepo.spec.mending import listed, renamed, respelled
from tritonrepo.spec.nodes import Items, Keys, Node, Scalar
from tritonrepo.spec.part import Model, Parts
from tritonrepo.spec.scalars import Misfit, flag, integer, number, single

RULE = "stack-schema"
DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(us|ms|s)")
SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(B|KiB|MiB|GiB|TiB|KB|MB|GB|TB)")
FREE = (Any, Mapping[str, Any], Mapping[str, str], Mapping[str, source.Source], stack.Config, stack.Paths)
"""Types of keys whose values are the user's own mappings and lists: the place of all that is in them is kept."""

MICROSECONDS = {"us": 1, "ms": 1_000, "s": 1_000_000}
BYTES = {"B": 1} | {f"{letter}iB": 1 << 10 * (i + 1) for i, letter in enumerate("KMGT")}
BYTES |= {f"{letter}B": 10 ** (3 * (i + 1)) for i, letter in enumerate("KMGT")}


def load(node: Keys, parts: Parts) -> stack.Stack:
    """Return the Stack, which can use these parts; raise Stop with everything that does not fit, in file order."""
    loader = _Loader(parts)
    value = loader.value(stack.Stack, node, "")
    if loader.wrong:
        raise Stop(sorted(loader.wrong, key=lambda d: d.at))
    assert isinstance(value, stack.Stack)  # noqa: S101  nothing was wrong
    return replace(value, parts=parts, node=node)


def _strip_optional(hint: Any) -> Any:
    """Return T for `T | None`."""
    if get_origin(hint) in {Union, types.UnionType}:
        rest = [arg for arg in get_args(hint) if arg is not type(None)]
        if len(rest) < len(get_args(hint)):
            return rest[0] if len(rest) == 1 else Union[tuple(rest)]  # noqa: UP007  made at run time
    return hint


@cache
def hints(cls: type) -> dict[str, Any]:
    """Return the types of a dataclass's keys, with `| None` removed."""
    return {name: _strip_optional(hint) for name, hint in get_type_hints(cls).items()}


def split(hint: Any) -> tuple[Any, Any]:
    """Return what a key takes as a single value, and the record that it takes as a mapping; None if it takes none."""
    if get_origin(hint) in {Union, types.UnionType}:
        records = [arg for arg in get_args(hint) if is_dataclass(arg) and declare.keys(arg)]
        rest = tuple(arg for arg in get_args(hint) if arg not in records)
        if records and rest:
            return (rest[0] if len(rest) == 1 else Union[rest]), records[0]  # noqa: UP007  made at run time
    return hint, None


class _Loader:
    """A walk over types and nodes together, which collects what does not fit."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.wrong: list[Diagnostic] = []

    def value(self, hint: Any, node: Node, name: str, minimum: int | None = None) -> Any:
        """Return the node as a value of this type; if it does not fit, collect the fault and return None."""
        try:
            return self._convert(hint, node, name, minimum)
        except Misfit as misfit:
            self.wrong.append(misfit.of(RULE))
            return None

    def _convert(self, hint: Any, node: Node, name: str, minimum: int | None) -> Any:
        value, record = split(hint)
        hint = value if record is None or not isinstance(node, Keys) else record
        if hint is stack.Paths:
            hint, node = tuple[str, ...], node if isinstance(node, Items) else Items(node.at, (node,))
        origin = get_origin(hint)
        if hint is stack.Config:
            fields, wrong = config.read(node)
            self.wrong += wrong
            return fields
        if stack.is_record(hint):
            keys = _keys(node, name)
            return self._model(keys) if hint is Model else self._record(hint, keys)
        if origin is tuple:
            return self._list(get_args(hint)[0], node, name)
        if origin is Mapping:
            return self._mapping(get_args(hint)[1], _keys(node, name))
        return plain(node) if hint is Any else _scalar(hint, node, name, minimum)

    def _model(self, node: Keys) -> Any:
        roles = self.parts
        if "role" not in node.keys:
            implied = next((role for role in roles if stack.implied(roles[role].keys, node.keys)), None)
            if implied is None:
                raise _no_role(node, roles)
            return self._record(roles[implied].keys, node)
        role = node.keys["role"][1]
        text = _scalar(str, role, "role", None)
        if text not in roles:
            _refuse_not_yet("role", text, role.at)
            raise Misfit(role.at, f'unknown role "{text}"', closest(text, roles), respelled(role.at, text, roles))
        return self._record(roles[text].keys, node)

    def _record(self, cls: Any, node: Keys) -> Any:
        known = {f.name: f for f in declare.keys(cls)}
        values: dict[str, Any] = {}
        fixes = renamed(node, known)
        for name, (at, child) in node.keys.items():
            if name not in known:
                self._unknown(name, at, list(known), fixes.get(name))
                continue
            if isinstance(child, Scalar) and child.kind == "null":
                continue
            values[name] = self.value(hints(cls)[name], child, name, known[name].metadata["minimum"])
        meant = {nearest(name, known) for name in node.keys if name not in known}
        for name, f in known.items():
            if f.default is MISSING and f.default_factory is MISSING and name not in values and name not in meant:
                message, hint = f'required key "{name}" is missing', f"Add {name} ({f.metadata['doc']})."
                self.wrong.append(Diagnostic(RULE, Severity.FATAL, node.at, message, hint))
        if self.wrong:
            return None  # a half-filled record would only lead to second errors
        free = [name for name in node.keys if hints(cls)[name] in FREE or _holds(hints(cls)[name])]
        inner = {path: at for name in free for path, at in _places(node.keys[name][1], name)}
        given = {name: child.at for name, (_, child) in node.keys.items() if name in values}
        return cls(**values, places={"": node.at} | given | inner | dict(_named(cls, node)))

    def _unknown(self, name: str, at: Span, known: list[str], fix: Fix | None) -> None:
        if name in stack.NOT_YET_KEYS:
            message, hint = f'key "{name}" is not supported here yet', f"Use {either(sorted(known))}."
            fix = None
        else:
            field = stack.IN_CONFIG.get(name, name if name in model_config().fields else "")
            message = f'unknown key "{name}"'
            inside = bool(field) and "config" in known
            hint = f"Set {field} in config." if inside else closest(name, known)
            fix = None if inside else fix
        self.wrong.append(Diagnostic(RULE, Severity.FATAL, at, message, hint, fix=fix))

    def _list(self, hint: Any, node: Node, name: str) -> tuple[Any, ...]:
        if not isinstance(node, Items):
            hint = f"Write `[{node.text}]`." if isinstance(node, Scalar) else ""
            fix = listed(node.at, node.text) if isinstance(node, Scalar) else None
            raise Misfit(node.at, f'"{name}" must be a list', hint, fix)
        return tuple(self.value(hint, item, name) for item in node.items)

    def _mapping(self, hint: Any, node: Keys) -> dict[str, Any]:
        return {name: self.value(hint, child, name) for name, (_, child) in node.keys.items()}


def _holds(hint: Any) -> bool:
    """Return whether a key is a list or a mapping of values that need not have places of their own."""
    inner = get_args(hint)
    if get_origin(hint) is tuple:
        return not is_dataclass(inner[0])
    return get_origin(hint) is Mapping and split(inner[1])[1] is not None


def _named(cls: Any, node: Keys) -> Iterator[tuple[str, Span]]:
    """Yield the places of the names of records, each below the key of its mapping: `models.NAME`."""
    for name, (_, child) in node.keys.items():
        hint = hints(cls)[name]
        if isinstance(child, Keys) and get_origin(hint) is Mapping and stack.is_record(get_args(hint)[1]):
            yield from ((f"{name}.{key}", at) for key, (at, _) in child.keys.items())


def _places(node: Node, path: str) -> Iterator[tuple[str, Span]]:
    """Yield the place of every node below this one."""
    keys = ((name, child) for name, (_, child) in node.keys.items()) if isinstance(node, Keys) else ()
    items = ((str(number), child) for number, child in enumerate(node.items)) if isinstance(node, Items) else ()
    for name, child in (*keys, *items):
        yield f"{path}.{name}", child.at
        yield from _places(child, f"{path}.{name}")


def _roles(roles: Mapping[str, object]) -> str:
    return f"Set role to {either(sorted(roles))}. A model of your own needs only backend or platform."


def _no_role(node: Keys, roles: Mapping[str, Any]) -> Misfit:
    """Return the fault of a model without a role, which may only be misspelt, or the key that implies it."""
    known = {f.name for part in roles.values() for f in declare.keys(part.keys)}
    for name, (at, _) in node.keys.items():
        if name not in known and (meant := nearest(name, ("role", *stack.IMPLYING), 0.7)):
            fix = renamed(Keys(node.at, {name: node.keys[name]}), [meant]).get(name)
            return Misfit(at, f'unknown key "{name}"', f'Did you mean "{meant}"?', fix)
    return Misfit(node.at, 'required key "role" is missing', _roles(roles))


def _keys(node: Node, name: str) -> Keys:
    if isinstance(node, Keys):
        return node
    raise Misfit(node.at, f'"{name}" must be a mapping of keys to values')


def _refuse_not_yet(name: str, text: str, at: Span) -> None:
    if (name, text) in stack.NOT_YET:
        raise Misfit(at, f"{stack.NOT_YET[name, text]} is not supported yet")


def _scalar(hint: Any, node: Node, name: str, minimum: int | None) -> Any:
    node = single(node, name)
    if get_origin(hint) is Literal:
        return _choice(node, name, get_args(hint))
    if hint is int:
        return _integer(node, name, minimum)
    readers = {
        bool: flag,
        stack.Microseconds: lambda node, name: _quantity(node, name, DURATION, MICROSECONDS),
        stack.Bytes: lambda node, name: _quantity(node, name, SIZE, BYTES),
        source.Source: _source,
    }
    return readers[hint](node, name) if hint in readers else node.text


def _choice(node: Scalar, name: str, choices: tuple[str, ...]) -> str:
    if node.text not in choices:
        _refuse_not_yet(name, node.text, node.at)
        if (name, node.text) in stack.NEVER:
            raise Misfit(node.at, *stack.NEVER[name, node.text])
        fix = respelled(node.at, node.text, choices)
        raise Misfit(node.at, f'"{name}" cannot be "{node.text}"', closest(node.text, choices), fix)
    return node.text


def _source(node: Scalar, name: str) -> source.Source:  # noqa: ARG001  one signature for all readers
    try:
        return source.parse_source(node.text)
    except source.NotASourceError as error:
        raise Misfit(node.at, str(error), error.hint) from None


def _integer(node: Scalar, name: str, minimum: int | None) -> int:
    value = integer(node, name)
    if minimum is not None and value < minimum:
        raise Misfit(node.at, f'"{name}" must be at least {minimum}, not {value}')
    return value


def _quantity(node: Scalar, name: str, pattern: re.Pattern[str], units: Mapping[str, int]) -> int:
    match = pattern.fullmatch(node.text)
    if not match:
        what = "a time such as 2ms" if pattern is DURATION else "a size such as 80GiB"
        hint = f"Use a number with one of the units {either(units)}."
        raise Misfit(node.at, f'"{name}" must be {what}, not "{node.text}"', hint)
    number = float(match[1])
    if not math.isfinite(number):
        raise Misfit(node.at, f'"{name}" is too large: "{node.text[:20]}"')
    return round(number * units[match[2]])


def plain(node: Node) -> Any:
    """Return the node as JSON data: dict, list, str, int, float, bool or None."""
    if isinstance(node, Keys):
        return {name: plain(child) for name, (_, child) in node.keys.items()}
    if isinstance(node, Items):
        return [plain(item) for item in node.items]
    readers: dict[str, Callable[[], Any]] = {
        "bool": lambda: flag(node, ""),
        "int": lambda: integer(node, ""),
        "float": lambda: number(node, ""),
        "null": lambda: None,
    }
    return readers.get(node.kind, lambda: node.text)()
