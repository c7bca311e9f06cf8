"""Rows of text as an aligned table."""

from __future__ import annotations

from collections.abc import Sequence

from tritonrepo.plain import printable


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return the rows under their head, with aligned columns and no trailing spaces."""
    cells = [list(head), *([printable(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in cells)
