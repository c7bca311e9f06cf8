"""Tables in texts, as grids of cells with their places: CSV, Markdown, and tables that are drawn with lines."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from tritonrepo.bench.tables.cells import Cell
from tritonrepo.bench.tables.runs import Grid
from tritonrepo.diagnostics import Span, fatal

ROWS = 1_000
"""Rows of a file that are judged; a table that people compare has few."""

COLUMNS = 100
"""Columns of a table that are judged."""

DELIMITERS = ",;\t"
DRAWN = str.maketrans("┃│║", "|||")
RULE = re.compile(r"\s*(?:\|\s*)?:?-+:?\s*(?:\|\s*:?-+:?\s*)*(?:\|\s*)?")
LINES = re.compile(r"[\s┏┓┗┛┡┩┢┪┣┫╇╈┳┻╋━─┌┐└┘├┤┬┴┼═╔╗╚╝╠╣╦╩╬╒╕╘╛╞╡╪╤╧+=|:-]+")
FIELD = re.compile(r'\s*"((?:[^"]|"")*)"\s*')


def markdown(text: str, path: str) -> Iterator[Grid]:
    """Yield the tables of a Markdown text, or of one with tables that are drawn with lines."""
    rows: list[list[Cell]] = []
    many = 0
    for number, line in enumerate(text.splitlines(), 1):
        plain = line.translate(DRAWN)
        if plain.count("|") and not LINES.fullmatch(plain):
            many += 1
            _limited(many, plain.count("|") - 1, Span(path, number))
            rows.append(_piped(plain, path, number))
        elif rows and not (LINES.fullmatch(plain) and plain.strip()):
            yield rows
            rows = []
    if rows:
        yield rows


def is_markdown(text: str) -> bool:
    """Return whether a text has a table of Markdown, or one that is drawn with lines."""
    return any(
        ("|" in line and RULE.fullmatch(line))
        or ("-+" in line and LINES.fullmatch(line))
        or line.lstrip().startswith(("┏", "┡", "╒", "┌"))
        for line in text.splitlines()
    )


def _piped(line: str, path: str, number: int) -> list[Cell]:
    begin = len(line) - len(line.lstrip()) + line.lstrip().startswith("|")
    end = len(line.rstrip()) - (line.rstrip().endswith("|") and len(line.rstrip()) > begin)
    cells, column = [], begin
    for part in re.split(r"(?<!\\)\|", line[begin:end]):
        cells.append(Cell(part.strip().replace("\\|", "|"), _span(path, number, column, part)))
        column += len(part) + 1
    return cells


def delimited(text: str, path: str) -> Iterator[Grid]:
    """Yield the tables of a CSV text, which empty lines separate; lines that begin with # are comments.

    The delimiter is the one of comma, semicolon and tab that the first line has most of. Raise Stop for more rows than
    are judged, or for quotes that do not end.
    """
    lines = text.splitlines()
    first = next((line for line in lines if line.strip() and not line.startswith("#")), "")
    delimiter = max(DELIMITERS, key=first.count)
    rows: list[list[Cell]] = []
    many = 0
    for number, line in enumerate(lines, 1):
        if line.startswith("#"):
            continue
        if not line.strip(delimiter + " \t"):
            if rows:
                yield rows
            rows = []
            continue
        many += 1
        _limited(many, line.count(delimiter), Span(path, number))
        rows.append(_fields(line, delimiter, path, number))
    if rows:
        yield rows


def _limited(rows: int, delimiters: int, at: Span) -> None:
    """Raise Stop for a table that is too large to be one that people compare."""
    if rows > ROWS:
        raise fatal("bench-table", at, f"the table has more than {ROWS:,} rows", "Use a summary.")
    if delimiters >= COLUMNS:
        raise fatal("bench-table", at, f"the table has more than {COLUMNS:,} columns", "Use a summary.")


def _fields(line: str, delimiter: str, path: str, number: int) -> list[Cell]:
    cells, at = [], 0
    while at <= len(line):
        if (quoted := FIELD.match(line, at)) is not None and line[quoted.end() : quoted.end() + 1] in {"", delimiter}:
            text, end = quoted[1].replace('""', '"'), quoted.end()
        else:
            end = line.find(delimiter, at)
            end = len(line) if end < 0 else end
            text = line[at:end]
        if text.lstrip().startswith('"') and quoted is None:
            message = "a quoted cell does not end on its line"
            raise fatal("bench-table", _span(path, number, at, text), message, 'Add the missing ".')
        cells.append(Cell(text.strip(), _span(path, number, at, line[at:end])))
        at = end + 1
    return cells


def _span(path: str, number: int, column: int, part: str) -> Span:
    blank = len(part) - len(part.lstrip())
    return Span(path, number, column + blank + 1, number, column + max(blank + 1, len(part.rstrip())) + 1)


def pairs(lines: Sequence[tuple[int, str]], path: str) -> list[tuple[Cell, Cell]]:
    """Return names and values of lines such as `Mean TTFT (ms):   30.87`, each with its place; other lines are left."""
    found = []
    for number, line in lines:
        name, colon, value = line.rpartition(":")
        if colon and name.strip() and value.strip():
            cells = (
                Cell(name.strip(), _span(path, number, 0, name)),
                Cell(value.strip(), _span(path, number, len(name) + 1, value)),
            )
            found.append(cells)
    return found
