"""What differs between two configs in what they say: order, layout and comments do not count. Pure.

Items of a list that have names, such as inputs, are matched by them. A field that is not set equals one that is set to
its type's zero, where Triton cannot tell the two apart.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tritonrepo.pbtxt.convert import Plain, to_plain, zero
from tritonrepo.pbtxt.nodes import Message
from tritonrepo.pbtxt.schema import Enum, FieldType, MessageType

FIRST = "version_policy"
"""The field that says what is served: its changes come first."""

NAMES = ("name", "model_name", "input_name")
"""The fields by which the items of a list are known."""

UNORDERED = {"versions", "preferred_batch_size"}
"""Lists of numbers that the server reads into sets.

Source: core, src/model_repository_manager/model_lifecycle.cc, VersionsToLoad; src/dynamic_batch_scheduler.cc, Create.
"""


class Change(NamedTuple):
    """A field that differs, and its plain data; None where it is not set."""

    path: str
    old: Any
    new: Any


def changes(old: Message, new: Message) -> list[Change]:
    """Return the fields that differ, in the order of the proto, those of the version policy first."""
    found = list(_message(to_plain(old), to_plain(new), old.kind, ""))
    return sorted(found, key=lambda change: not change.path.startswith(FIRST))


def _message(old: Plain, new: Plain, kind: MessageType, at: str) -> Iterator[Change]:
    for name, spec in kind.fields.items():
        if name in old or name in new:
            yield from _field(old.get(name), new.get(name), spec, f"{at}.{name}" if at else name)


def _field(old: Any, new: Any, spec: FieldType, at: str) -> Iterator[Change]:  # noqa: ANN401  plain data
    if spec.message and spec.message.is_entry:
        yield from _entries(old or {}, new or {}, spec.message.fields["value"], at)
    elif spec.repeated:
        yield from _items(old or [], new or [], spec, at)
    elif spec.message:
        yield from _single(old, new, spec, at)
    else:
        other = None if spec.presence else zero(spec)
        yield from _single(other if old is None else old, other if new is None else new, spec, at)


def _single(old: Any, new: Any, spec: FieldType, at: str) -> Iterator[Change]:  # noqa: ANN401  plain data
    if spec.message and old is not None and new is not None:
        yield from _message(old, new, spec.message, at)
    elif old != new:
        yield Change(at, old, new)


def _entries(old: Mapping[Any, Any], new: Mapping[Any, Any], value: FieldType, at: str) -> Iterator[Change]:
    for key in dict.fromkeys([*old, *new]):
        yield from _single(old.get(key), new.get(key), value, f"{at}[{_written(key)}]")


def _items(old: Sequence[Any], new: Sequence[Any], spec: FieldType, at: str) -> Iterator[Change]:
    if not spec.message:
        order = sorted if spec.name in UNORDERED else list
        if order(old) != order(new):
            yield Change(at, [*old], [*new])
        return
    names = _named(old), _named(new)
    if None in names:
        names = dict(enumerate(old)), dict(enumerate(new))
    before, after = (each or {} for each in names)
    for name in dict.fromkeys([*before, *after]):
        yield from _single(before.get(name), after.get(name), spec, f"{at}[{_written(name)}]")


def _named(items: Sequence[Plain]) -> dict[Any, Plain] | None:
    """Return the items by name; None if some have none or the same."""
    found = {next((item[key] for key in NAMES if item.get(key)), None): item for item in items}
    return found if None not in found and len(found) == len(items) else None


def _written(key: object) -> str:
    return key if isinstance(key, str) else text(key)


def text(value: Any) -> str:  # noqa: ANN401  plain data
    """Return plain data on one line."""
    match value:
        case Enum():
            return str(value)
        case dict():
            return f"{{{', '.join(f'{key}: {text(each)}' for key, each in value.items())}}}"
        case list():
            return f"[{', '.join(map(text, value))}]"
        case _:
            return json.dumps(value, ensure_ascii=False)
