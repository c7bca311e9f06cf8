"""Models that are being changed: a config as plain data with its files, and what a change may touch."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from benchmarks.soak.page_server import NULL
from tritonrepo.pbtxt import Enum
from tritonrepo.pbtxt.printer import to_text
from tritonrepo.pbtxt.schema import FieldType, MessageType, model_config
from tritonrepo.tree import Directory, Entry, of_bytes, of_text

T = TypeVar("T")
RELEASE = "24.10"
KIND = model_config(RELEASE)
COMPLETES = slice(NULL.index("    @staticmethod"), NULL.index("    def initialize"))
MODEL_PY = NULL.replace(NULL[COMPLETES], "").encode()
"""Without auto_complete_config, whose effect nobody knows."""


Plain = dict[str, Any]


@dataclass(slots=True)
class Draft:
    """A model: its directory's name, its config (None: no file), its other files by path, text after the config."""

    name: str
    config: Plain | None
    files: dict[str, Entry]
    tail: str = ""


Group = list[Draft]


def tree(group: Group) -> dict[str, Entry]:
    """Write the models to disk; what would be below a file is left out."""
    found: dict[str, Entry] = {}
    for draft in group:
        entries = dict(draft.files)
        if draft.config is not None:
            entries["config.pbtxt"] = of_text(to_text(draft.config, KIND) + draft.tail)
        parents = {path[:at] for path in entries for at, char in enumerate(path) if char == "/"}
        for path, entry in entries.items():
            above = [path[:at] for at, char in enumerate(path) if char == "/"]
            blocked = any(not isinstance(entries.get(parent, Directory()), Directory) for parent in above)
            if not blocked and not (path in parents and isinstance(entry, Directory)):
                found[f"{draft.name}/{path}"] = entry
        if not entries:
            found[draft.name] = Directory()
    return found


def pick(dice: random.Random, items: Sequence[T]) -> T | None:
    """Return one of the items, None if the sequence is empty."""
    return dice.choice(items) if items else None


def configs(group: Group) -> list[Draft]:
    """Return the models that have a config which can be changed."""
    return [draft for draft in group if draft.config is not None]


def messages(message: Plain, kind: MessageType) -> Iterator[tuple[Plain, MessageType]]:
    """Yield a message and all in it, each with its type."""
    yield message, kind
    for name, value in message.items():
        spec = kind.fields[name]
        if spec.message is None:
            continue
        for item in children(value, spec):
            yield from messages(item, value_kind(spec))


def children(value: Any, spec: FieldType) -> list[Plain]:  # noqa: ANN401  plain data has any type
    """Return the messages of a field: of a list, of a map's values, or the one itself."""
    if isinstance(value, list):
        return [item for item in value if isinstance(item, dict)]
    if spec.message is not None and spec.message.is_entry:
        return [item for item in value.values() if isinstance(item, dict)]
    return [value]


def value_kind(spec: FieldType) -> MessageType:
    """Return the type of a field's messages, of a map its values'."""
    assert spec.message is not None
    if spec.message.is_entry and spec.message.fields["value"].message is not None:
        return spec.message.fields["value"].message
    return spec.message


def values(draft: Draft) -> list[tuple[Plain, FieldType]]:
    """Return every scalar field that a config has, as the message that holds it and its type."""
    found = []
    for message, kind in messages(draft.config or {}, KIND):
        found += [(message, kind.fields[name]) for name in message if kind.fields[name].message is None]
    return found


def tensor_names(group: Group) -> list[str]:
    """Return the names of all inputs and outputs."""
    lists = [draft.config.get(kind, []) for draft in configs(group) if draft.config for kind in ("input", "output")]
    return sorted({tensor.get("name", "") for tensors in lists for tensor in tensors})


def enum(dice: random.Random, spec: FieldType) -> Enum:
    """Return a value of an enum."""
    assert spec.enum is not None
    return Enum(dice.choice(list(spec.enum.numbers)))


def python_file() -> Entry:
    """Return a model.py that loads."""
    return of_bytes(MODEL_PY)


def block(config: Mapping[str, Any], name: str) -> list[Plain]:
    """Return the messages of a repeated field at a config's top."""
    found = config.get(name, [])
    return found if isinstance(found, list) else []
