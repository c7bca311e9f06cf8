"""YAML of Kubernetes manifests: plain values in their order, each with its reason as a comment where it has one.

kubectl reads YAML 1.1 and kustomize 1.2; what is written here means the same in both.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from tritonrepo.deploy.texts import literal
from tritonrepo.plain import inline

WIDTH = 100
"""Of a comment, however deep it is."""

PLAIN = re.compile(r"(?:--[a-z]|[A-Za-z_/])(?:[A-Za-z0-9_./=@+*-]|:(?! |$)| (?=[A-Za-z0-9_./=@+*-]))*")
"""Strings without quotes."""

WORDS = {"y", "yes", "n", "no", "true", "false", "on", "off", "null"}
"""What YAML 1.1 reads as something else than a string. Source: yaml.org/type/bool.html and null.html."""

FLOW = 80
"""Maximum length of a list in brackets, whose items are single values."""


class Noted(NamedTuple):
    """A value and its reason: sentences, and the rows of a sum below them."""

    value: object
    why: str
    rows: tuple[str, ...] = ()


def noted(value: object, *sentences: str, rows: Iterable[str] = ()) -> Noted:
    """Return a value with its reason, which stands above its key or its item of a list."""
    return Noted(value, " ".join(sentences), tuple(rows))


def text(documents: Iterable[Mapping[str, object]], head: Iterable[str] = ()) -> str:
    """Return the text of a file: `head` are sentences at its top, one paragraph each, then the documents.

    A document is made of strings, whole numbers, booleans, lists and mappings, each of which can be `noted`. A value
    that is None is left out, with its key.
    """
    top = "\n".join(line for each in head for line in _comment(each, ()))
    bodies = ["\n".join(_keys(each)) for each in documents]
    return "\n".join([*filter(None, [top, "\n---\n".join(bodies)]), ""])


def _keys(node: Mapping[str, object]) -> Iterator[str]:
    for key, noted_value in node.items():
        value, comment = _parted(noted_value)
        if value is None:
            continue
        yield from comment
        yield from _value(f"{string(key)}:", value)


def _value(head: str, value: object) -> Iterator[str]:
    """Yield what stands behind a key, and below it."""
    inline_value = _inline(value)
    if inline_value is not None:
        yield f"{head} {inline_value}"
    elif isinstance(value, str):
        yield f"{head} |"
        yield from (f"  {line}".rstrip() for line in value.removesuffix("\n").split("\n"))
    else:
        yield head
        yield from (f"  {line}".rstrip() for line in _block(value))


def _block(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield from _keys(value)
    elif isinstance(value, Sequence):
        yield from _items(value)


def _items(values: Sequence[object]) -> Iterator[str]:
    for noted_value in values:
        value, comment = _parted(noted_value)
        if value is None:
            continue
        yield from comment
        if isinstance(value, Mapping) and value:
            lines = [*_keys(value)]
            begun = next(number for number, line in enumerate(lines) if not line.startswith("#"))
            yield from lines[:begun]  # a dash and its first key are one line: the key's reason stands above both
            yield f"- {lines[begun]}"
            yield from (f"  {line}".rstrip() for line in lines[begun + 1 :])
        else:
            yield from _value("-", value)


def _parted(value: object) -> tuple[object, list[str]]:
    """Return a value without its reason, and the lines of the reason."""
    if isinstance(value, Noted):
        return value.value, _comment(value.why, value.rows)
    return value, []


def _comment(why: str, rows: Sequence[str]) -> list[str]:
    """Return the lines of a comment; names in it may be foreign."""
    lines = textwrap.wrap(inline(why), WIDTH, break_on_hyphens=False)
    return [f"# {line}" for line in lines] + [f"#   {inline(row)}" for row in rows]


def _inline(value: object) -> str | None:
    """Return a value that fits behind its key; None for one that needs lines of its own."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return None if _is_lines(value) else string(value)
    if isinstance(value, Mapping):
        return None if value else "{}"
    if isinstance(value, Sequence):
        return _list(value)
    raise TypeError(f"a manifest cannot hold a {type(value).__name__}")


def _list(values: Sequence[object]) -> str | None:
    """Return a short list of single values in brackets."""
    items = [_inline(each) if isinstance(each, str | int) else None for each in values]
    found = f"[{', '.join(item or '' for item in items)}]"
    return found if None not in items and len(found) <= FLOW else None


def _is_lines(value: str) -> bool:
    """Return whether a string can be a block of lines as it is."""
    lines = value.removesuffix("\n").split("\n")
    plain = all(line == line.rstrip() and (line.isprintable() or not line) for line in lines)
    return value.endswith("\n") and bool(lines[0].strip()) and lines[0][0] != " " and bool(lines[-1]) and plain


def string(value: str) -> str:
    """Return a string for YAML, in quotes if it needs them."""
    return value if PLAIN.fullmatch(value) and value.lower() not in WORDS else literal(value)
