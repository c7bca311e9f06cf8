"""`config:` in the stack file: a ModelConfig message written as YAML, checked against the descriptor.

The descriptor is that of the newest known release. What the target's release lacks is found later, when the config that
is built from it is validated.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from tritonrepo.diagnostics import Diagnostic, Severity, Span, closest
from tritonrepo.pbtxt.schema import Enum, EnumType, FieldType, MessageType, model_config
from tritonrepo.spec.nodes import Items, Keys, Node, Scalar

RULE = "stack-config"
BITS = {"int32": (-(1 << 31), (1 << 31) - 1), "int64": (-(1 << 63), (1 << 63) - 1)}
BITS |= {"uint32": (0, (1 << 32) - 1), "uint64": (0, (1 << 64) - 1)}
LARGEST = {"float": (2 - 2**-23) * 2.0**127, "double": math.inf}
NOT_FINITE = {".inf": "inf", "-.inf": "-inf", ".nan": "nan"}
"""Numbers as YAML writes them (YAML 1.2, 10.2.1.4), which Triton's text format also has."""

MAX_DIGITS = 20
"""Digits of the largest integer of any field."""


class _Wrong(Exception):  # noqa: N818  carries one finding to where the value is left out
    def __init__(self, at: Span, message: str, hint: str = "") -> None:
        self.diagnostic = Diagnostic(RULE, Severity.FATAL, at, message, hint)
        super().__init__(message)


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
        for name, (at, child) in node.keys.items():
            spec = kind.fields.get(name)
            if spec is None:
                short = kind.name.removeprefix("inference.")
                self._add(at, f'unknown field "{name}" in {short}', closest(name, kind.fields))
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
            self._add(node.at, f'"{spec.name}" must be a list', f"Write `{spec.name}: [{_text(node)}]`.")
            return []
        return [self._single(spec, item) for item in node.items]

    def _map(self, spec: FieldType, entry: MessageType, node: Node) -> dict[Any, Any]:
        if not isinstance(node, Keys):
            self._add(node.at, f'"{spec.name}" must be a mapping', f"Write `{spec.name}: {{KEY: VALUE}}`.")
            return {}
        key, value = entry.fields["key"], entry.fields["value"]
        return {
            self._single(key, Scalar(at, name, "int" if name.isdecimal() else "str")): self._single(value, child)
            for name, (at, child) in node.keys.items()
        }

    def _single(self, spec: FieldType, node: Node) -> Any:  # noqa: ANN401  plain data has any type
        if spec.message is not None:
            return self.message(node, spec.message, spec.name)
        try:
            return _scalar(spec, node)
        except _Wrong as wrong:
            self.wrong.append(wrong.diagnostic)
            return None

    def _add(self, at: Span, message: str, hint: str = "") -> None:
        self.wrong.append(Diagnostic(RULE, Severity.FATAL, at, message, hint))


def _parameter(kind: MessageType, node: Node) -> str:
    """Return the hint for a single value in place of a message: a parameter's value is inside a message."""
    only = next(iter(kind.fields), "")
    return f"Write `{{{only}: {_text(node)}}}`." if only == "string_value" else ""


def _text(node: Node) -> str:
    return node.text if isinstance(node, Scalar) else "…"


def _scalar(spec: FieldType, node: Node) -> Any:  # noqa: ANN401  plain data has any type
    if not isinstance(node, Scalar):
        what = "list" if isinstance(node, Items) else "mapping"
        raise _Wrong(node.at, f'"{spec.name}" must be a single value, not a {what}')
    if spec.enum is not None:
        return _enum(spec, spec.enum, node)
    if spec.type in BITS:
        return _integer(spec, node)
    if spec.type in LARGEST:
        return _float(spec, node)
    if spec.type == "bool":
        if node.kind != "bool":
            raise _Wrong(node.at, f'"{spec.name}" must be true or false, not "{node.text}"')
        return node.text.lower() == "true"
    return node.text


def _enum(spec: FieldType, enum: EnumType, node: Scalar) -> Enum | int:
    """Return the name of an enum's value; a number stands for the value that has it, as in Triton's text format."""
    if node.text in enum.numbers:
        return Enum(node.text)
    if node.kind == "int":
        number = _ranged(spec, node, BITS["int32"])
        return Enum(enum.names[number]) if number in enum.names else number
    short = enum.name.rpartition(".")[2]
    prefixed = [name for name in enum.numbers if name.endswith(f"_{node.text.upper()}")]
    hint = f'Did you mean "{prefixed[0]}"?' if len(prefixed) == 1 else closest(node.text, enum.numbers)
    raise _Wrong(node.at, f'unknown {short} "{node.text}" for {spec.name}', hint)


def _integer(spec: FieldType, node: Scalar) -> int:
    if node.kind != "int":
        raise _Wrong(node.at, f'"{spec.name}" must be an integer, not "{node.text}"')
    return _ranged(spec, node, BITS[spec.type])


def _ranged(spec: FieldType, node: Scalar, limits: tuple[int, int]) -> int:
    least, most = limits
    hexadecimal = node.text[:2] in {"0x", "0o"}
    if len(node.text.lstrip("+-0ox")) <= MAX_DIGITS:
        number = int(node.text, 0) if hexadecimal else int(node.text)
        if least <= number <= most:
            return number
    raise _Wrong(node.at, f"{node.text[:40]} is out of range for {spec.name} ({spec.type})", f"Use {least} to {most}.")


def _float(spec: FieldType, node: Scalar) -> float:
    if node.text in NOT_FINITE:
        return float(NOT_FINITE[node.text])
    if node.kind not in {"int", "float"}:
        raise _Wrong(node.at, f'"{spec.name}" must be a number, not "{node.text}"')
    number = float(int(node.text, 0)) if node.text[:2] in {"0x", "0o"} else float(node.text)
    if not math.isfinite(number) or abs(number) > LARGEST[spec.type]:
        raise _Wrong(node.at, f"{node.text[:40]} is out of range for {spec.name} ({spec.type})")
    return number
