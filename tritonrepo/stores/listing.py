"""What the listing of a bucket says: objects under a prefix, and the directories that keys with a slash stand for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from tritonrepo.stores.walk import WRITTEN_BY_PYTHON
from tritonrepo.tree import Directory, Entry, File, Tree, in_order, parents

Found = TypeVar("Found", bound=Entry)


def head(prefix: str) -> str:
    """Return what the keys under a prefix begin with."""
    return f"{prefix}/" if prefix else ""


def as_tree(objects: Iterable[tuple[str, Entry]]) -> Tree:
    """Return objects by their paths under a prefix, sorted; a zero-byte "directory/" is an empty directory."""
    found: dict[str, Entry] = dict(_counting(objects))
    markers = [path[:-1] for path in found if path.endswith("/")]
    above = {each for path in found for each in parents(path.removesuffix("/"))} if markers else set[str]()
    for path in markers:
        del found[f"{path}/"]
        if path not in above:
            found.setdefault(path, Directory())
    return dict(in_order(found))


def files(objects: Iterable[tuple[str, File]]) -> Iterator[tuple[str, File]]:
    """Yield the files that `as_tree` finds, one after the other."""
    return ((path, file) for path, file in _counting(objects) if not path.endswith("/"))


def _counting(objects: Iterable[tuple[str, Found]]) -> Iterator[tuple[str, Found]]:
    for path, entry in objects:
        if path and not (WRITTEN_BY_PYTHON in path and WRITTEN_BY_PYTHON in path.split("/")[:-1]):
            yield path, entry
