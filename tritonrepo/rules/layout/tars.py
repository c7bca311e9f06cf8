"""The members of a tar file, plain or in gzip, as its headers tell them; read within bounds, and nothing is unpacked.

Source: POSIX, pax, Extended Header Records; GNU tar, Basic Format, types L and K.
"""

from __future__ import annotations

import posixpath
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, Protocol

from tritonrepo.tree import File

if TYPE_CHECKING:
    from tarfile import TarInfo

GZIP = b"\x1f\x8b"
BLOCK = 512
READ = 1 << 20
"""Bytes that are read of a file that is not on this machine's disk."""

LOCAL = 1 << 26
"""Bytes in gzip that are read of one that is: two seconds of work. Members of a plain file are skipped unread."""

WINDOW, PIECE = 1 << 13, 1 << 16
"""Bytes that are read at once of a plain file, whose members may be far apart, and of one in gzip."""

UNPACKED, EXPANDING = 1 << 23, 20
"""Bytes that a gzip file may become: so many, and so many for each of its own; environments become three for each."""

MOST = 100_000
LONGEST = 1 << 13
"""Headers that are read, and bytes of one that renames the next member."""

DEPTH = 4
"""Parts of a path that are kept: lib/python3.10/site-packages/numpy."""


class Kind(Enum):
    """What a member is; `SAME` is another name of an earlier one."""

    FILE = "file"
    DIRECTORY = "directory"
    LINK = "link"
    SAME = "same"


KINDS = {
    b"0": Kind.FILE,
    b"\0": Kind.FILE,
    b"7": Kind.FILE,
    b"5": Kind.DIRECTORY,
    b"2": Kind.LINK,
    b"1": Kind.SAME,
}
"""By the type in a header, as `tarfile` names them: REGTYPE, AREGTYPE, CONTTYPE, DIRTYPE, SYMTYPE, LNKTYPE."""

PAX, FOR_ALL, LONG_NAME, LONG_LINK = b"x", b"g", b"L", b"K"
RENAMING = frozenset({PAX, FOR_ALL, LONG_NAME, LONG_LINK})


class Member(NamedTuple):
    """A member: its path, what it is, where a link leads as it is written, and whether it can be executed."""

    path: str
    kind: Kind
    target: str = ""
    runs: bool = False


class Stream(Protocol):
    """Bytes from the beginning of a file on."""

    def take(self, n: int) -> bytes:
        """Return the next bytes, fewer only where the file or what is read of it ends."""

    def skip(self, n: int) -> None:
        """Leave bytes out."""


@dataclass(slots=True)
class _Plain:
    file: File
    at: int = 0
    window: bytes = b""
    begins: int = 0
    """The last bytes that were read, and where they begin."""

    def take(self, n: int) -> bytes:
        if not self.begins <= self.at <= self.begins + len(self.window) - n:
            most = self.file.size if self.file.place is not None else min(self.file.size, READ)
            self.window = self.file.read(self.at, min(max(n, WINDOW), max(most - self.at, 0)))
            self.begins = self.at
        found = self.window[self.at - self.begins :][:n]
        self.at += len(found)
        return found

    def skip(self, n: int) -> None:
        self.at += n


@dataclass(slots=True)
class _Gzip:
    file: File
    at: int = 0
    made: int = 0
    ready: bytes = b""
    used: int = 0
    """Bytes of `ready` that were taken or left out."""
    pieces: Iterator[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.pieces = self._pieces()

    def take(self, n: int) -> bytes:
        while len(self.ready) - self.used < n and (piece := next(self.pieces, b"")):
            self.ready, self.used = self.ready[self.used :] + piece, 0
        found = self.ready[self.used : self.used + n]
        self.used += len(found)
        return found

    def skip(self, n: int) -> None:
        while (there := len(self.ready) - self.used) < n and (piece := next(self.pieces, b"")):
            n -= there
            self.ready, self.used = piece, 0
        self.used = min(self.used + n, len(self.ready))

    def _pieces(self) -> Iterator[bytes]:
        most = LOCAL if self.file.place is not None else READ
        packed, waiting = zlib.decompressobj(wbits=31), b""
        while self.made <= UNPACKED + EXPANDING * self.at:
            if not waiting:
                waiting = self.file.read(self.at, min(PIECE, max(most - self.at, 0)))
                self.at += len(waiting)
            if not waiting:
                return
            try:
                piece = packed.decompress(waiting, READ)
            except zlib.error:
                return
            waiting = packed.unconsumed_tail
            if packed.eof:
                waiting, packed = packed.unused_data, zlib.decompressobj(wbits=31)
            self.made += len(piece)
            if piece:
                yield piece


def opened(file: File) -> Stream:
    """Return what a file contains, unpacked if it is in gzip."""
    return _Gzip(file) if _is_gzip(file) else _Plain(file)


def fits(file: File) -> bool:
    """Return whether a file is small enough to be read to its end."""
    return file.size <= (READ if file.place is None else LOCAL) or (file.place is not None and not _is_gzip(file))


def _is_gzip(file: File) -> bool:
    return file.read(0, len(GZIP)) == GZIP


def members(stream: Stream) -> tuple[tuple[Member, ...], bool]:
    """Return the members of a tar file, and whether these are all; of what is deep, only the directory around it.

    A header that cannot be read, or means something else than its neighbours show, ends the list.
    """
    found: dict[Member, None] = {}
    renamed: dict[str, str] = {}
    for _ in range(MOST):
        if len(header := stream.take(BLOCK)) < BLOCK:
            break
        if not any(header):
            return tuple(found), True
        each = _header(header)
        if each is None:
            break
        if each.type in RENAMING:
            more = _renaming(each, stream.take(_padded(each.size))) if each.size <= LONGEST else None
            if more is None or (each.type == FOR_ALL and more.keys() & {"path", "linkpath"}):
                break
            renamed |= more
            continue
        if each.type not in KINDS:
            break
        path, kind = renamed.get("path", each.name), KINDS[each.type]
        target = renamed.get("linkpath", each.linkname)
        found[_shallow(Member(posixpath.normpath(path), kind, target, bool(each.mode & 0o111)))] = None
        renamed = {}
        stream.skip(_padded(each.size) if kind is Kind.FILE else 0)
    return tuple(found), False


def _shallow(member: Member) -> Member:
    parts = member.path.split("/")
    return Member("/".join(parts[:DEPTH]), Kind.DIRECTORY) if len(parts) > DEPTH else member


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _header(header: bytes) -> TarInfo | None:
    import tarfile  # few repositories have an archive

    try:
        each = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
    except tarfile.TarError:
        return None
    return each if each.size >= 0 else None


def _renaming(header: TarInfo, data: bytes) -> dict[str, str] | None:
    """Return what a header says about the next member, None if that is uncertain."""
    if header.type not in {PAX, FOR_ALL}:
        name = data[: header.size].partition(b"\0")[0].decode("utf-8", "surrogateescape")
        return {"path" if header.type == LONG_NAME else "linkpath": name}
    found: dict[str, str] = {}
    left = data[: header.size]
    while left:
        length, space, _ = left.partition(b" ")
        size = int(length) if space and length.isdigit() and len(length) < len(str(LONGEST)) + 1 else 0
        key, equals, value = left[len(length) + 1 : size - 1].partition(b"=")
        if not size or not equals or left[size - 1 : size] != b"\n" or key in {b"size", b"hdrcharset"}:
            return None
        found[key.decode("utf-8", "replace")] = value.decode("utf-8", "surrogateescape")
        left = left[size:]
    return found if not any(key.startswith("GNU.sparse") for key in found) else None
