"""The metadata of a document: what is known of it besides its text, which a search returns with its passages."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

DEEPEST = 32
"""Maximum depth of a value: the parsers of all Python versions, also those of servers, read it."""

LARGEST = 1 << 16
"""Maximum bytes of a document's metadata as JSON: each response has it with each passage of the document."""


def of_line(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metadata of a line: each key besides `id` and `text`, and the keys of an object `metadata`.

    Raise ValueError if some of it cannot be returned by a server as JSON.
    """
    found = {name: value for name, value in data.items() if name not in {"id", "text"}}
    inner = found.get("metadata")
    if isinstance(inner, dict):
        del found["metadata"]
        for name in found.keys() & inner.keys():
            raise ValueError(f'"{name[:60]}" is both a key of the line and of its "metadata"')
        found |= inner
    return checked(found)


def checked(found: dict[str, Any]) -> dict[str, Any]:
    """Return metadata; raise ValueError if some of it is not JSON in UTF-8, too deep, or too large."""
    sizes = {name: _size(name, value) for name, value in found.items()}
    if sum(sizes.values()) > LARGEST:
        name = max(sizes, key=lambda each: sizes[each])
        size = f"{sizes[name]:,} bytes" if len(sizes) == 1 else f'{sum(sizes.values()):,} bytes, most of it in "{name}"'
        raise ValueError(f"metadata must have at most {LARGEST:,} bytes as JSON, not {size}")
    return found


def _size(name: str, value: object) -> int:
    """Return the bytes of a key and its value as JSON."""
    shown = ascii(name)[1:-1][:60]
    if _is_deeper(value, DEEPEST):
        raise ValueError(f'"{shown}" is nested more than {DEEPEST} levels deep')
    try:
        return len(json.dumps({name: value}, ensure_ascii=False, allow_nan=False).encode())
    except UnicodeEncodeError:
        raise ValueError(f'"{shown}" contains half of a surrogate pair, which is not a character') from None
    except ValueError:
        raise ValueError(f'"{shown}" contains a number that JSON cannot express: NaN or infinity') from None


def _is_deeper(value: object, depth: int) -> bool:
    """Return whether lists and objects are nested in more levels than these."""
    level = [value]
    for _ in range(depth):
        level = [inner for each in level for inner in _inner(each)]
    return any(isinstance(each, (dict, list)) for each in level)


def _inner(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value
