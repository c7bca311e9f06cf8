"""Fixes of a stack file: one word in place of another, where its place is known to be the word and nothing else.

The place of a word that has escapes, a variable, a tag or several lines is longer than the word, or has no end.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from tritonrepo.diagnostics import Fix, Replacement, Span, nearest
from tritonrepo.spec.composing import is_text
from tritonrepo.spec.nodes import Keys

PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
"""A name that YAML reads as one without quotes, if it is no other value."""

FLOW = re.compile(r"[^\s\[\]{}#&*!|>%@`\"'?:-][^\[\]{}#\n]*")
"""A value without quotes that can be an item of a list in brackets."""

QUOTES = 2
ON = {"true", "yes", "on", "y"}
OFF = {"false", "no", "off", "n"}


def rewritten(at: Span | None, word: str, new: str, *, safe: bool) -> Fix | None:
    """Return the fix that replaces a word, with its quotes; None if something else may be at this place."""
    if at is None or _length(at) not in {len(word), len(word) + QUOTES}:
        return None
    return Fix((Replacement(at, new),), safe=safe)


def respelled(at: Span | None, word: str, choices: Iterable[str]) -> Fix | None:
    """Return the fix that writes the choice that is closest to a misspelt word.

    It is safe if they differ only in case, hyphens and underscores.
    """
    return _written(at, word, _meant(word, list(choices)))


def renamed(node: Keys, choices: Collection[str]) -> dict[str, Fix | None]:
    """Return the fixes of the keys of a mapping that are none of these; two keys do not become one."""
    names = list(choices)
    meant = {key: _meant(key, names) for key in node.keys if key not in choices}
    counts = Counter(meant.values())
    alone = {key: new for key, new in meant.items() if new not in node.keys and counts[new] == 1}
    return {key: _written(node.keys[key][0], key, new) for key, new in alone.items()}


def _meant(word: str, names: Sequence[str]) -> str:
    same = [name for name in names if _letters(name) == _letters(word)]
    return same[0] if len(same) == 1 else nearest(word, names)


def _written(at: Span | None, word: str, new: str) -> Fix | None:
    if not PLAIN.fullmatch(new) or not is_text(new):
        return None
    return rewritten(at, word, new, safe=_letters(new) == _letters(word))


def switched(at: Span, word: str) -> Fix | None:
    """Return the fix that writes true or false in place of a word that YAML 1.1 read so, or of one in quotes."""
    plain = word.lower()
    known = plain in ON | OFF
    return rewritten(at, word, "true" if plain in ON else "false", safe=True) if known else None


def listed(at: Span, word: str) -> Fix | None:
    """Return the fix that puts a single value into a list."""
    plain, quoted = _length(at) == len(word), _length(at) == len(word) + QUOTES
    if "," in word or not (quoted or (plain and FLOW.fullmatch(word))):
        return None
    start, end = (
        replace(at, end_line=at.line, end_column=at.column),
        replace(at, line=at.end_line, column=at.end_column),
    )
    return Fix((Replacement(start, "["), Replacement(end, "]")), safe=True)


def _length(at: Span) -> int:
    """Return how many characters a place has in its line; -1 if it has no known end there."""
    return at.end_column - at.column if at.line == at.end_line else -1


def _letters(word: str) -> str:
    return word.replace("-", "").replace("_", "").lower()
