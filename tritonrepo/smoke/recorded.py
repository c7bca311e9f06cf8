"""A recorded plan, read from a file that anyone may have written."""

from __future__ import annotations

import base64
import json
import math
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tritonrepo.diagnostics import Severity, Span, Stop, fatal
from tritonrepo.server.tensors import Request, Tensor, numpy_type, of_values
from tritonrepo.smoke.case import Check, Protocol
from tritonrepo.smoke.fields import Node, Wrong
from tritonrepo.smoke.recording import MOST_SENT, SCHEMA

RULE = "smoke-plan"
LARGEST = 64 << 20
"""The largest file that is read, in bytes."""

MOST = 100_000
"""How many cases, requests, tensors are read."""

MOST_VALUES = 1 << 24
"""How many values an input may have, which are equal and therefore need no place in the file."""

LONGEST = 1000
"""How many characters a name may have."""


class Output(NamedTuple):
    """What an output must be; `size`: its number of values, of which every `every`th is known."""

    name: str
    datatype: str
    shape: tuple[int, ...] | None
    values: Tensor | None
    every: int = 1
    size: int = 0
    empty: bool = False


class Expect(NamedTuple):
    """What a response must be; `wrong`: what was wrong with it when it was recorded."""

    outputs: tuple[Output, ...]
    responses: int | None = None
    contains: str = ""
    wrong: str = ""


class Sent(NamedTuple):
    """A request with what is expected."""

    request: Request
    expect: Expect


class Recorded(NamedTuple):
    """A case of the plan: one request, or several that are sent at once."""

    check: Check
    what: str
    sent: tuple[Sent, ...]
    protocols: tuple[Protocol, ...]
    streamed: bool
    compared: Severity | None
    at_once: bool
    batched: bool


class Plan(NamedTuple):
    """A whole plan: the server that it was recorded from, its models with their configs, the cases, and what it lacks.

    `left_out`: model, version, check and reason of each case that was not kept.
    """

    server: Mapping[str, Any]
    models: Mapping[tuple[str, str], Mapping[str, Any]]
    cases: tuple[Recorded, ...]
    left_out: tuple[tuple[str, str, Check, str], ...]
    at: str = ""

    @property
    def names(self) -> frozenset[str]:
        """The models that it tests."""
        return frozenset(name for name, _ in self.models)


def read(path: Path) -> Plan:
    """Return the plan of a file; raise Stop with the place of what is wrong."""
    at = str(path)
    hint = "Record it with `tritonrepo smoke URL --record FILE`."
    try:
        document = json.loads(_content(path))
        top = Node("", document)
        if not isinstance(document, dict):
            raise Wrong("the file must hold a map")
        if (schema := top.get("schema", int)) != SCHEMA:
            hint = "Record it again with this version, or use the version that recorded it."
            raise Wrong(f"the plan has schema {schema}, but this tritonrepo reads schema {SCHEMA}")
        return _plan(top)._replace(at=at)
    except json.JSONDecodeError as error:
        place = Span(at, error.lineno, error.colno)
        raise fatal(RULE, place, f"the file is not JSON: {error.msg}", hint) from None
    except RecursionError:
        raise fatal(RULE, at, "the file is nested too deeply", hint) from None
    except ValueError as error:
        raise fatal(RULE, at, f"this is not a recorded plan: {error}", hint) from None


def _content(path: Path) -> str:
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise Wrong("it is not a regular file")
            if status.st_size > LARGEST:
                raise Wrong(f"it has {status.st_size:,} bytes; at most {LARGEST:,} are read")
            return file.read().decode()
    except OSError as error:
        hint = "Check the path, and that this user can read the file."
        message = f"the plan cannot be read: {error.strerror or error}"
        raise Stop(fatal(RULE, str(path), message, hint).diagnostics) from None


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # a FIFO would wait for a writer


def _plan(top: Node) -> Plan:
    models = {}
    for node in top.maps("models", MOST):
        models[_name(node, "name"), _version(node)] = node.get("config", dict)
    left = tuple(
        (_name(node, "model"), _version(node), _check(node), node.get("reason", str)[:LONGEST])
        for node in top.maps("left_out", MOST)
    )
    return Plan(top.get("server", dict), models, tuple(map(_case, top.maps("cases", MOST))), left)


def _name(node: Node, key: str) -> str:
    name: str = node.get(key, str)
    if not name or len(name) > LONGEST:
        raise node.wrong(key, f"a name with 1 to {LONGEST:,} characters")
    return name


def _version(node: Node) -> str:
    version: str = node.get("version", str)
    if not (version.isascii() and version.isdecimal() and len(version) < 20):  # noqa: PLR2004  digits of 2^64
        raise node.wrong("version", 'the number of a version, such as "1"')
    return version


def _check(node: Node) -> Check:
    try:
        return Check(node.get("check", str))
    except ValueError as error:
        if isinstance(error, Wrong):
            raise
        raise node.wrong("check", f"one of {', '.join(Check)}") from None


def _case(node: Node) -> Recorded:
    model, version = _name(node, "model"), _version(node)
    protocols = node.get("protocols", list, [*Protocol])
    if not protocols or not all(each in [*Protocol] for each in protocols):
        raise node.wrong("protocols", f"a list of {' and '.join(Protocol)}")
    compared = node.values.get("compared")
    if compared not in {None, "error", "warning"}:
        raise node.wrong("compared", "error, warning or null")
    sent = tuple(_sent(each, model, version) for each in node.maps("requests", MOST))
    if not sent:
        raise node.wrong("requests", "a list with at least one request")
    return Recorded(
        _check(node),
        node.get("case", str, "")[:LONGEST],
        sent,
        tuple(protocol for protocol in Protocol if protocol in protocols),
        node.get("streamed", bool),
        Severity(compared) if compared else None,
        node.get("at_once", bool, default=False),
        node.get("batched", bool, default=False),
    )


def _sent(node: Node, model: str, version: str) -> Sent:
    sequence = node.values.get("sequence", 0)
    number = isinstance(sequence, int) and not isinstance(sequence, bool) and 0 <= sequence < 1 << 64
    if not number and not (isinstance(sequence, str) and len(sequence) <= LONGEST):
        raise node.wrong("sequence", "the id of a sequence")
    inputs = tuple(_tensor(each, MOST_SENT) for each in node.maps("inputs", MOST))
    expect = Node(f"{node.at}.expect", node.get("expect", dict))
    outputs = tuple(map(_output, expect.maps("outputs", MOST)))
    responses = expect.get("responses", int, -1)
    return Sent(
        Request(model, version, inputs, sequence, ends=node.get("ends", bool, default=True)),
        Expect(
            outputs,
            None if responses < 0 else responses,
            expect.get("contains", str, ""),
            expect.get("wrong", str, "")[:LONGEST],
        ),
    )


def _output(node: Node) -> Output:
    name, datatype = _name(node, "name"), _datatype(node)
    if node.get("varies", bool, default=False):
        return Output(name, datatype, None, None, empty=node.get("empty", bool))
    shape = tuple(_shape(node)) if "shape" in node.values else None
    every = node.get("every", int, 1)
    if every < 1:
        raise node.wrong("every", "a whole number from 1 on")
    data: list[Any] = node.get("data", list)
    count = node.get("count", int, len(data))
    if math.ceil(count / every) != len(data) or (shape is not None and math.prod(shape) != count):
        raise node.wrong("data", f"{count if every == 1 else math.ceil(count / every)} values")
    return Output(name, datatype, shape, _of(node, datatype, data, [len(data)]), every, count)


def _tensor(node: Node, most: int) -> Tensor:
    datatype, shape = _datatype(node), _shape(node)
    count = math.prod(shape)
    if "all" in node.values:
        if count > MOST_VALUES:
            raise node.wrong("shape", f"the shape of at most {MOST_VALUES:,} values")
        one = _of(node, datatype, [node.values["all"]], [1])
        import numpy as np

        return one._replace(values=np.full(shape, one.values[0], one.values.dtype))
    data: list[Any] = node.get("data", list)
    if len(data) != count or count > most:
        raise node.wrong("data", f"{count:,} values")
    return _of(node, datatype, data, shape)


def _datatype(node: Node) -> str:
    datatype: str = node.get("datatype", str)
    try:
        numpy_type(datatype)
    except ValueError:
        raise node.wrong("datatype", "a data type of the protocol, such as FP32") from None
    return datatype


def _shape(node: Node) -> list[int]:
    shape: list[Any] = node.get("shape", list)
    whole = all(isinstance(size, int) and not isinstance(size, bool) and 0 <= size < 1 << 40 for size in shape)
    if not whole or len(shape) > 32:  # noqa: PLR2004  NumPy's limit
        raise node.wrong("shape", "a list of sizes")
    return shape


def _of(node: Node, datatype: str, data: list[Any], shape: list[int]) -> Tensor:
    values = [_value(value, node) for value in data]
    kinds: tuple[type, ...] = (str, bytes) if datatype == "BYTES" else (bool,) if datatype == "BOOL" else (int, float)
    if any(not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds) for value in values):
        if not (kinds == (int, float) and all(_is_number(value) for value in values)):
            raise Wrong(f"{node.at}.data must hold values of {datatype} only")
        values = [float(str(value)) for value in values]
    try:
        return of_values(_name(node, "name"), datatype, values, shape)
    except (TypeError, ValueError, OverflowError) as error:
        raise Wrong(f"{node.at}.data does not fit {datatype}: {error}") from None


def _is_number(value: object) -> bool:
    """Return whether a value is a number, or one that JSON does not have."""
    return (isinstance(value, int | float) and not isinstance(value, bool)) or (
        isinstance(value, str) and value in {"nan", "inf", "-inf"}
    )


def _value(value: object, node: Node) -> object:
    if not isinstance(value, dict):
        return value
    try:
        return base64.b64decode(Node(f"{node.at}.data", value).get("base64", str), validate=True)
    except ValueError as error:
        raise error if isinstance(error, Wrong) else Wrong(f"{node.at}.data has broken base64") from None
