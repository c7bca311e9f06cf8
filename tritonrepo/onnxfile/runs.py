"""Nodes as almost all files have them, read where they are: whatever else there is, is left to a slower walk.

Source: onnx, onnx/onnx.proto: NodeProto, AttributeProto, TensorProto; protobuf.dev, "Encoding".
"""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from typing import NamedTuple

from tritonrepo.onnxfile.wire import BYTES, MORE

NODE, NODE_INPUT, NODE_OUTPUT, NODE_NAME = (number << 3 | BYTES for number in (1, 1, 2, 3))
OPERATOR, ATTRIBUTE, DOCUMENTATION, DOMAIN = (number << 3 | BYTES for number in (4, 5, 6, 7))

SHORT, HOLDER = 1 << 10, re.compile(rb"[*2RZ\xb2\xba\xaa\xd2\xda]").search
"""An attribute with none of these bytes, with which the tags of its fields begin, has no tensor and no graph."""

TENSOR, TYPE = 5 << 3 | BYTES, b"\xa0\x01"
"""The tag of an attribute's tensor, and that of its type."""
OF_ATTRIBUTE = frozenset({1 << 3 | BYTES, 3 << 3, 4 << 3 | BYTES, 7 << 3 | BYTES, 8 << 3 | BYTES, 13 << 3 | BYTES})
"""The tags of an attribute's name, number, text, packed numbers and documentation."""
OF_TENSOR = frozenset({1 << 3, 2 << 3} | {number << 3 | BYTES for number in (4, 5, 6, 7, 8, 9, 10, 11, 12)})
"""The tags of a tensor whose data is in it."""

CONSTANT, ONNX = b"Constant", frozenset({b"", b"ai.onnx"})
KEEPING = frozenset(
    {b"Abs", b"Cast", b"Ceil", b"Clip", b"Elu", b"Erf", b"Exp", b"Floor", b"Identity", b"LeakyRelu", b"Log", b"Neg"}
    | {b"LogSoftmax", b"Not", b"Reciprocal", b"Relu", b"Round", b"Selu", b"Sigmoid", b"Sign", b"Softmax", b"Softplus"}
    | {b"Softsign", b"Sqrt", b"Tanh"}
)
"""Operators of ONNX whose output has the shape of their first input (onnx, docs/Operators.md)."""

NAMED, TYPED = bytes([1 << 3 | BYTES]), bytes([2 << 3 | BYTES, 1 << 3 | BYTES])
ELEMENT, SHAPE, DIM, SIZE, VARIABLE = 1 << 3, 2 << 3 | BYTES, 1 << 3 | BYTES, 1 << 3, -1
"""The tags of a ValueInfoProto, and in its type, of a tensor, its elements, its shape, and a dimension's size."""

Span = tuple[int, int]
NONE: tuple[Span, ...] = ()


class Run(NamedTuple):
    """Where a run of ordinary nodes ends, and how many there are.

    If attributes of the last node may hold something, they are `holders`; then its operator and outputs are given, too.
    """

    end: int
    nodes: int
    holders: Sequence[Span] = ()
    operator: bytes = b""
    outputs: Sequence[bytes] = ()


class Scope(NamedTuple):
    """What nodes fill: names that they read, names that they make, and their operators with their domains.

    `same` has the outputs that have the shape of their node's first input, each with that input. `constants` are what
    Constant nodes make, which to ONNX Runtime are initializers, and `names` those of the other nodes.
    """

    read: set[bytes]
    made: list[bytes]
    operators: set[tuple[bytes, bytes]]
    same: dict[bytes, bytes]
    constants: set[bytes]
    names: list[bytes]


def scope() -> Scope:
    """Return one that nothing has filled yet."""
    return Scope(set(), [], set(), {}, set(), [])


def nodes(data: bytes, at: int, limit: int, scope: Scope) -> Run:
    """Walk over nodes from an index on, as far as they are ordinary."""
    made, count = scope.made, 0
    while at < limit - 3 and data[at] == NODE:
        size, first = data[at + 1], at + 2
        if size >= MORE:
            size, first = size - MORE | data[first] << 7, first + 1
        end, known = first + size, len(made)
        found = _node(data, first, end, scope) if end <= limit and data[first - 1] < MORE else None
        if found is None:
            del made[known:]
            break
        at, count, (operator, domain, name, holders) = end, count + 1, found
        scope.operators.add((domain, operator))
        outputs = made[known:] if holders or operator == CONSTANT else ()
        if operator == CONSTANT and domain in ONNX:
            scope.constants.update(outputs)
            del made[known:]
        elif name:
            scope.names.append(name)
        if operator in KEEPING and domain in ONNX and len(made) > known and data[first] == NODE_INPUT:
            scope.same[made[known]] = value(data, first)
        if holders:
            return Run(at, count, holders, operator, outputs)
    return Run(at, count)


def _node(  # noqa: C901  the innermost loop of all
    data: bytes, here: int, end: int, scope: Scope
) -> tuple[bytes, bytes, bytes, Sequence[Span]] | None:
    """Return operator, domain, name and holders of a node; None if it is not ordinary."""
    read, make, operator, domain, name, holders = scope.read.add, scope.made.append, b"", b"", b"", NONE
    last = end - 1
    while here < last:
        tag, size, start = data[here], data[here + 1], here + 2
        if size >= MORE:
            if start >= end or data[start] >= MORE:
                return None
            size, start = size - MORE | data[start] << 7, start + 1
        here = start + size
        if here > end:
            return None
        if tag == NODE_INPUT:
            read(data[start:here])
        elif tag == NODE_OUTPUT:
            make(data[start:here])
        elif tag == ATTRIBUTE:
            if (size >= SHORT or HOLDER(data, start, here)) and not plain(data, start, here):
                holders = (*holders, (start, here))
        elif tag == OPERATOR:
            operator = data[start:here]
        elif tag == NODE_NAME:
            name = data[start:here]
        elif tag == DOMAIN:
            domain = data[start:here]
        elif tag != DOCUMENTATION:
            return None
    return (operator, domain, name, holders) if here == end else None


def value(data: bytes, at: int) -> bytes:
    """Return the value of an ordinary field."""
    size, start = data[at + 1], at + 2
    if size >= MORE:
        size, start = size - MORE | data[start] << 7, start + 1
    return data[start : start + size]


def plain(data: bytes, at: int, end: int) -> bool:
    """Whether an attribute holds no graph, and no tensor but one that has its data in it."""
    at = past(data, at, end, OF_ATTRIBUTE)
    if at < end - 2 and data[at] == TENSOR:
        size, start = data[at + 1], at + 2
        if size >= MORE:
            size, start = size - MORE | data[start] << 7, start + 1
        stop = start + size
        if stop > end or data[start - 1] >= MORE or past(data, start, stop, OF_TENSOR) != stop:
            return False
        at = past(data, stop, end, OF_ATTRIBUTE)
    return at == end or (at == end - 3 and data.startswith(TYPE, at) and data[end - 1] < MORE)


def described(data: bytes, at: int, end: int) -> tuple[bytes, int, tuple[int, ...] | None] | None:
    """Return name, element type and dims of a ValueInfoProto of a tensor, as almost all files have it; None for others.

    A message in it ends where the one around it ends, and no length has more than one byte.
    """
    named = at + 2 + data[at + 1] if end < len(data) - 1 else end
    if (
        named + 6 > end
        or not data.startswith(NAMED, at)
        or data[named : named + 4 : 2] != TYPED
        or data[named + 4] != ELEMENT
    ):
        return None
    if (
        data[named + 1] != end - named - 2
        or data[named + 3] != end - named - 4
        or max(data[at + 1], end - named, data[named + 5]) >= MORE
    ):
        return None
    name, element, shape = data[at + 2 : named], data[named + 5], named + 6
    if shape == end:
        return name, element, None
    if data[shape] != SHAPE or data[shape + 1] != end - shape - 2:
        return None
    dims = _dims(data, shape + 2, end)
    return None if dims is None else (name, element, dims)


def _dims(data: bytes, at: int, end: int) -> tuple[int, ...] | None:
    dims = list[int]()
    while at < end:
        size, after = data[at + 1], at + 2 + data[at + 1]
        if data[at] != DIM or after > end:
            return None
        if size == 2 and data[at + 2] == SIZE and data[at + 3] < MORE:  # noqa: PLR2004  a tag and a number
            dims.append(data[at + 3])
        elif not size or (size > 1 and data[at + 2] == SHAPE and data[at + 3] == size - 2):
            dims.append(VARIABLE)
        elif size == 3 and data[at + 2] == SIZE and data[at + 3] >= MORE > data[at + 4]:  # noqa: PLR2004
            dims.append(data[at + 3] - MORE | data[at + 4] << 7)
        else:
            return None
        at = after
    return tuple(dims)


def past(data: bytes, at: int, end: int, tags: Container[int]) -> int:
    """Return where fields with these tags end."""
    last = end - 1
    while at < last:
        tag, size, start = data[at], data[at + 1], at + 2
        if tag not in tags:
            return at
        if size >= MORE:
            if start >= end or data[start] >= MORE:
                return at
            size, start = size - MORE | data[start] << 7, start + 1
        if tag & BYTES:
            start += size
            if start > end:
                return at
        at = start
    return at
