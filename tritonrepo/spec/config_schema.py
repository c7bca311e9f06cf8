"""The JSON Schema of `config:`: a definition for each message that a ModelConfig can hold."""

from __future__ import annotations

from typing import Any

from tritonrepo.pbtxt.schema import FieldType, MessageType, model_config
from tritonrepo.spec.config import BITS, LARGEST
from tritonrepo.spec.declare import VARIABLE

NULL = {"type": "null"}
"""Any field can be null, which removes a generated one."""


def reference(kind: MessageType | None = None) -> dict[str, Any]:
    """Return the reference to the definition of a message, a ModelConfig by default."""
    return {"$ref": f"#/definitions/{_name(kind or model_config())}"}


def definitions() -> dict[str, Any]:
    """Return the definitions of a ModelConfig and of all messages in it, by name."""
    found: dict[str, Any] = {}
    todo = [model_config()]
    while todo:
        kind = todo.pop()
        if _name(kind) not in found:
            found[_name(kind)] = {
                "type": "object",
                "properties": {name: _field(spec) for name, spec in kind.fields.items()},
                "additionalProperties": False,
            }
            todo += [inner for spec in kind.fields.values() for inner in _messages(spec)]
    return dict(sorted(found.items()))


def _name(kind: MessageType) -> str:
    return kind.name.removeprefix("inference.")


def _messages(spec: FieldType) -> list[MessageType]:
    """Return the message of a field; for a map, that of its values."""
    if spec.message is None:
        return []
    return _messages(spec.message.fields["value"]) if spec.message.is_entry else [spec.message]


def _field(spec: FieldType) -> dict[str, Any]:
    value = _single(spec)
    if spec.message is not None and spec.message.is_entry:
        entry = spec.message.fields
        value = {"type": "object", "additionalProperties": _single(entry["value"])}
        value |= {"propertyNames": {"pattern": "^[0-9]+$"}} if entry["key"].type in BITS else {}
    elif spec.repeated:
        value = {"type": "array", "items": value}
    return {"anyOf": [value, NULL]}


def _single(spec: FieldType) -> dict[str, Any]:
    if spec.message is not None:
        return reference(spec.message)
    if spec.type == "string":
        return {"type": ["string", "number", "boolean"]}
    return {"anyOf": [_literal(spec), VARIABLE]}


def _literal(spec: FieldType) -> dict[str, Any]:
    if spec.enum is not None:
        return {"enum": [*spec.enum.numbers, *spec.enum.names]}
    if spec.type in BITS:
        least, most = BITS[spec.type]
        return {"type": "integer", "minimum": least, "maximum": most}
    return {"type": "number" if spec.type in LARGEST else "boolean"}
