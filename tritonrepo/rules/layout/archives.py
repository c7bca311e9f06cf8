"""A Python environment that is packed in a file of the model: whether the server can unpack it, and what is in it.

Source: python_backend, src/pb_env.cc, ExtractTarFile, which reads tar, plain or in gzip, and nothing else;
src/stub_launcher.cc, GetPythonEnvironment, which then needs bin/activate.
"""

from __future__ import annotations

import posixpath
import re
import tarfile
import zlib
from typing import NamedTuple

from tritonrepo.tree import File

GZIP = b"\x1f\x8b"
BLOCK = 512
READ = 1 << 20
"""Bytes of a packed environment that are read: conda environments are far larger, so of these only the first files."""

UNPACKED = 1 << 23
OTHERS = {
    b"PK\x03\x04": "a ZIP archive",
    b"BZh": "compressed with bzip2",
    b"\xfd7zXZ": "compressed with xz",
    b"\x28\xb5\x2f\xfd": "compressed with Zstandard",
    b"version https://git-lfs": "a Git LFS pointer",
}


class Packed(NamedTuple):
    """What is wrong with a file, and its first members; `whole` tells whether these are all."""

    wrong: str = ""
    names: tuple[str, ...] = ()
    whole: bool = False


def packed(entry: File) -> Packed:
    """Return what is known about a packed environment."""
    start = entry.read(0, min(entry.size, READ))
    content = _unpacked(start) if start.startswith(GZIP) else start
    if not _is_tar(content[:BLOCK]):
        return Packed(wrong=_wrong(start))
    names, whole = _names(content)
    return Packed(names=names, whole=whole)


def _unpacked(start: bytes) -> bytes:
    """Return what the beginning of a gzip file contains."""
    try:
        return zlib.decompressobj(wbits=31).decompress(start, UNPACKED)
    except zlib.error:
        return b""


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


def _names(content: bytes) -> tuple[tuple[str, ...], bool]:
    """Return the names of files in the beginning of a tar file, and whether its end is there.

    A header that may rename the next file makes the list uncertain, and so does one that cannot be read.
    """
    found: list[str] = []
    place = 0
    while place + BLOCK <= len(content):
        header = content[place : place + BLOCK]
        if not any(header):
            return tuple(found), True
        try:
            each = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
        except tarfile.TarError:
            break
        if each.size < 0 or each.type not in {
            *tarfile.REGULAR_TYPES,
            tarfile.DIRTYPE,
            tarfile.SYMTYPE,
            tarfile.LNKTYPE,
        }:
            break
        found.append(posixpath.normpath(each.name))
        data = each.size if each.type in tarfile.REGULAR_TYPES else 0
        place += BLOCK + -(-data // BLOCK) * BLOCK
    return tuple(found), False
