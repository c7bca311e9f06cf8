"""Places of keys in the JSON files of a repository."""

from __future__ import annotations

import json
import re

from tritonrepo.diagnostics import Span, line_and_column


def place(path: str, text: str, key: str) -> Span:
    """Return the place of the first key with this name, or the start of the text if it is written with escapes."""
    match = re.search(f"({re.escape(json.dumps(key, ensure_ascii=False))})\\s*:", text)
    if match is None:
        return Span(path, 1, 1)
    return Span(path, *line_and_column(text, match.start()), *line_and_column(text, match.end(1)))
