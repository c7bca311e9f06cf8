"""TOML with positions: the values by the standard library, and where each key and value begins by a scan of our own."""

from __future__ import annotations

import re
import tomllib
from typing import Any, NamedTuple

from tritonrepo.diagnostics import Span, fatal, line_and_column

RULE = "settings-syntax"
MOST_BYTES = 1 << 20
MOST_DOTS = 16
"""In a key; the time that `tomllib` takes for one grows with the square of their number."""

SAID = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")

BLANK = re.compile(r"(?:[ \t\n]++|#[^\n]*+)*+")
SPACE = re.compile(r"[ \t]*+")
KEY = re.compile(r"""[A-Za-z0-9_-]++|"(?:[^"\\]|\\.)*+"|'[^']*+'""")
TEXT = re.compile(
    r""""{3}(?:\\.|[^\\"]|"(?!""))*+"{3,5}|'{3}(?:[^']|'(?!''))*+'{3,5}|"(?:[^"\\]|\\.)*+"|'[^']*+\'""", re.DOTALL
)
TOKEN = re.compile(rf"""{TEXT.pattern}|#[^\n]*+|[=,\[{{.]|\n++|[^"'#=,\[{{\n.]++""", re.DOTALL)
PLAIN = re.compile(r"[^,\]}\n#]*+")

Path = tuple[str | int, ...]


class Document(NamedTuple):
    """The data of a file, and the places of its keys and values by their path in the data."""

    data: dict[str, Any]
    file: str
    keys: dict[Path, Span]
    values: dict[Path, Span]


def parse(content: bytes, file: str) -> Document:
    """Return what a file holds; raise Stop with the place of the fault if it is not TOML."""
    if len(content) > MOST_BYTES:
        message = f"the settings have {len(content):,} bytes, but at most {MOST_BYTES:,} are read"
        raise fatal(RULE, file, message, "Check that it is the right file.")
    text = _text(content, file)
    _dotted(text, file)
    try:
        data = tomllib.loads(text)
        scan = _Scan(text, file)
        scan.run()
    except RecursionError:
        raise fatal(RULE, file, "the settings are nested too deeply", "Check that it is the right file.") from None
    except ValueError as error:
        raise _broken(str(error), text, file) from None
    return Document(data, file, scan.keys, scan.values)


def _text(content: bytes, file: str) -> str:
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8-sig", "replace").replace("\r\n", "\n")
        place = Span(file, *line_and_column(before, len(before)))
        message = f"the byte 0x{content[error.start]:02x} is not UTF-8"
        raise fatal(RULE, place, message, "Save the file as UTF-8.") from None


def _dotted(text: str, file: str) -> None:
    """Raise Stop for a key with too many dots; a text that ends in a string is not TOML, and left to `tomllib`."""
    dots = at = 0
    while (token := TOKEN.match(text, at)) is not None:
        dots = dots + 1 if token[0] == "." else 0 if token[0][0] in {*"=,[{\n"} else dots
        if dots > MOST_DOTS:
            hint = "Settings have at most three levels."
            raise fatal(RULE, Span(file, *line_and_column(text, at)), f"a key has more than {MOST_DOTS} dots", hint)
        at = token.end()


def _broken(said: str, text: str, file: str) -> Exception:
    found = SAID.search(said)
    where = (0, 0) if found is None else (int(found[1] or 0), int(found[2] or 0))
    if found is not None and not where[0]:
        where = line_and_column(text, len(text))
    reason = SAID.sub("", said).replace("\n", " ")
    message = f"the settings are not TOML: {reason[:1].lower()}{reason[1:]}"
    return fatal(RULE, Span(file, *where), message, "Correct the file at this place.")


class _Scan:
    """One pass over a text that is TOML, for nothing but the places of keys and values; the first of a path stays."""

    def __init__(self, text: str, file: str) -> None:
        self.text, self.file, self.at = text, file, 0
        self.keys: dict[Path, Span] = {}
        self.values: dict[Path, Span] = {}
        self._line, self._begin, self._seen = 1, 0, 0

    def run(self) -> None:
        """Find the places of all keys and values."""
        table: Path = ()
        while self._next() < len(self.text):
            if self.text[self.at] == "[":
                self.at += 2 if self.text.startswith("[[", self.at) else 1
                table = self._key(())
                self.at = self.text.find("]", self.at)
                self.at += 2 if self.text.startswith("]]", self.at) else 1
            else:
                self._pair(table)

    def _next(self) -> int:
        self._skip(BLANK)
        return self.at

    def _skip(self, what: re.Pattern[str]) -> str:
        found = what.match(self.text, self.at)
        self.at = found.end() if found else self.at
        return found[0] if found else ""

    def _place(self) -> Span:
        """Return the place where the scan is; lines are counted once."""
        self._line += self.text.count("\n", self._seen, self.at)
        self._begin = max(self._begin, self.text.rfind("\n", self._seen, self.at) + 1)
        self._seen = self.at
        return Span(self.file, self._line, self.at - self._begin + 1)

    def _key(self, above: Path) -> Path:
        """Read a dotted key, and return its path."""
        while True:
            self._skip(SPACE)
            place = self._place()
            above = (*above, _word(self._skip(KEY)))
            self.keys.setdefault(above, place)
            self._skip(SPACE)
            if not self.text.startswith(".", self.at):
                return above
            self.at += 1

    def _pair(self, above: Path) -> None:
        path = self._key(above)
        self.at += 1
        self._skip(SPACE)
        self._value(path)

    def _value(self, path: Path) -> None:
        self.values.setdefault(path, self._place())
        if self.text.startswith("[", self.at):
            self._items(path)
        elif self.text.startswith("{", self.at):
            self._table(path)
        elif not self._skip(TEXT):
            self._skip(PLAIN)

    def _items(self, path: Path) -> None:
        self.at += 1
        number = 0
        while self.text[self._next()] != "]":
            self._value((*path, number))
            number += 1
            self.at += self.text[self._next()] == ","
        self.at += 1

    def _table(self, path: Path) -> None:
        self.at += 1
        while self.text[self._next()] != "}":
            self._pair(path)
            self.at += self.text[self._next()] == ","
        self.at += 1


def _word(key: str) -> str:
    """Return what a key says, without its quotes and escapes."""
    return next(iter(tomllib.loads(f"{key} = 0"))) if key[:1] in {'"', "'"} else key
