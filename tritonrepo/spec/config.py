"""`config:` in the stack file: a ModelConfig message written as YAML, checked against the descriptor.

The descriptor is that of the newest known release. What the target's release lacks is found later, when the config that
is built from it is validated.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tritonrepo.diagnostics import Diagnostic, Fix, Severity, Span, closest
from tritonrepo.pbtxt.schema import Enum, EnumType, FieldType, MessageType, model_config
from tritonrepo.spec.mending import listed, renamed, respelled, rewritten
from tritonrepo.spec.nodes import Items, Keys, Node, Scalar
from tritonrepo.spec.scalars import Misfit, flag, integer, number, single

RULE = "stack-config"
BITS = {"int32": (-(1 << 31), (1 << 31) - 1), "int64": (-(1 << 63), (1 << 63) - 1)}
BITS |= {"uint32": (0, (1 << 32) - 1), "uint64": (0, (1 << 64) - 1)}
LARGEST = {"float": (2 - 2**-23) * 2.0**127, "double": math.inf}
NOT_FINITE = {".inf": "inf", "-.inf": "-inf", ".nan": "nan"}
"""Numbers as YAML writes them (YAML 1.2, 10.2.1.4), which Triton's text format also has."""


def read(node: Node) -> tuple[dict[str, Any], list[Diagnostic]]:
    """Return the fields of a ModelConfig as plain data, and everything that does not fit, with its place.

    Plain data are those of `pbtxt.convert`. A field that is null has the value None: it removes a generated field.
    """
    reader = _Reader()
    return reader.message(node, model_config(), "config"), reader.wrong


class _Reader:
    """A walk over the descriptor and the nodes together, which collects what does not fit."""

    def __init__(self) -> None:
        self.wrong: list[Diagnostic] = []

    def message(self, node: Node, kind: MessageType, name: str) -> dict[str, Any]:
        """Return the fields of a message."""
        if not isinstance(node, Keys):
            self._add(node.at, f'"{name}" must be a mapping of fields to values', _parameter(kind, node))
            return {}
        return dict(self._fields(node, kind))

    def _fields(self, node: Keys, kind: MessageType) -> Iterator[tuple[str, Any]]:
        fixes = renamed(node, kind.fields)
        for name, (at, child) in node.keys.items():
            spec = kind.fields.get(name)
            if spec is None:
                short = kind.name.removeprefix("inference.")
                hint = closest(name, kind.fields)
                self._add(at, f'unknown field "{name}" in {short}', hint, fixes.get(name))
            elif isinstance(child, Scalar) and child.kind == "null":
                yield name, None
            elif spec.message is not None and spec.message.is_entry:
                yield name, self._map(spec, spec.message, child)
            elif spec.repeated:
                yield name, self._list(spec, child)
            else:
                yield name, self._single(spec, child)

    def _list(self, spec: FieldType, node: Node) -> list[Any]:
        if not isinstance(node, Items):
            hint = f"Write `{spec.name}: [{_text(node)}]`."
            fix = listed(node.at, node.text) if isinstance(node, Scalar) else None
            self._add(node.at, f'"{spec.name}" must be a list', hint, fix)
            return []
        return [self._single(spec, item) for item in node.items]

    def _map(self, spec: FieldType, entry: MessageType, node: Node) -> dict[Any, Any]:
        if not isinstance(node, Keys):
            self._add(node.at, f'"{spec.name}" must be a mapping', f"Write `{spec.name}: {{KEY: VALUE}}`.")
            return {}
        key, value = replace(entry.fields["key"], name=f"key of {spec.name}"), entry.fields["value"]
        return {
            self._single(key, Scalar(at, name, "int" if name.isdecimal() else "str")): self._single(
                replace(value, name=name), child
            )
            for name, (at, child) in node.keys.items()
        }

    def _single(self, spec: FieldType, node: Node) -> Any:  # noqa: ANN401  plain data has any type
        if spec.message is not None:
            return self.message(node, spec.message, spec.name)
        try:
            return _scalar(spec, node)
        except Misfit as misfit:
            self.wrong.append(misfit.of(RULE))
            return None

    def _add(self, at: Span, message: str, hint: str = "", fix: Fix | None = None) -> None:
        self.wrong.append(Diagnostic(RULE, Severity.FATAL, at, message, hint, fix=fix))


def _parameter(kind: MessageType, node: Node) -> str:
    """Return the hint for a single value in place of a message: a parameter's value is inside a message."""
    only = next(iter(kind.fields), "")
    return f"Write `{{{only}: {_text(node)}}}`." if only == "string_value" else ""


def _text(node: Node) -> str:
    return node.text if isinstance(node, Scalar) else "…"


def _scalar(spec: FieldType, node: Node) -> Any:  # noqa: ANN401  plain data has any type
    scalar = single(node, spec.name)
    if spec.enum is not None:
        return _enum(spec, spec.enum, scalar)
    if spec.type in BITS:
        return _ranged(spec, scalar, BITS[spec.type])
    if spec.type in LARGEST:
        return _float(spec, scalar)
    return flag(scalar, spec.name) if spec.type == "bool" else scalar.text


def _enum(spec: FieldType, enum: EnumType, node: Scalar) -> Enum | int:
    """Return the name of an enum's value; a number stands for the value that has it, as in Triton's text format."""
    if node.text in enum.numbers:
        return Enum(node.text)
    if node.kind == "int":
        value = _ranged(spec, node, BITS["int32"])
        return Enum(enum.names[value]) if value in enum.names else value
    short = enum.name.rpartition(".")[2]
    prefixed = [name for name in enum.numbers if name.endswith(f"_{node.text.upper()}")]
    hint = f'Did you mean "{prefixed[0]}"?' if len(prefixed) == 1 else closest(node.text, enum.numbers)
    fix = rewritten(node.at, node.text, prefixed[0], safe=True) if len(prefixed) == 1 else None
    fix = fix or respelled(node.at, node.text, enum.numbers)
    raise Misfit(node.at, f'unknown {short} "{node.text}" for {spec.name}', hint, fix)


def _ranged(spec: FieldType, node: Scalar, limits: tuple[int, int]) -> int:
    least, most = limits
    value = integer(node, spec.name)
    if not least <= value <= most:
        raise _out_of_range(spec, node, f"Use {least} to {most}.")
    return value


def _float(spec: FieldType, node: Scalar) -> float:
    if node.text in NOT_FINITE:
        return float(NOT_FINITE[node.text])
    value = number(node, spec.name)
    if abs(value) > LARGEST[spec.type]:
        raise _out_of_range(spec, node)
    return value


def _out_of_range(spec: FieldType, node: Scalar, hint: str = "") -> Misfit:
    return Misfit(node.at, f"{node.text[:40]} is out of range for {spec.name} ({spec.type})", hint)
