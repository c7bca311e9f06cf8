"""A directory of files as a value: what is built, scanned, compared and written.

Nothing is read or hashed before it is asked for. Paths are relative, with `/`, and sort by their bytes, as Triton's do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from operator import itemgetter
from pathlib import Path

CHUNK = 1 << 20

Read = Callable[[int, int], bytes]
"""Read at most n bytes at an offset: `read(offset, n)`; fewer come only at the end."""


def hashed(file: File) -> str:
    """Return the SHA-256 of a file's content in hex, read in chunks."""
    digest = hashlib.sha256()
    for chunk in file.chunks():
        digest.update(chunk)
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class File:
    """A file's size in bytes and the way to its content; `place` is where it lies on this machine's disk.

    `hasher` gives the SHA-256 where it is not known: a cache of digests can stand in its place.
    """

    size: int
    read: Read
    place: str | None = None
    known_sha256: str | None = field(default=None, compare=False)
    hasher: Callable[[File], str] = field(default=hashed, compare=False)

    @property
    def path(self) -> Path | None:
        """Where it lies on this machine's disk; made when it is asked for, since thousands never are."""
        return None if self.place is None else Path(self.place)

    @property
    def sha256(self) -> str:
        """The content's SHA-256 in hex; asked for once."""
        if self.known_sha256 is None:
            object.__setattr__(self, "known_sha256", self.hasher(self))
        assert self.known_sha256 is not None  # noqa: S101  set just above
        return self.known_sha256

    def chunks(self) -> Iterator[bytes]:
        """Yield the content in pieces of at most a mebibyte."""
        offset, most = 0, min(CHUNK, self.size + 1)  # one more than it should have, so that one look shows the end
        while chunk := self.read(offset, most):
            yield chunk
            if len(chunk) < most:
                return
            offset, most = offset + len(chunk), CHUNK

    def content(self) -> bytes:
        """Return the whole content; for files that are known to be small."""
        return b"".join(self.chunks())


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory with nothing in it; the version directory of an ensemble is one."""


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link to a directory that is not looked into, since it lies in that itself, and where it points."""

    target: str


@dataclass(frozen=True, slots=True)
class Outside(Link):
    """A symbolic link out of the tree, to whatever is there: a server follows it, and nothing of ours does."""

    directory: bool = True


HOW_TO_ALLOW = "Put the file itself there. If what the link leads to may be read, name its directory: --allow-links DIR"
"""The next step where a link leads out."""


class Unreadable(StrEnum):
    """Why an entry cannot be read."""

    FIFO = "a FIFO"
    SOCKET = "a socket"
    DEVICE = "a device"
    DANGLING = "a link to nothing"
    FORBIDDEN = "not readable by this user"
    LOCKED = "a directory that this user cannot list"


Entry = File | Directory | Link | Unreadable
Tree = Mapping[str, Entry]


def is_directory(entry: Entry | None) -> bool:
    """Whether an entry is a directory to one who follows links; None is a directory with something in it."""
    if isinstance(entry, Outside):
        return entry.directory
    return entry is None or isinstance(entry, Directory | Link) or entry is Unreadable.LOCKED


def of_bytes(content: bytes) -> File:
    """Return the file with this content."""
    return File(len(content), lambda offset, n: content[offset : offset + n])


def of_text(content: str) -> File:
    """Return the file with this text in UTF-8."""
    return of_bytes(content.encode())


def on_disk(path: Path, size: int, sha256: str | None = None) -> File:
    """Return a file of this machine's disk; its digest where it is known already."""

    def read(offset: int, n: int) -> bytes:
        with path.open("rb") as stream:
            if offset:
                stream.seek(offset)
            return stream.read(n)

    return File(size, read, str(path), sha256)


def in_bytes(path: str) -> bytes:
    """Return the bytes of a path, which it sorts by; what is no UTF-8 is kept as it is on the disk."""
    return path.encode("utf-8", "surrogateescape")


def in_order(tree: Tree) -> list[tuple[str, Entry]]:
    """Return the entries sorted by the bytes of their paths."""
    if all(map(str.isascii, tree)):  # as nearly always: such characters sort as their bytes
        return sorted(tree.items(), key=itemgetter(0))
    return sorted(tree.items(), key=lambda item: in_bytes(item[0]))


def files(tree: Tree) -> dict[str, File]:
    """Return the files alone, in order."""
    return {path: entry for path, entry in in_order(tree) if isinstance(entry, File)}


def digest(tree: Tree) -> str:
    """Return one SHA-256 over paths and contents: equal for equal trees, whatever disk they lie on."""
    total = hashlib.sha256()
    for path, entry in in_order(tree):
        total.update(f"{path}\0{entry.sha256 if isinstance(entry, File) else entry}\n".encode())
    return total.hexdigest()


def parents(path: str) -> list[str]:
    """Return the directories that a path lies in, the nearest first."""
    return [path.rsplit("/", depth)[0] for depth in range(1, path.count("/") + 1)]


def overlay(base: Tree, buffers: Mapping[str, bytes | None]) -> dict[str, Entry]:
    """Return a tree as a scan would give it with these contents at these paths; None removes a file, or a directory.

    Nothing is read. What lies above a new file becomes a directory, and what lies below it is gone; a directory that
    is left without anything in it is an entry.
    """
    new = {path: of_bytes(content) for path, content in buffers.items() if content is not None}
    above, heads = {each for path in new for each in parents(path)}, tuple(f"{path}/" for path in buffers)
    gone = {path for path in base if path in buffers or path in above or path.startswith(heads)}
    found = {path: entry for path, entry in base.items() if path not in gone} | new
    there = {each for path in found for each in parents(path)}
    left = {each for path in gone for each in parents(path)} - there - buffers.keys()
    left = {each for each in left if not each.startswith(heads)}
    found |= dict.fromkeys(left - {each for path in left for each in parents(path)}, Directory())
    return dict(in_order(found))


def below(tree: Tree, prefix: str) -> dict[str, Entry]:
    """Return the entries under a directory, their paths counted from it."""
    head = prefix.rstrip("/") + "/"
    return {path.removeprefix(head): entry for path, entry in in_order(tree) if path.startswith(head)}
