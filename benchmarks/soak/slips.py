"""Good repositories with the slips of people who write them by hand: in the text of a config, or in a file's name."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from functools import cache

from benchmarks.soak import mutants
from benchmarks.soak.pages import Half, renamed
from tritonrepo.diagnostics import Move, State
from tritonrepo.fixes import Write, after
from tritonrepo.rules import RULES
from tritonrepo.tree import Entry, File, Link, Outside, Unreadable

FIELD = re.compile(rb"\b([a-z][a-z_]+)(?=\s*[:{\[])")
ENUM = re.compile(rb"\b(?:TYPE|KIND|CONTROL|MODE)_[A-Z0-9_]+")
STRING = re.compile(rb'"[^"\n]*"')
NUMBER = re.compile(rb"(?<![\w\".])-?\d+(?![\w\".])")
LINE = re.compile(rb"^[^\n]*\S[^\n]*\n", re.MULTILINE)
CLOSING = re.compile(rb"[]}]")
COLON = re.compile(rb"\s*:\s*")


def _at(
    pattern: re.Pattern[bytes], new: Callable[[bytes, random.Random], bytes]
) -> Callable[[random.Random, bytes], bytes]:
    """Return the slip that replaces one thing that a pattern finds."""

    def slip(dice: random.Random, text: bytes) -> bytes:
        found = [*pattern.finditer(text)]
        if not found:
            return text
        one = dice.choice(found)
        return text[: one.start()] + new(one[0], dice) + text[one.end() :]

    return slip


def _without(word: bytes, dice: random.Random) -> bytes:
    at = dice.randrange(len(word))
    return word[:at] + word[at + 1 :]


def _swapped(word: bytes, dice: random.Random) -> bytes:
    at = dice.randrange(max(1, len(word) - 1))
    return word[:at] + word[at + 1 : at + 2] + word[at : at + 1] + word[at + 2 :]


def _line_elsewhere(dice: random.Random, text: bytes) -> bytes:
    lines = text.splitlines(keepends=True)
    if lines:
        lines.insert(dice.randrange(len(lines) + 1), lines[dice.randrange(len(lines))])
    return b"".join(lines)


SLIPS: Mapping[str, Callable[[random.Random, bytes], bytes]] = {
    "no colon": _at(COLON, lambda *_: b" "),
    "an equals sign": _at(COLON, lambda *_: b" = "),
    "two colons": _at(COLON, lambda *_: b":: "),
    "a comma": _at(LINE, lambda line, _: line.rstrip() + b",\n"),
    "a comma at the end of a list": _at(re.compile(rb"\]"), lambda *_: b", ]"),
    "a semicolon": _at(LINE, lambda line, _: line.rstrip() + b";\n"),
    "a quoted enum": _at(ENUM, lambda word, _: b'"' + word + b'"'),
    "an enum in lower case": _at(ENUM, lambda word, _: word.lower()),
    "an enum without its prefix": _at(ENUM, lambda word, _: word.partition(b"_")[2]),
    "a misspelt enum": _at(ENUM, _without),
    "a string without quotes": _at(STRING, lambda word, _: word.strip(b'"')),
    "a string with one quote": _at(STRING, lambda word, _: word[:-1]),
    "a misspelt string": _at(STRING, lambda word, dice: b'"' + _without(word.strip(b'"') or b"x", dice) + b'"'),
    "a string in capitals": _at(STRING, lambda word, _: word.upper()),
    "a misspelt field": _at(FIELD, _without),
    "a field with swapped letters": _at(FIELD, _swapped),
    "a field in camel case": _at(FIELD, lambda word, _: re.sub(rb"_(\w)", lambda m: m[1].upper(), word)),
    "a field with hyphens": _at(FIELD, lambda word, _: word.replace(b"_", b"-")),
    "a quoted field": _at(FIELD, lambda word, _: b'"' + word + b'"'),
    "a field with an s": _at(FIELD, lambda word, _: word + b"s"),
    "a line twice": _at(LINE, lambda line, _: line + line),
    "a line too few": _at(LINE, lambda *_: b""),
    "a line elsewhere": _line_elsewhere,
    "a number in quotes": _at(NUMBER, lambda word, _: b'"' + word + b'"'),
    "another number": _at(NUMBER, lambda _, dice: b"%d" % dice.choice((-2, -1, 0, 1, 3, 7, 64))),
    "a number with a point": _at(NUMBER, lambda word, _: word + b".0"),
    "no closing bracket": _at(CLOSING, lambda *_: b""),
    "two closing brackets": _at(CLOSING, lambda word, _: word + word),
    "a comment of another language": _at(LINE, lambda line, _: line.rstrip() + b" // a note\n"),
    "true in capitals": _at(re.compile(rb"\b(?:true|false)\b"), lambda word, _: word.capitalize()),
}
"""What happens to the text of a config, by name."""

MOVES = {
    "a config with a capital letter": (r"/config\.pbtxt$", "/Config.pbtxt"),
    "a config with another ending": (r"/config\.pbtxt$", "/config.pbtxt.txt"),
    "a config in the version": (r"/config\.pbtxt$", "/1/config.pbtxt"),
    "a version with a zero": (r"/1/", "/01/"),
    "a version with a letter": (r"/1/", "/v1/"),
}
"""What happens to the name of a file, by name: a pattern in its path, and what replaces it."""


@cache
def goods() -> tuple[Half, ...]:
    """Return the Good examples of the rules that many can share a server, all of whose models load."""
    halves = [Half(rule, "Good") for rule in RULES.values()]
    return tuple(
        half
        for half in halves
        if half.target.release.name == mutants.RELEASE
        and not half.target.gpus
        and half.target.auto_complete
        and not half.alone
        and half.place.backends == halves[0].place.backends
        and all(one.verdict is State.READY for one in half.verdicts.values())
        and not any(isinstance(entry, Link | Outside | Unreadable) for entry in half.tree.values())
    )


def slipped(number: int) -> tuple[str, dict[str, Entry]]:
    """Return the slip and the repository of a number, which is always the same; its models are `tNUMBER_…`."""
    dice = random.Random(f"slips {number}")
    tree = renamed(dice.choice(goods()), f"t{number}_")
    name = dice.choice([*SLIPS, *MOVES])
    if name in MOVES:
        pattern, new = MOVES[name]
        moves = [Move(path, re.sub(pattern, new, path)) for path in tree if re.search(pattern, path)]
        return name, after(tree, moves[:1] if "config" in name else moves)
    configs = [path for path, entry in tree.items() if path.endswith("/config.pbtxt") and isinstance(entry, File)]
    if not configs:
        return name, tree
    path = dice.choice(configs)
    entry = tree[path]
    assert isinstance(entry, File)
    return name, after(tree, [Write(path, SLIPS[name](dice, entry.content()))])
