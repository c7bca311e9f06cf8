"""The JSON Schema of the document of `bench`: made of the values that it holds, so that no key is left out."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from enum import StrEnum
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from tritonrepo.bench.claim import State
from tritonrepo.bench.comparing import Comparison, Verdict
from tritonrepo.bench.result import Result
from tritonrepo.bench.saved import KEY
from tritonrepo.diagnostics import Severity
from tritonrepo.report.json import SCHEMA

SAYS = (
    "Loads on targets: what each gave, what the server says of it, and whether the figures can be true. Keys are added,"
    " never renamed; a breaking change increments schema. docs/bench-results.md describes it."
)
Schema = dict[str, Any]
COUNT: Schema = {"type": "integer", "minimum": 0}
PLACE: Schema = {"type": ["integer", "null"], "minimum": 1}
TEXT: Schema = {"type": "string"}
DIAGNOSTIC: Schema = {
    "rule": {**TEXT, "description": "tritonrepo explain RULE describes it"},
    "severity": {"enum": [str(severity) for severity in Severity]},
    "path": {**TEXT, "description": "target, file or URL"},
    **dict.fromkeys(("line", "column", "end_line", "end_column"), PLACE),
    "fingerprint": {**TEXT, "pattern": "^[0-9a-f]{32}$", "description": "the same for equal findings of any run"},
    "model": TEXT,
    "message": TEXT,
    "hint": {**TEXT, "description": "next step"},
    "server_reason": TEXT,
}


def schema() -> Schema:
    """Return the schema of the document of `bench` and `bench sweep`."""
    summary = {
        "results": COUNT,
        "requests": {**COUNT, "description": "all that were sent, without those of warm-ups"},
        "failed": COUNT,
        "checks": _object({str(state): COUNT for state in State}),
    }
    return _document("tritonrepo bench --format json", SAYS, {KEY: Result}, summary)


def compared() -> Schema:
    """Return the schema of the document of `bench compare`."""
    summary = {
        "void": {**COUNT, "description": "comparisons of which a condition differs that makes them void"},
        "verdicts": _object({str(verdict): COUNT for verdict in Verdict}),
    }
    says = "Results next to each other. Keys are added, never renamed; a breaking change increments schema."
    return _document("tritonrepo bench compare --format json", says, {"comparisons": Comparison}, summary)


def _document(title: str, says: str, listed: Mapping[str, Any], summary: Mapping[str, Schema]) -> Schema:
    kinds: dict[str, Schema] = {}
    lists = {name: {"type": "array", "items": _of(kind, kinds)} for name, kind in listed.items()}
    if Comparison in listed.values():
        says_alone = "results of either file that have no counterpart in the other one"
        lists["without_counterpart"] = {"type": "array", "items": TEXT, "description": says_alone}
    counts = {str(severity): COUNT for severity in Severity}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": title,
        "description": says,
        **_object(
            {
                "schema": {"const": SCHEMA},
                "diagnostics": diagnostics(),
                **lists,
                "summary": _object({**counts, **summary}),
            }
        ),
        "definitions": dict(sorted(kinds.items())),
    }


def diagnostics() -> Schema:
    """Return the schema of the diagnostics of a document."""
    return {"type": "array", "description": "what ended the command or is wrong", "items": _object(DIAGNOSTIC)}


def _object(properties: Mapping[str, Schema]) -> Schema:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": [*properties],
        "additionalProperties": False,
    }


def _of(kind: Any, kinds: dict[str, Schema]) -> Schema:  # noqa: ANN401, PLR0911  types as values
    """Return the schema of a type; the values of this package are references into `kinds`, which is added to."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in {Union, UnionType}:
        return _optional(_of(next(each for each in inner if each is not NoneType), kinds))
    if origin is tuple:
        if inner[1:] == (...,):
            return {"type": "array", "items": _of(inner[0], kinds)}
        items = [_of(each, kinds) for each in inner]
        return {"type": "array", "items": items, "minItems": len(items), "maxItems": len(items)}
    if origin is not None and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": {} if inner[1] is Any else _of(inner[1], kinds)}
    if dataclasses.is_dataclass(kind) or hasattr(kind, "_fields"):
        return _record(kind, kinds)
    if issubclass(kind, StrEnum):
        return {"enum": [str(each) for each in kind]}
    return {"type": {bool: "boolean", int: "integer", float: "number", str: "string"}[kind]}


def _optional(found: Schema) -> Schema:
    if "type" in found and isinstance(found["type"], str):
        return {**found, "type": [found["type"], "null"]}
    return {"anyOf": [{"type": "null"}, found]}


def _record(kind: Any, kinds: dict[str, Schema]) -> Schema:  # noqa: ANN401  types as values
    name = kind.__name__
    if name not in kinds:
        kinds[name] = {}  # its place, should it hold itself
        properties = {field: _of(hint, kinds) for field, hint in get_type_hints(kind).items()}
        says = " ".join(inspect.cleandoc(kind.__doc__ or "").replace("`", "").split())
        kinds[name] = {"description": says, **_object(properties)}
    return {"$ref": f"#/definitions/{name}"}
