"""A Python environment that is packed in a file of the model: whether the server can unpack it, and what is in it.

Source: python_backend, src/pb_env.cc, ExtractTarFile, which reads tar, plain or in gzip, and nothing else;
src/stub_launcher.cc, GetPythonEnvironment, which then needs bin/activate.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from tritonrepo.rules.layout.tars import BLOCK, Member, members, opened
from tritonrepo.tree import File

OTHERS = {
    b"PK\x03\x04": "a ZIP archive",
    b"BZh": "compressed with bzip2",
    b"\xfd7zXZ": "compressed with xz",
    b"\x28\xb5\x2f\xfd": "compressed with Zstandard",
    b"version https://git-lfs": "a Git LFS pointer",
}


class Packed(NamedTuple):
    """What is wrong with a file, and its members; `whole` tells whether these are all."""

    wrong: str = ""
    members: tuple[Member, ...] = ()
    whole: bool = False


def packed(entry: File) -> Packed:
    """Return what is known about a packed environment."""
    if not _is_tar(opened(entry).take(BLOCK)):
        return Packed(wrong=_wrong(entry.read(0, BLOCK)))
    return Packed("", *members(opened(entry)))


def _is_tar(header: bytes) -> bool:
    """Return whether a tar file may begin so: with a header whose checksum is right, or with its end."""
    if len(header) < BLOCK:
        return False
    stored = re.match(rb" *([0-7]{1,7})", header[148:156])
    total = sum(header) - sum(header[148:156]) + 8 * ord(" ")
    return not any(header) or (stored is not None and int(stored[1], 8) == total)


def _wrong(start: bytes) -> str:
    known = next((words for magic, words in OTHERS.items() if start.startswith(magic)), "")
    return known or ("empty" if not start else "not an archive")
