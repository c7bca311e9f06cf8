"""Changes of named things as text: one line each, then the count."""

from __future__ import annotations

from collections.abc import Sequence

from tritonrepo.plain import printable


def lines(changes: Sequence[tuple[str, str, str]], where: str) -> str:
    """Return the lines of changes, each a sign (+, ~ or -), a name, and what becomes of it."""
    text = [printable("  ".join([f"{sign} {name}", *filter(None, [what])])) for sign, name, what in changes]
    count = f"{len(text)} change{'s'[: len(text) != 1]}" if text else "nothing to do"
    return "\n".join([*text, f"{printable(where)}: {count}"])
