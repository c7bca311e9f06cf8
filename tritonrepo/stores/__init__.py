"""Where trees lie: directories and, later, buckets."""

from __future__ import annotations

from pathlib import Path

from tritonrepo.diagnostics import fatal
from tritonrepo.stores.directory import DirectoryStore


def open_store(uri: str) -> tuple[DirectoryStore, str]:
    """Give the Store and the prefix in it that a path or URI names; the Store of a path is its parent directory."""
    if "://" in uri:
        raise fatal("store-uri", uri, "buckets are not supported yet", "Name a directory.")
    path = Path(uri).absolute()
    return DirectoryStore(path.parent), path.name
