"""Nodes as YAML text, from which `spec.nodes` reads the same nodes: blocks, with short lists and items in one line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

from tritonrepo.spec.compose import literal
from tritonrepo.spec.composing import is_text
from tritonrepo.spec.nodes import Items, Keys, Node, Scalar

PLAIN = re.compile(r"[A-Za-z0-9_./](?:[A-Za-z0-9_./@=+*~-]|:(?=\S)| (?=[A-Za-z0-9_./]))*")
"""Strings that need no quotes, in lists as well. Others are quoted, so that every YAML parser reads them alike."""

WIDTH = 100
"""Maximum length of what is in brackets or braces; a longer one has a line per item."""

LONGEST_KEY = 1000
"""PyYAML reads a key without `?` only up to 1,024 characters."""

SHORT_WIDTH = 120
"""The same in a short text, whose mappings are in braces."""

Comment = Callable[[Node, str], str]
"""Returns the comment of a key of a mapping: "" for none, and with line breaks for one above the key."""


def text(node: Keys, comment: Comment = lambda _, __: "", *, short: bool = False) -> str:
    """Return the text of a mapping, with the comments of its keys.

    If it is to be short, what is below the keys at the top is in braces where it fits into a line.
    """
    return "\n".join([*_keys(node, comment, short and SHALLOW), ""])


def _keys(node: Keys, comment: Comment, short: int) -> Iterator[str]:
    """Yield the lines of a mapping; `short` is 0, or how deep the values are that can be in braces with their keys."""
    for name, (_, value) in node.keys.items():
        key = string(name)
        head = f"{key}:" if len(key) <= LONGEST_KEY else f"? {key}\n:"
        said = comment(node, name)
        above = said.strip("\n").split("\n") if "\n" in said else []
        yield from (f"# {line}".rstrip() for line in above)
        behind = f"  # {said}" if said and not above else ""
        braces = short and (short > SHALLOW or not _is_deep(value))
        inline = _flow(value, comment, SHORT_WIDTH) if braces and not isinstance(value, Scalar) else None
        inline = _inline(value) if inline is None else inline
        if inline is not None:
            yield f"{head} {inline}{behind}"
        else:
            yield f"{head}{behind}"
            yield from (f"  {line}" for line in _block(value, comment, short and short + 1))


SHALLOW = 1
"""The depth at the top of a short text, where only mappings without others in them are in braces."""


def _is_deep(node: Node) -> bool:
    """Return whether a mapping has others in it."""
    return isinstance(node, Keys) and any(isinstance(value, Keys) for _, value in node.keys.values())


def _block(node: Node, comment: Comment, short: int) -> Iterator[str]:
    """Yield the lines of a mapping or list that has several."""
    if isinstance(node, Keys):
        yield from (line for text in _keys(node, comment, short) for line in text.split("\n"))
    elif isinstance(node, Items):
        for item in node.items:
            width = SHORT_WIDTH if short else WIDTH
            inline = _inline(item) if not isinstance(item, Keys) else _flow(item, comment, width)
            first, *others = [inline] if inline is not None else _block(item, comment, short)
            yield f"- {first}"
            yield from (f"  {line}" for line in others)


def _inline(node: Node) -> str | None:
    """Return a value that fits behind its key; None for one that needs lines of its own."""
    if isinstance(node, Scalar):
        return scalar(node)
    if isinstance(node, Keys):
        return None if node.keys else "{}"
    items = [scalar(item) for item in node.items if isinstance(item, Scalar)]
    found = f"[{', '.join(items)}]"
    return found if len(items) == len(node.items) and len(found) <= WIDTH else None


def _flow(node: Node, comment: Comment, width: int) -> str | None:
    """Return a value in brackets and braces; None if it has comments or is too long for a line."""
    if isinstance(node, Scalar):
        return scalar(node)
    if isinstance(node, Items):
        parts = [_flow(item, comment, width) for item in node.items]
        found = f"[{', '.join(part or '' for part in parts)}]"
        return found if None not in parts and len(found) <= width else None
    values = {name: _flow(value, comment, width) for name, (_, value) in node.keys.items()}
    found = f"{{{', '.join(f'{string(name)}: {value}' for name, value in values.items())}}}"
    commented = any(comment(node, name) for name in node.keys)
    return found if None not in values.values() and not commented and len(found) <= width else None


def scalar(node: Scalar) -> str:
    """Return a single value: of another kind than a string as it was typed."""
    if node.kind == "null":
        return "null"
    return string(literal(node.text)) if node.kind == "str" else node.text


def string(text: str) -> str:
    """Return a string as a stack file has it, in quotes if it needs them; `$` stays as it is."""
    if PLAIN.fullmatch(text) and is_text(text) and text != "...":
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else _escape(c) for c in quoted)


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\U{code:08x}" if code > 0xFFFF else f"\\u{code:04x}"  # noqa: PLR2004  the end of the first plane
