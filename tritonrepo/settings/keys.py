"""The keys of a settings file: what each holds and means. The reader and the JSON Schema are made of these tables."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple


class Kind(StrEnum):
    """What a key holds, in words of a message."""

    TEXT = "a string"
    WORDS = "a list of strings"
    FLAG = "true or false"
    COUNT = "a number of 0 or more"
    TABLE = "a table"


FORMS: Mapping[Kind, Mapping[str, Any]] = {
    Kind.TEXT: {"type": "string", "minLength": 1},
    Kind.WORDS: {"type": "array", "items": {"type": "string", "minLength": 1}},
    Kind.FLAG: {"type": "boolean"},
    Kind.COUNT: {"type": "integer", "minimum": 0},
    Kind.TABLE: {"type": "object"},
}
"""Kind → JSON Schema."""


class Key(NamedTuple):
    """What a key holds, and what it means."""

    kind: Kind
    about: str


RULE = "rule, family, first words of rules, or ALL"

TOP = {
    "select": Key(Kind.WORDS, f"Show only findings of these rules: {RULE}."),
    "ignore": Key(Kind.WORDS, f"Hide findings of these rules: {RULE}."),
    "strict": Key(Kind.FLAG, "Also exit 1 for warnings."),
    "baseline": Key(Kind.TEXT, "Hide the findings in this baseline file, relative to the settings."),
    "allow-links": Key(Kind.WORDS, "Directories that links may lead into, at or below that of the settings."),
    "target": Key(Kind.TABLE, "The server that hand-written repositories are for."),
    "severity": Key(Kind.TABLE, f"Severity of findings by {RULE}. The verdict does not change."),
    "per-path": Key(Kind.TABLE, "What to show of files by glob, relative to the settings."),
}

TARGET = {
    "release": Key(Kind.TEXT, "Triton release, such as 24.10."),
    "images": Key(Kind.WORDS, "Container images, such as py3, or your own with its registry or tag."),
    "gpus": Key(Kind.COUNT, "Number of GPUs."),
    "gpu": Key(Kind.TEXT, "Model of the GPUs, such as L4."),
    "gpu-memory": Key(Kind.TEXT, "Memory of each GPU, such as 80GiB."),
    "auto-complete": Key(Kind.FLAG, "Whether the server completes configs, which it does by default."),
}

PER_PATH = {
    "select": Key(Kind.WORDS, f"Show only findings of these rules in the files: {RULE}."),
    "ignore": Key(Kind.WORDS, f"Hide findings of these rules in the files: {RULE}."),
}

LEVELS = ("error", "warning", "info", "off")


def is_of(kind: Kind, value: object) -> bool:
    """Whether a value is of a kind; an empty string is none, and true is no number."""
    match kind:
        case Kind.TEXT:
            return isinstance(value, str) and value != ""
        case Kind.WORDS:
            return isinstance(value, list) and all(is_of(Kind.TEXT, each) for each in value)
        case Kind.FLAG:
            return isinstance(value, bool)
        case Kind.COUNT:
            return type(value) is int and value >= 0
        case Kind.TABLE:
            return isinstance(value, dict)


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a settings file."""
    top = _properties(TOP)
    top["target"] |= _object(_properties(TARGET))
    top["severity"] |= {"additionalProperties": {"enum": [*LEVELS]}}
    top["per-path"] |= {"additionalProperties": {"type": "object", **_object(_properties(PER_PATH))}}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": "urn:tritonrepo:settings:1",
        "title": "tritonrepo settings file, .tritonrepo.toml",
        "type": "object",
        **_object(top),
    }


def _properties(keys: Mapping[str, Key]) -> dict[str, dict[str, Any]]:
    return {name: {**FORMS[key.kind], "description": key.about} for name, key in keys.items()}


def _object(properties: Mapping[str, object]) -> dict[str, Any]:
    return {"properties": properties, "additionalProperties": False}
