"""Findings on generated files, moved to the stack file: a draft knows where in it each field comes from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from tritonrepo.diagnostics import Diagnostic, Span
from tritonrepo.pbtxt import Message, parse
from tritonrepo.pbtxt.nodes import Value
from tritonrepo.spec.part import Places
from tritonrepo.tree import File, Tree

ANYWHERE = 1 << 30
"""The column of a diagnostic that has only a line: after everything that is on it."""

KEY = re.compile(r'  "([^"\\]+)": ')
"""A top-level key of a JSON file that was written here: each is on its own line."""


def moved(diagnostic: Diagnostic, origins: Mapping[str, Places], tree: Tree) -> Diagnostic:
    """Return the diagnostic at the stack's place; the generated file is named in the message."""
    path = diagnostic.at.path
    places = next((origins[each] for each in (path, *_above(path)) if each in origins), None)
    if places is None:
        return diagnostic
    entry = tree.get(path)
    content = entry.content() if isinstance(entry, File) and path in origins and diagnostic.at.line else b""
    at = _place(places, _json_key(content, diagnostic.at) if path.endswith(".json") else _field(content, diagnostic.at))
    message = f"{diagnostic.message}, in the generated {diagnostic.at}"
    # Its fix would change the generated file, which the next build overwrites.
    return replace(diagnostic, at=at, message=message, fix=None)


def _above(path: str) -> Iterator[str]:
    """Yield the directories that a path is in, the innermost first."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _place(places: Places, path: Sequence[str]) -> Span:
    """Return the place of the innermost value on a path that has one."""
    inner = (".".join(path[:depth]) for depth in range(len(path), -1, -1))
    return next(places[key] for key in inner if key in places)


def _field(content: bytes, at: Span) -> list[str]:
    """Return the names of the fields that lead to a place in a config; values of a list are counted from 0."""
    path: list[str] = []
    inner: Value | None = parse(content).root
    while isinstance(inner, Message):
        found = _within(inner, (at.line, at.column or ANYWHERE))
        if found is None:
            break
        steps, inner = found
        path += steps
    return path


def _within(message: Message, place: tuple[int, int]) -> tuple[list[str], Value | None] | None:
    """Return the names of the last field that begins no later than a place, and its value there."""
    before = [field for field in message.fields if (field.line, field.column) <= place]
    if not before:
        return None
    last = before[-1]
    if not last.spec.repeated:
        return [last.name], next(iter(last.values), None)
    number = sum(len(field.values) for field in before[:-1] if field.name == last.name)
    index = sum((value.line, value.column) <= place for value in last.values[1:])
    value = next(iter(last.values[index:]), None)
    if last.spec.message is not None and last.spec.message.is_entry and isinstance(value, Message):
        return [last.name, str(value.data("key"))], next(iter(value.all("value")), None)
    return [last.name, str(number + index)], value


def _json_key(content: bytes, at: Span) -> list[str]:
    """Return the top-level key of a JSON object that a line belongs to."""
    return [found[1] for text in content.decode().splitlines()[: at.line] if (found := KEY.match(text))][-1:]
