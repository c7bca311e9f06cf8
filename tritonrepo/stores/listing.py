"""What the listing of a bucket says: objects under a prefix, and the directories that keys with a slash stand for."""

from __future__ import annotations

from collections.abc import Iterable

from tritonrepo.stores.walk import WRITTEN_BY_PYTHON
from tritonrepo.tree import Directory, Entry, Tree, in_order


def head(prefix: str) -> str:
    """Return what the keys under a prefix begin with."""
    return f"{prefix}/" if prefix else ""


def as_tree(prefix: str, objects: Iterable[tuple[str, Entry]]) -> Tree:
    """Return objects by their paths under the prefix, sorted; a zero-byte "directory/" is an empty directory."""
    start = len(head(prefix))
    found = {key[start:]: entry for key, entry in objects if _counts(key[start:])}
    markers = [path for path in found if path.endswith("/")]
    for marker in markers:
        del found[marker]
        if not any(path.startswith(marker) for path in found) and marker[:-1] not in found:
            found[marker[:-1]] = Directory()
    return dict(in_order(found))


def _counts(path: str) -> bool:
    return path != "" and WRITTEN_BY_PYTHON not in path.split("/")[:-1]
