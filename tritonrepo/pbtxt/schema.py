"""The messages, fields and enums of ModelConfig in a release: a typed view of data/model_config.json.

The facts are those of triton-inference-server/common, protobuf/model_config.proto, one branch per release; the file
names the branches and is written by scripts/update_model_config.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from tritonrepo import packaged

ROOT = "inference.ModelConfig"


class Enum(str):
    """The name of an enum's value, printed without quotes."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class EnumType:
    """An enum: its values by name, the names by number, and the release of each later value, by name.

    `keys` are the names by their bytes, because tokens are bytes: this avoids decoding most names of a text.
    """

    name: str
    numbers: Mapping[str, int]
    names: Mapping[int, str]
    later: Mapping[str, str]
    keys: Mapping[bytes, Enum]


@dataclass(frozen=True, slots=True)
class FieldType:
    """A field: `type` is a scalar's name as in the proto, "enum" or "message".

    `slot` is what at most one field of a message can occupy: the oneof's name or the field's own, "" for repeated ones.
    `presence` is whether a field that holds its type's zero counts as set.
    """

    name: str
    number: int
    type: str
    slot: str
    presence: bool
    oneof: str = ""
    message: MessageType | None = None
    enum: EnumType | None = None

    @property
    def repeated(self) -> bool:
        """Whether the field can be set more than once, as lists and maps can."""
        return not self.slot


@dataclass(slots=True)
class MessageType:
    """A message: its fields by name in the order of the proto, and those of later releases with their release.

    `keys` is the same by the name's bytes, because tokens are bytes. Filled in later, because messages refer to each
    other.
    """

    name: str
    is_entry: bool = False
    fields: dict[str, FieldType] = field(default_factory=dict)
    keys: dict[bytes, FieldType] = field(default_factory=dict)
    later: dict[str, str] = field(default_factory=dict)


@cache
def model_config(release: str | None = None) -> MessageType:
    """Return the message ModelConfig as this release has it; None is the newest known release."""
    return messages(release)[ROOT]


@cache
def messages(release: str | None) -> Mapping[str, MessageType]:
    """Return all messages by their full name, as this release has them."""
    data = packaged.facts("model_config")
    release = release or data["newest"]
    enums = {name: _enum(name, entry["values"], release) for name, entry in data["enums"].items()}
    types = {name: MessageType(name, "map_entry" in entry) for name, entry in data["messages"].items()}
    for name, entry in data["messages"].items():
        for field_name, facts in entry["fields"].items():
            if facts.get("since", release) > release:
                types[name].later[field_name] = facts["since"]
                continue
            spec = _field(field_name, _as_of(facts, release), types, enums)
            # in the server a map's entry is a separate class, with a presence bit for each of its two fields
            spec = replace(spec, presence=spec.presence or types[name].is_entry)
            types[name].fields[field_name] = types[name].keys[field_name.encode()] = spec
    return types


def _enum(name: str, values: Mapping[str, Any], release: str) -> EnumType:
    known = {value: facts["number"] for value, facts in values.items() if facts.get("since", release) <= release}
    later = {value: facts["since"] for value, facts in values.items() if value not in known}
    keys = {value.encode(): Enum(value) for value in known}
    return EnumType(name, known, {number: value for value, number in known.items()}, later, keys)


def _as_of(facts: Mapping[str, Any], release: str) -> Mapping[str, Any]:
    """Return what a field was in this release: `before` lists its earlier forms, oldest first."""
    return next((old["was"] for old in facts.get("before", ()) if release <= old["until"]), facts)


def _field(
    name: str, facts: Mapping[str, Any], types: Mapping[str, MessageType], enums: Mapping[str, EnumType]
) -> FieldType:
    oneof = facts.get("oneof", "")
    return FieldType(
        name,
        facts["number"],
        facts["type"],
        "" if facts.get("repeated") else oneof or name,
        bool(oneof) or facts["type"] == "message",
        oneof,
        types[facts["of"]] if facts["type"] == "message" else None,
        enums[facts["of"]] if facts["type"] == "enum" else None,
    )
