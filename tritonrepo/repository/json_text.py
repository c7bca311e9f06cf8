"""Places of keys in the JSON files of a repository."""

from __future__ import annotations

import json
import re

from tritonrepo.diagnostics import Span


def place(path: str, text: str, key: str) -> Span:
    """Return the place of the first key with this name, or the start of the text if it is written with escapes."""
    match = re.search(f"({re.escape(json.dumps(key, ensure_ascii=False))})\\s*:", text)
    return Span(path, *_counted(text, match.start()), *_counted(text, match.end(1))) if match else Span(path, 1, 1)


def _counted(text: str, offset: int) -> tuple[int, int]:
    """Return line and column, from 1, of an offset."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)
