"""What a smoke case can expect of an output: the keys of a stack file, and which values they take."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from tritonrepo.diagnostics import Diagnostic, either
from tritonrepo.spec.declare import VARIABLE, key, keys, places
from tritonrepo.spec.part import Places, wrong

NUMBER = {"anyOf": [{"type": "number"}, VARIABLE]}
NUMBERS = {"type": "array", "items": NUMBER, "minItems": 1}

EXPECTATIONS = (
    *("not_empty", "contains", "first", "equals", "close", "matches", "json_schema", "cosine", "order", "count"),
    "finishes",
)
"""What can be expected of an output; `within` only limits how far off `close` may be."""

LONGEST_PATTERN = 1000
"""Maximum length of a regular expression, in characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How much an output must have."""

    values: int | None = key("number of values, in all responses together", None, minimum=0, example="4")
    rows: int | None = key(
        "size of the first dimension; not compared in streams over HTTP, which have no shapes",
        None,
        minimum=0,
        example="2",
    )
    responses: int | None = key("number of responses that have the output", None, minimum=0, example="1")
    places: Places = places()

    SCHEMA: ClassVar[Mapping[str, Any]] = {"minProperties": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosine:
    """How similar vectors must be: those of all rows to a given vector, or those of two rows to each other."""

    vector: Any = key(
        "vector that each row must be similar to",
        None,
        example="[0.6, 0.8]",
        shown="list of numbers",
        schema=NUMBERS,
    )
    rows: tuple[int, ...] | None = key(
        "two rows that must be similar, counted from zero", None, minimum=0, example="[0, 1]",
        schema={"minItems": 2, "maxItems": 2},
    )  # fmt: skip
    at_least: Any = key("minimum cosine", 0.99, example="0.8", shown="number", schema=NUMBER)
    places: Places = places()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """How a response or a stream must end."""

    responses: int | None = key("maximum number of responses", None, minimum=1, example="64")
    seconds: Any = key("maximum time until the end, in seconds", None, example="2.5", shown="number", schema=NUMBER)
    reason: str | None = key("the last value, such as a finish reason", None, example="stop")
    places: Places = places()

    SCHEMA: ClassVar[Mapping[str, Any]] = {"minProperties": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What an output must be. Every key that is set must hold."""

    not_empty: bool | None = key("whether the output must contain a non-empty value", None, example="true")
    contains: str | None = key("string that at least one value must contain", None, example="kb-17")
    first: str | None = key("the first value, as a string", None, example="kb-17")
    equals: Any = key("all values: one value, or a list", None, example="[kb-17, kb-3]")
    close: Any = key(
        "all values, with a tolerance of `within`: one number, or a list",
        None,
        example="[0.12, 0.98]",
        shown="number or list of numbers",
        schema={"anyOf": [NUMBER, {"type": "array", "items": NUMBER}]},
    )
    within: Any = key(
        "maximum difference from each number of `close`", 0.001, example="0.01", shown="number", schema=NUMBER
    )
    matches: str | None = key(
        "regular expression of Python that at least one value must match, in any place", None, example=r"'^kb-\d+$'"
    )
    json_schema: Any = key(
        "JSON Schema that every value must fulfill, as JSON; needs `pip install 'tritonrepo[schema]'`",
        None,
        example="{type: object, required: [answer]}",
        shown="mapping",
        schema={"type": "object"},
    )
    cosine: Cosine | None = key("similarity of vectors", None, example="{rows: [0, 1], at_least: 0.8}")
    order: Literal["ascending", "descending"] | None = key(
        "order of the values of each row; equal values may follow each other", None, example="descending"
    )
    count: int | Count | None = key("number of values, or of other things", None, minimum=0, example="4")
    finishes: bool | Finish | None = key(
        "`true`: the response or stream must end before its deadline, or how it must end", None, example="true"
    )
    places: Places = places()

    SCHEMA: ClassVar[Mapping[str, Any]] = {
        "anyOf": [{"required": [name]} for name in EXPECTATIONS],
        "if": {"required": ["within"]},
        "then": {"required": ["close"]},
    }


def faults(output: str, expectation: Expectation) -> Iterator[Diagnostic]:
    """Yield what is wrong with an expectation whose keys all exist: values that do not fit, and keys that conflict."""
    words = {word for word in EXPECTATIONS if getattr(expectation, word) is not None}
    if not words:
        hint = f"Set {either(EXPECTATIONS)}."
        yield wrong(expectation.places, "", f'"expect" says nothing about output "{output}"', hint)
    elif "within" in expectation.places and "close" not in words:
        yield wrong(expectation.places, "within", '"within" is set without "close"', "Add close, or remove within.")
    yield from _number(expectation.places, output, "within", expectation.within)
    close = expectation.close
    if close is not None and not all(map(_is_number, close if isinstance(close, list) else [close])):
        said = f'"close" of "{output}" must be a number or a list of numbers, not {json.dumps(close)}'
        yield wrong(expectation.places, "close", said)
    yield from _texts(output, expectation)
    yield from _records(output, expectation)


def _texts(output: str, expectation: Expectation) -> Iterator[Diagnostic]:
    if expectation.matches is not None:
        if len(expectation.matches) > LONGEST_PATTERN:
            said = f'"matches" of "{output}" has more than {LONGEST_PATTERN} characters'
            yield wrong(expectation.places, "matches", said)
        elif reason := _unreadable(expectation.matches):
            said = f'"matches" of "{output}" is not a regular expression: {reason}'
            yield wrong(expectation.places, "matches", said)
    if expectation.json_schema is not None and not isinstance(expectation.json_schema, dict):
        said = f'"json_schema" of "{output}" must be a mapping, not {json.dumps(expectation.json_schema)}'
        yield wrong(expectation.places, "json_schema", said)
    if expectation.finishes is False:
        said = f'"finishes" of "{output}" must be true or a mapping, because every response must end'
        yield wrong(expectation.places, "finishes", said, "Set finishes to true, or remove it.")


def _unreadable(pattern: str) -> str:
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        return str(error)
    return ""


def _records(output: str, expectation: Expectation) -> Iterator[Diagnostic]:
    cosine, count, finish = expectation.cosine, expectation.count, expectation.finishes
    for name, record in (("count", count), ("finishes", finish)):
        if isinstance(record, (Count, Finish)) and all(getattr(record, f.name) is None for f in keys(type(record))):
            hint = f"Set {either([f.name for f in keys(type(record))])}."
            yield wrong(record.places, "", f'"{name}" of "{output}" is empty', hint)
    if isinstance(finish, Finish) and finish.seconds is not None:
        yield from _number(finish.places, output, "seconds", finish.seconds)
    if cosine is None:
        return
    yield from _number(cosine.places, output, "at_least", cosine.at_least)
    if (cosine.vector is None) == (cosine.rows is None):
        said = f'"cosine" of "{output}" needs either a vector or two rows'
        yield wrong(cosine.places, "", said, "Set vector or rows.")
    elif cosine.rows is not None and len(cosine.rows) != 2:  # noqa: PLR2004  a pair
        yield wrong(cosine.places, "rows", f'"rows" of "{output}" must be two numbers, not {len(cosine.rows)}')
    elif cosine.rows is None and not _is_vector(cosine.vector):
        said = f'"vector" of "{output}" must be a list of numbers that are not all 0, not {_short(cosine.vector)}'
        yield wrong(cosine.places, "vector", said)


def _number(where: Places, output: str, name: str, value: object) -> Iterator[Diagnostic]:
    if not _is_number(value):
        yield wrong(where, name, f'"{name}" of "{output}" must be a number, not {json.dumps(value)}')


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_vector(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_number, value)) and any(value)


def _short(value: object) -> str:
    text = json.dumps(value)
    return f"{text[:60]}…" if len(text) > 60 else text  # noqa: PLR2004  characters
