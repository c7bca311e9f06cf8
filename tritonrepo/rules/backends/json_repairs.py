"""The fix for a text that Python's json module cannot read: JSON instead of what only other languages allow."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tritonrepo.repository.json_edits import Cut, applied

TOKEN = re.compile(
    r"""(?P<blank>[ \t\r\n]+)
    |(?P<comment>//[^\n]*|\#[^\n]*|/\*.*?\*/)
    |(?P<string>"(?:[^"\\\n]|\\.)*")
    |(?P<single>'(?:[^'\\\n]|\\.)*')
    |(?P<word>[A-Za-z_][\w./-]*)
    |(?P<number>-?[0-9][\w.+-]*|-Infinity)
    |(?P<sign>[{}\[\]:,])
    |(?P<mark>\ufeff)""",
    re.VERBOSE | re.DOTALL,
)
PYTHON = {"True": "true", "False": "false", "None": "null"}
GUESSED = {"yes": "true", "no": "false"}
PLAIN = {"true", "false", "null", "NaN", "Infinity"}
ENDS = {"string", "single", "word", "number", "}", "]"}
"""What ends a value."""

NAMES = {"string", "single", "word"}
"""What can be a name."""


class Token(NamedTuple):
    """A piece of the text: its kind, or a sign itself."""

    kind: str
    start: int
    end: int
    text: str


class Repair(NamedTuple):
    """The edits that make JSON of a text, and whether they have one reading and lose nothing."""

    cuts: Sequence[Cut]
    safe: bool


def repair(text: str) -> Repair | None:
    """Return the edits that make an object of JSON of a text; None if it has anything else than these faults.

    Safe are a comma before a closing bracket, a missing comma, Python's quotes and words, names without quotes, and a
    byte order mark. Comments are lost, and a word without quotes may be meant to be something else.
    """
    tokens = _tokens(text)
    if tokens is None:
        return None
    comments = [_comment(text, token) for token in tokens if token.kind == "comment"]
    told = [token for token in tokens if token.kind not in {"blank", "comment"}]
    guesses = [token for token, follows in _followed(told) if token.kind == "word" and _is_guess(token, follows)]
    cuts = [*comments, *_cuts(told)]
    return Repair(cuts, safe=not comments and not guesses) if cuts and _is_object(applied(text, cuts)) else None


def _tokens(text: str) -> list[Token] | None:
    """Return the pieces of a text; None if one is of no kind."""
    found, at = [], 0
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None:
            return None
        kind = match.lastgroup or ""
        found.append(Token(match[0] if kind == "sign" else kind, at, match.end(), match[0]))
        at = match.end()
    return found


def _followed(tokens: Sequence[Token]) -> Iterator[tuple[Token, str]]:
    """Yield each token with the kind of the next one."""
    return zip(tokens, (*(token.kind for token in tokens[1:]), "")[: len(tokens)], strict=True)


def _cuts(tokens: Sequence[Token]) -> Iterator[Cut]:
    before = Token("", 0, 0, "")
    for token, follows in _followed(tokens):
        if token.kind in NAMES and follows == ":" and before.kind in ENDS:
            yield Cut(before.end, before.end, ",")
        if token.kind == "mark" or (token.kind == "," and follows in {"}", "]"}):
            yield Cut(token.start, token.end, "")
        elif token.kind == "single":
            yield Cut(token.start, token.end, _double(token.text))
        elif token.kind == "word" and (written := _word(token.text, follows)) != token.text:
            yield Cut(token.start, token.end, written)
        before = token


def _word(word: str, follows: str) -> str:
    if follows == ":":
        return f'"{word}"'
    return word if word in PLAIN else PYTHON.get(word) or GUESSED.get(word) or f'"{word}"'


def _is_guess(token: Token, follows: str) -> bool:
    return follows != ":" and token.text not in PLAIN | PYTHON.keys()


def _double(text: str) -> str:
    """Return a string in single quotes as one in double quotes."""
    return '"' + re.sub(r"\\(.)|\"", _escaped, text[1:-1], flags=re.DOTALL) + '"'


def _escaped(match: re.Match[str]) -> str:
    if match[0] == '"':
        return '\\"'
    return "'" if match[1] == "'" else match[0]


def _comment(text: str, token: Token) -> Cut:
    """Return the edit that removes a comment, and its line if it is alone there."""
    start = text.rfind("\n", 0, token.start) + 1
    end = text.find("\n", token.end)
    end = len(text) if end < 0 else end
    rest = text[token.end : end].strip()
    if not text[start : token.start].strip() and not rest:
        return Cut(start, min(end + 1, len(text)), "")
    before = text[: token.start]
    return Cut(token.start if rest else len(before.rstrip(" \t")), token.end, "")


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
