"""Names in a bucket or a record as names on a disk: both are foreign text, and none may lead out of a directory. Pure.

A push sends only names that are safe everywhere (`sync.obstacles`); a bucket may have others, and a record may name
anything.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterator

from tritonrepo.tree import parents

LONGEST_NAME = 255
"""Bytes of a name on nearly every file system; NAME_MAX of Linux."""

LONGEST_PATH = 3000
"""Bytes of a path below a directory; PATH_MAX of Linux is 4096, for the whole path."""


def unfit(paths: Collection[str], reserved: Collection[str], *, folded: bool) -> Iterator[tuple[str, str]]:
    """Yield each path that cannot be a file below a directory together with the others, and why.

    `reserved` are paths that something else has. On a disk that does not distinguish upper and lower case (`folded`),
    two names must differ in more.
    """
    above = {each for path in paths for each in parents(path)}
    for path in paths:
        if path in reserved:
            yield path, "tritonrepo itself keeps a file of this name there"
        elif reason := _reason(path):
            yield path, reason
        elif path in above:
            yield path, "other names need a directory where this file is"
    if folded:
        yield from _clashes({*paths, *above})


def _reason(path: str) -> str:
    try:
        names = path.encode().split(b"/")
    except UnicodeEncodeError:
        return "the name is not Unicode text"
    if {b"", b".", b".."} & {*names}:
        return 'the name has a part that is empty, "." or ".."'
    if "\0" in path or "\\" in path:
        return "the name has a backslash or a NUL character"
    if len(path.encode()) > LONGEST_PATH or max(map(len, names)) > LONGEST_NAME:
        return f"the name is longer than {LONGEST_PATH} bytes, or a part of it is longer than {LONGEST_NAME}"
    return ""


def _clashes(paths: Collection[str]) -> Iterator[tuple[str, str]]:
    seen: dict[str, str] = {}
    for path in sorted(paths):
        other = seen.setdefault(unicodedata.normalize("NFC", path).casefold(), path)
        if other != path:
            yield path, f'this disk does not distinguish the name from "{other}"'
