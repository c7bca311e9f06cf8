"""Where trees lie: directories and buckets."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from tritonrepo.diagnostics import fatal
from tritonrepo.stores.directory import DirectoryStore
from tritonrepo.stores.s3 import S3Store
from tritonrepo.stores.store import Store
from tritonrepo.stores.uri import is_remote, parse


def open_store(uri: str, links: Sequence[Path] = ()) -> tuple[Store, str]:
    """Give the Store and the prefix in it that a path or URI names.

    The Store of a path is its parent directory, that of a URI its bucket: what belongs to a repository and must not lie
    in it has its place beside it. Nothing is asked before the first `scan` or `read`. `links` are directories into
    which links may lead out of one that is scanned.
    """
    if is_remote(uri):
        address = parse(uri, os.environ)
        return S3Store(address), address.key
    if not uri:
        hint = "Was a variable meant that is not set? This directory is written as a dot."
        raise fatal("store-uri", '""', "an empty text names no directory and no bucket", hint)
    path = Path(uri).absolute()
    path = path.resolve() if path.name == ".." else path
    return DirectoryStore(path.parent, links), path.name
