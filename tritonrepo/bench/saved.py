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
        listed = json.loads(text, parse_constant=_refused)[KEY]
        return tuple(_of(Result, each) for each in listed)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        why = f"the key {error} is missing" if isinstance(error, KeyError) else f"{error}"
        message = f"this is not a result of `tritonrepo bench`: {why}"
        raise fatal("bench-result", Span(path), message, "Use a file that `--output` has written.") from None


def _refused(name: str) -> None:
    raise ValueError(f"{name} is not a figure")


def _of(kind: Any, data: Any) -> Any:  # noqa: ANN401, C901, PLR0911  types as values
    """Return data as a value of a type; raise KeyError, TypeError or ValueError if it is not one."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in {Union, UnionType}:
        return None if data is None and NoneType in inner else _of(next(i for i in inner if i is not NoneType), data)
    if kind is Any:
        return data
    if origin is tuple:
        if not isinstance(data, list):
            raise TypeError(f"a list is needed, not {data!r:.40}")
        kinds = inner[:1] * len(data) if inner[1:] == (...,) else inner
        return tuple(_of(each, one) for each, one in zip(kinds, data, strict=True))
    if origin is not None and issubclass(origin, Mapping):
        return {str(name): _of(inner[1], each) for name, each in dict(data).items()}
    if dataclasses.is_dataclass(kind) or hasattr(kind, "_fields"):
        return _record(kind, data)
    if issubclass(kind, StrEnum):
        return kind(data)
    wanted = (int, float) if kind is float else kind
    if not isinstance(data, wanted) or (isinstance(data, bool) and kind is not bool):
        raise TypeError(f"{kind.__name__} is needed, not {data!r:.40}")
    if kind in {int, float} and not abs(data) < MOST:
        raise ValueError(f"{data!r:.40} is not a figure")
    return data


def _record(kind: Any, data: Mapping[str, Any]) -> Any:  # noqa: ANN401  types as values
    """Return a record; keys that a newer version has added are passed over, those with a default may lack."""
    return kind(**{name: _of(hint, data[name]) for name, hint in _hints(kind).items() if name in data})


@cache
def _hints(kind: Any) -> Mapping[str, Any]:  # noqa: ANN401  types as values
    """Return the types of a record's fields, which are texts that take longer to read than a record."""
    return get_type_hints(kind)
