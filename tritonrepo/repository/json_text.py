"""JSON files of a repository as text: where a key is written."""

from __future__ import annotations

import json
import re


def place(text: str, key: str) -> tuple[int, int]:
    """Give line and column, from 1, of the first key of this name; of the text's start where it has escapes."""
    match = re.search(re.escape(json.dumps(key, ensure_ascii=False)) + r"\s*:", text)
    before = text[: match.start() if match else 0]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
