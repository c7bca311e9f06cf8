"""Results as JSON data and back again: what `bench` writes is what `bench check`, `compare`, `cost` and `plan` read."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from tritonrepo.bench.result import Result
from tritonrepo.diagnostics import Span, fatal

KEY = "results"
"""The key of the results in the document of `bench`."""

MOST = 1e30
"""A figure is below it; what is not was written by something else, and its square may be too large for a float."""


MOST_DIGITS = 40


def as_data(value: Any) -> Any:  # noqa: ANN401  any of the values of this package
    """Return a value of this package as JSON data."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: as_data(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {name: as_data(each) for name, each in zip(value._fields, value, strict=True)}
    if isinstance(value, Mapping):
        return {str(name): as_data(each) for name, each in value.items()}
    return [as_data(each) for each in value] if isinstance(value, list | tuple) else value


def results(text: str, path: str) -> tuple[Result, ...]:
    """Return the results in a document of `bench`; raise Stop if it is not one."""
    try:
        found: tuple[Result, ...] = _of(tuple[Result, ...], _document(text), KEY)
    except ValueError as error:
        message = f"this is not a result of `tritonrepo bench`: {error}"
        raise fatal("bench-result", Span(path), message, "Use a file that `--output` has written.") from None
    return found


def _document(text: str) -> object:
    """Return the results of a document as JSON data; raise ValueError with why there are none."""
    try:
        document = json.loads(text, parse_constant=_refused, parse_int=_whole)
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON: {error}") from None
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    if not isinstance(document, dict) or KEY not in document:
        raise ValueError(f"it is not an object with the key {KEY}")
    return document[KEY]


def _whole(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"{digits[:MOST_DIGITS]}… is not a figure")
    return int(digits)


def _refused(name: str) -> None:
    raise ValueError(f"{name} is not a figure")


def _of(kind: Any, data: Any, place: str) -> Any:  # noqa: ANN401, PLR0911  types as values
    """Return data as a value of a type; raise ValueError, which names the place, if it is not one."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in {Union, UnionType}:
        return None if data is None and NoneType in inner else _of(_some(inner), data, place)
    if kind is Any:
        return data
    if origin is tuple:
        return _listed(inner, _needed(data, list, place), place)
    if origin is not None:
        return {name: _of(inner[1], each, f"{place}.{name}") for name, each in _needed(data, dict, place).items()}
    if dataclasses.is_dataclass(kind) or hasattr(kind, "_fields"):
        return _record(kind, _needed(data, dict, place), place)
    if issubclass(kind, StrEnum):
        return _choice(kind, data, place)
    return _needed(data, kind, place)


def _some(kinds: tuple[Any, ...]) -> Any:  # noqa: ANN401  types as values
    return next(kind for kind in kinds if kind is not NoneType)


NEEDED = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}


def _needed(data: Any, kind: Any, place: str) -> Any:  # noqa: ANN401  JSON
    """Return a value of JSON; raise ValueError if it is of another kind, or a number that is no figure."""
    wanted = (int, float) if kind is float else kind
    if not isinstance(data, wanted) or (isinstance(data, bool) and kind is not bool):
        raise ValueError(f"{place} must be {NEEDED[kind]}, not {_quoted(data)}")
    if kind in {int, float} and not abs(data) < MOST:
        raise ValueError(f"{place} is {_quoted(data)}, which is not a figure")
    return data


def _quoted(data: Any) -> str:  # noqa: ANN401  JSON
    """Return a value as it stands in the file, cut."""
    return json.dumps(data)[:40]


def _listed(inner: tuple[Any, ...], data: list[Any], place: str) -> tuple[Any, ...]:
    kinds = inner[:1] * len(data) if inner[1:] == (...,) else inner
    if len(kinds) != len(data):
        raise ValueError(f"{place} must have {len(kinds)} values, not {len(data)}")
    return tuple(_of(kind, each, f"{place}[{at}]") for at, (kind, each) in enumerate(zip(kinds, data, strict=True)))


def _choice(kind: type[StrEnum], data: Any, place: str) -> StrEnum:  # noqa: ANN401  JSON
    if data not in [*kind]:
        raise ValueError(f"{place} must be one of {', '.join(kind)}, not {_quoted(data)}")
    return kind(data)


def _record(kind: Any, data: Mapping[str, Any], place: str) -> Any:  # noqa: ANN401  types as values
    """Return a record; keys that a newer version has added are passed over, those with a default may lack."""
    hints = _hints(kind)
    given = {name: _of(hint, data[name], f"{place}.{name}") for name, hint in hints.items() if name in data}
    lacking = [name for name in _required(kind) if name not in given]
    if lacking:
        raise ValueError(f"{place} has no {lacking[0]}")
    return kind(**given)


def _required(kind: Any) -> list[str]:  # noqa: ANN401  types as values
    """Return the names of the fields of a record that have no default."""
    if not dataclasses.is_dataclass(kind):
        return [name for name in kind._fields if name not in kind._field_defaults]
    fields = dataclasses.fields(kind)
    return [f.name for f in fields if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING]


@cache
def _hints(kind: Any) -> Mapping[str, Any]:  # noqa: ANN401  types as values
    """Return the types of a record's fields, which are texts that take longer to read than a record."""
    return get_type_hints(kind)
