"""The JSON Schema of the stack file, made from the dataclasses that the loader uses.

It has only keywords that draft-07 and 2020-12 share, so that the language servers of editors understand it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, is_dataclass
from typing import Any, Literal, get_args, get_origin

from tritonrepo.spec import config_schema, source, stack
from tritonrepo.spec.config_schema import VARIABLE
from tritonrepo.spec.load import hints
from tritonrepo.spec.part import Model, Parts

TITLE = "tritonrepo stack file"
TEXTS: Mapping[Any, dict[str, Any]] = {
    str: {"type": ["string", "number", "boolean"]},
    bool: {"anyOf": [{"type": "boolean"}, VARIABLE]},
    stack.Microseconds: {"type": "string", "pattern": r"^[0-9.]+ *(us|ms|s)$|\$\{"},
    stack.Bytes: {"type": "string", "pattern": r"^[0-9.]+ *([KMGT]i?)?B$|\$\{"},
    Any: {},
    source.Source: {"type": "string"},
    stack.Config: {"allOf": [config_schema.reference()]},
}


def schema(parts: Parts) -> dict[str, Any]:
    """Return the schema of a stack file with these parts as JSON data."""
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "title": TITLE}
    return head | _record(stack.Stack, parts) | {"definitions": config_schema.definitions()}


def _record(cls: Any, parts: Parts) -> dict[str, Any]:
    keys = stack.keys(cls)
    required = [f.name for f in keys if f.default is MISSING and f.default_factory is MISSING]
    record: dict[str, Any] = {
        "type": "object",
        "description": (cls.__doc__ or "").strip(),
        "properties": {f.name: _key(cls, f, parts) for f in keys},
        "additionalProperties": False,
    }
    either = [{"required": [name]} for name in stack.EITHER.get(cls, ())]
    return record | ({"required": required} if required else {}) | ({"oneOf": either} if either else {})


def _key(cls: Any, f: Any, parts: Parts) -> dict[str, Any]:
    value = _type(hints(cls)[f.name], parts, f.metadata["minimum"])
    value["description"] = stack.sentence(f.metadata["doc"])
    if isinstance(f.default, (str, int, bool)) and not (
        isinstance(f.default, int) and "string" in str(value.get("type"))
    ):
        value["default"] = f.default
    if f.metadata["example"]:
        value["examples"] = [f.metadata["example"]]
    return value


def _type(hint: Any, parts: Parts, minimum: int | None = None) -> dict[str, Any]:
    if hint is Model:
        roles = [_record(part.keys, parts) for part in parts.values()]
        return {"type": "object", "anyOf": roles}
    if is_dataclass(hint):
        return _record(hint, parts)
    inner = get_args(hint)
    containers: dict[Any, Callable[[], dict[str, Any]]] = {
        tuple: lambda: {"type": "array", "items": _type(inner[0], parts)},
        Mapping: lambda: {"type": "object", "additionalProperties": _type(inner[1], parts)},
        Literal: lambda: {"enum": list(inner)},
    }
    if get_origin(hint) in containers:
        return containers[get_origin(hint)]()
    if hint is int:
        return {"anyOf": [{"type": "integer"} | ({"minimum": minimum} if minimum is not None else {}), VARIABLE]}
    return dict(TEXTS[hint])
