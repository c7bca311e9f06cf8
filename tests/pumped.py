"""Every regular expression of the package with how it is used, and texts that would make it go back and forth."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, NamedTuple

from tests.syntax import PACKAGE, Module, modules

CALLS = frozenset({"match", "search", "fullmatch", "sub", "findall", "finditer", "split"})
REPEATS = {codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT}
ALPHABET = sorted({*" \n\ta0A._-/'\"\\#{}()[]$:=<>|,;@%+~!?\0"})
LONGEST = 4
"""How many characters of a class stand for all of them."""


Node = tuple[Any, Any]
"""What Python's own parser of patterns gives: a code and its value."""


class Used(NamedTuple):
    """A pattern, and the calls by which it is used."""

    pattern: re.Pattern[Any]
    calls: frozenset[str]


def used() -> dict[str, Used]:
    """Return every pattern of the package: those in its modules' values, and those written where they are used."""
    calls: dict[str, set[str]] = {}
    found: dict[str, Used] = {}
    paths = [module.path for module in modules().values()]
    for path, module in zip(paths, modules().values(), strict=True):
        for call, of in _calls(module):
            first = call.args[0] if call.args else None
            if of != "re":
                calls.setdefault(of, set()).add(_method(call))
            elif isinstance(first, ast.Constant):
                found[f"{_name(path)}:{call.lineno}"] = Used(re.compile(first.value), frozenset({_method(call)}))
    for path in paths:
        for number, (name, pattern) in enumerate(_values(path)):
            found[f"{_name(path)}:{name}:{number}"] = Used(pattern, frozenset(calls.get(name, {"match", "fullmatch"})))
    return found


def _calls(module: Module) -> Iterator[tuple[ast.Call, str]]:
    """Yield the calls of methods that patterns have, and the name of what has the method."""
    for node in module.nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CALLS:
            of = node.func.value
            if isinstance(of, ast.Name | ast.Attribute):
                yield node, of.id if isinstance(of, ast.Name) else of.attr


def _method(call: ast.Call) -> str:
    assert isinstance(call.func, ast.Attribute)
    return call.func.attr


def _name(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def _values(path: Path) -> Iterator[tuple[str, re.Pattern[Any]]]:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    if parts[-1] == "__main__":
        return
    module = importlib.import_module(".".join(part for part in parts if part != "__init__"))
    for name, value in vars(module).items():
        yield from ((name, pattern) for pattern in _within(value, 5))


def _within(value: object, depth: int) -> Iterator[re.Pattern[Any]]:
    if isinstance(value, re.Pattern):
        yield value
    elif depth and isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _within(item, depth - 1)
    elif depth and isinstance(value, type) and value.__module__.startswith("tritonrepo."):
        for item in vars(value).values():
            yield from _within(item, depth - 1)


def texts(pattern: re.Pattern[Any], count: int) -> Iterator[str]:
    """Yield texts that repeat the pattern, or all that leads to it, up to `count` times, then an end."""
    told: set[tuple[str, str]] = set()
    for before, body in _repeats(parser.parse(_text(pattern.pattern), pattern.flags)):
        for pump in body:
            for head, part in ((before, pump), ("", before + pump)):
                if part and (head, part) not in told:
                    told.add((head, part))
                    for end in ("", "\0", "\n"):
                        yield head + part * min(count, 2 * count // len(part)) + end


def _text(pattern: str | bytes) -> str:
    return pattern.decode("latin-1") if isinstance(pattern, bytes) else pattern


def _repeats(tree: Iterable[Node], before: str = "") -> Iterator[tuple[str, list[str]]]:
    """Yield the repeats in a parsed pattern: a text that leads there, and texts of what is repeated."""
    for code, value in tree:
        if code in REPEATS:
            yield before, list(dict.fromkeys(_samples(value[2])))
            yield from _repeats(value[2], before)
        else:
            for inner in _parts((code, value)):
                yield from _repeats(inner, before)
        before += next(iter(_samples([(code, value)])), "")


def _parts(node: Node) -> Iterable[Iterable[Node]]:
    code, value = node
    if code is codes.SUBPATTERN:
        return [value[3]]
    if code is codes.BRANCH:
        return list(value[1])
    if code is codes.ATOMIC_GROUP:
        return [value]
    return [value[1]] if code in {codes.ASSERT, codes.ASSERT_NOT} else []


def _samples(tree: Iterable[Node]) -> list[str]:
    """Return some texts that the parsed pattern matches, the shortest first."""
    found = [""]
    for code, value in tree:
        if code in REPEATS:
            ways = ["", *_samples(value[2])] if value[0] == 0 else [w * value[0] for w in _samples(value[2])]
        elif code is codes.BRANCH:
            ways = [way for branch in value[1] for way in _samples(branch)]
        elif code in {codes.SUBPATTERN, codes.ATOMIC_GROUP}:
            ways = _samples(value[3] if code is codes.SUBPATTERN else value)
        elif code in {codes.LITERAL, codes.NOT_LITERAL, codes.IN, codes.ANY}:
            ways = _characters((code, value))
        else:
            ways = [""]
        found = [a + b for a in found for b in ways][: LONGEST * 4]
    return found


def _characters(node: Node) -> list[str]:
    code, value = node
    if code is codes.LITERAL:
        return [chr(value)]
    if code is codes.ANY:
        return ["a", " ", "'", "{"]
    if code is codes.NOT_LITERAL:
        return [c for c in ALPHABET if c != chr(value)][:LONGEST]
    kind = re.compile(_class(value))
    return [c for c in ALPHABET if kind.match(c)] or ["a"]


def _class(items: Iterable[Node]) -> str:
    """Write a parsed character class again."""
    names = {
        codes.CATEGORY_DIGIT: r"\d",
        codes.CATEGORY_NOT_DIGIT: r"\D",
        codes.CATEGORY_SPACE: r"\s",
        codes.CATEGORY_NOT_SPACE: r"\S",
        codes.CATEGORY_WORD: r"\w",
        codes.CATEGORY_NOT_WORD: r"\W",
    }
    text = ""
    for code, value in items:
        if code is codes.NEGATE:
            text += "^"
        elif code is codes.LITERAL:
            text += re.escape(chr(value))
        elif code is codes.RANGE:
            text += f"{re.escape(chr(value[0]))}-{re.escape(chr(value[1]))}"
        else:
            text += names[value]
    return f"[{text}]"
