"""Syntax that Python 3.12 or 3.11 brought and that a later Python, ours, does not tell from what was there before.

Source: cpython 3.10, Parser/string_parser.c, fstring_find_literal, fstring_find_expr: the f-string ends at its first
quote, and what is between braces is then cut out of it; PEP 701 and PEP 646 changed the grammar.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

from tritonrepo.rules.python.script import Script, SyntaxFault, nodes

NESTING, STARS = (3, 12), (3, 11)
"""The Pythons that brought f-strings of any content, and stars in an index."""

OPENING = tuple(re.compile(rb"%s(?:(?<!\w.)|(?<=\W[rR].))[rR]?(\"\"\"|'''|\"|')" % letter) for letter in (b"f", b"F"))
"""How f-strings begin; a pattern is quick where its first letter is known."""

ODD = re.compile(rb"\{[^{}]{0,999}[\\#]")
STRING = re.compile(rb"#[^\n]*|(?:(?<!\w)(?P<prefix>[bBfFrRuU]{1,2}))?(?P<quote>\"\"\"|'''|\"|')")
REST = {
    b'"': re.compile(rb'[^"\\\n]*(?:\\[\s\S][^"\\\n]*)*"'),
    b"'": re.compile(rb"[^'\\\n]*(?:\\[\s\S][^'\\\n]*)*'"),
    b'"""': re.compile(rb'[^"\\]*(?:(?:\\[\s\S]|"(?!""))[^"\\]*)*"""'),
    b"'''": re.compile(rb"[^'\\]*(?:(?:\\[\s\S]|'(?!''))[^'\\]*)*'''"),
}
"""What follows the opening quote of a string in Python 3.10, with the closing one."""

INDEX = re.compile(rb"\[(?:(?<=[\w\])]\[)|(?<=[\w\])] \[))(?:[^\]\n]{0,200},)?[ \t]{0,9}\*")
ANNOTATED = re.compile(rb"\*\w{1,99}[ \t]{0,9}:[ \t]{0,9}\*")
"""What may be a star in an index, and in an annotation."""
CLOSING = {")": "(", "]": "[", "}": "{"}


class Later(NamedTuple):
    """What is wrong for an earlier Python, and the next step."""

    fault: SyntaxFault
    hint: str


class _Fault(Exception):  # noqa: N818  it never leaves this module
    """Why Python 3.10 cannot parse an f-string, in its words."""


KINDS = {
    "backslash": ("a backslash", "Move the expression into a variable."),
    "'#'": ("a comment", "Move the comment out of the f-string."),
    "unterminated string literal": ("a line break", "Put the expression on one line, or use triple quotes."),
    "nested too deeply": ("a format within a format", "Format the inner value before."),
    "": ("their own quotes", "Use the other kind of quotes inside the braces."),
}
"""Part of Python's words, what f-strings take from 3.12 on, and the next step."""


def later(script: Script) -> Later | None:
    """Return what is wrong with a source that only a later Python than its image's can parse."""
    python = script.python
    if python is None or python >= NESTING:
        return None
    if _may_nest(script.text) and (found := _nested(script)) is not None:
        return found
    if python < STARS and (INDEX.search(script.text) or ANNOTATED.search(script.text)):
        return next(_starred(script, script.tree), None) if isinstance(script.tree, ast.Module) else None
    return None


def _may_nest(text: bytes) -> bool:
    """Return whether an f-string may have a quote, a backslash, a comment or a line in its braces; this is cheap."""
    for found in chain.from_iterable(opening.finditer(text) for opening in OPENING):
        end = text.find(found[1], found.end())
        inside = text[found.end() : end if end >= 0 else None]
        broken = len(found[1]) == 1 and b"\n" in inside
        if broken or inside.count(b"{") != inside.count(b"}") or ODD.search(inside):
            return True
    return False


def _nested(script: Script) -> Later | None:
    """Return what is wrong with the first f-string that Python 3.10 cannot parse."""
    for start, words in _faults(script.text):
        line = script.text.count(b"\n", 0, start) + 1
        column = start - script.text.rfind(b"\n", 0, start)
        what, hint = next(row for part, row in KINDS.items() if part in words)
        message = f"f-strings take {what} inside braces only from Python 3.12 on"
        return Later(SyntaxFault(line, column, message, f"SyntaxError: {words} ("), hint)
    return None


def _faults(text: bytes) -> Iterator[tuple[int, str]]:
    """Yield the places of f-strings that are wrong, with Python's words; nothing follows a string without an end.

    Strings within f-strings have other quotes, so they are at most four deep.
    """
    at = 0
    while (found := STRING.search(text, at)) is not None:
        quote, at = found["quote"], found.end()
        if quote is None:
            continue
        rest = REST[quote].match(text, at)
        formats = b"f" in (found["prefix"] or b"").lower()
        if rest is None:
            line = text[at:].partition(b"\n")[0]
            if formats and line.count(b"{") > line.count(b"}"):
                yield found.start(), "unterminated string literal"
            return
        if formats:
            try:
                raw = b"r" in found["prefix"].lower()
                _Body(text[at : rest.end() - len(quote)].decode("latin-1"), raw=raw).check()
            except _Fault as fault:
                yield found.start(), str(fault)
        at = rest.end()


class _Body:
    """What is between the quotes of an f-string."""

    def __init__(self, text: str, *, raw: bool) -> None:
        self.text, self.raw, self.at = text, raw, 0

    def check(self) -> None:
        """Raise what Python 3.10 finds in it."""
        while self._literal(0):
            self._field(0)

    def _next(self) -> str:
        return self.text[self.at : self.at + 1]

    def _literal(self, level: int) -> bool:
        """Go to the next field, and return whether there is one before the end, or that of a format."""
        while each := self._next():
            self.at += 1
            if each == "\\" and not self.raw:
                each = self._next()
                if self.text.startswith("N{", self.at):
                    self.at = self.text.find("}", self.at) % (len(self.text) + 1) + 1
                    continue
                self.at += 1
            if each not in {"{", "}"}:
                continue
            if level == 0 and self._next() == each:
                self.at += 1
                continue
            self.at -= 1
            return each == "{"
        return False

    def _field(self, level: int) -> None:
        start = self.at = self.at + 1
        self._expression()
        for _, words in _faults(self.text[start : self.at].encode("latin-1")):
            raise _Fault(words)
        self._rest(level)
        if self._next() != "}":
            raise _Fault("f-string: expecting '}'")
        self.at += 1

    def _rest(self, level: int) -> None:
        """Go past what may follow an expression: `=`, a conversion and a format."""
        if self._next() == "=":
            self.at += 1
            while self._next().isspace():
                self.at += 1
        if self._next() == "!":
            self.at += 2
        if self._next() == ":":
            self.at += 1
            while self._literal(level + 1):
                if level:
                    raise _Fault("f-string: expressions nested too deeply")
                self._field(1)

    def _expression(self) -> None:
        """Go to what ends an expression."""
        brackets: list[str] = []
        quote = ""
        while each := self._next():
            if each == "\\":
                raise _Fault("f-string expression part cannot include a backslash")
            if quote:
                closes = self.text.startswith(quote, self.at)
                self.at += len(quote) if closes else 1
                quote = "" if closes else quote
            elif each in {"'", '"'}:
                quote = each * 3 if self.text.startswith(each * 3, self.at) else each
                self.at += len(quote)
            elif each == "#":
                raise _Fault("f-string expression part cannot include '#'")
            elif not brackets and self._ends(each):
                return
            else:
                _nest(brackets, each)
                self.at += 1
        if quote:
            raise _Fault("f-string: unterminated string")
        raise _Fault(f"f-string: unmatched '{brackets[-1]}'" if brackets else "f-string: expecting '}'")

    def _ends(self, each: str) -> bool:
        """Return whether a character outside brackets ends an expression; go to the second one of a comparison."""
        if each in "!=<>" and self.text[self.at + 1 : self.at + 2] == "=":
            self.at += 1
            return False
        return each in "!:}="


def _nest(brackets: list[str], each: str) -> None:
    if each in CLOSING.values():
        brackets.append(each)
    elif each in CLOSING and (not brackets or brackets.pop() != CLOSING[each]):
        raise _Fault(f"f-string: unmatched '{each}'")


def _starred(script: Script, tree: ast.Module) -> Iterator[Later]:
    """Yield the stars in an index without parentheses, and in the annotation of `*args`."""
    lines = script.text.splitlines()
    for node in nodes(tree):
        match node:
            case ast.Subscript(slice=ast.Tuple(elts=elements) as index):
                starred = next((each for each in elements if isinstance(each, ast.Starred)), None)
                written = b"".join(lines[index.lineno - 1 : index.lineno])[index.col_offset :]
                if starred is not None and not written.startswith(b"("):
                    hint = "Put the index in parentheses, as in `x[(*index,)]`."
                    yield Later(_star(script, starred, "an index takes a star"), hint)
            case ast.arg(annotation=ast.Starred() as starred):
                yield Later(_star(script, starred, "an annotation takes a star"), "Remove the annotation.")
            case _:
                pass


def _star(script: Script, at: ast.expr, what: str) -> SyntaxFault:
    message = f"{what} only from Python 3.11 on"
    return SyntaxFault(at.lineno, at.col_offset + 1, message, f"SyntaxError: invalid syntax ({script.name}, line ")
