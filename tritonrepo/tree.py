"""A directory of files as a value: what is built, scanned, compared and written.

Nothing is read or hashed before it is needed. Paths are relative, with `/`, and sort by their bytes, as Triton's do.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, NewType

CHUNK = 1 << 20
SECOND = 1_000_000_000
HEX = re.compile("[0-9a-f]{64}")
UNITS = ("B", "KiB", "MiB", "GiB", "TiB")

Read = Callable[[int, int], bytes]
"""Read at most n bytes at an offset: `read(offset, n)`; it returns fewer only at the end."""


def hashed(file: File) -> str:
    """Return the SHA-256 of a file's content in hex, read in chunks."""
    import hashlib  # noqa: PLC0415  loads OpenSSL, and most checks need no digest

    digest = hashlib.sha256()
    for chunk in file.chunks():
        digest.update(chunk)
    return digest.hexdigest()


State = NewType("State", bytes)
"""What any change of a file on disk changes; packed, because thousands are kept: see `facts`."""

SHORT, LONG = struct.Struct("=IQqq"), struct.Struct("=qQqIqI")
"""Device, inode and both times in ns, or, where these are too large, in seconds and ns."""


def state_of(status: os.stat_result) -> State:
    """Return the state of a file from what the system says of it."""
    device, inode, times = status.st_dev, status.st_ino, (status.st_mtime_ns, status.st_ctime_ns)
    try:
        return State(SHORT.pack(device, inode, *times))
    except struct.error:
        return State(LONG.pack(device, inode, *(part for time in times for part in divmod(time, SECOND))))


class Facts(NamedTuple):
    """What a state says: where the file is, and when its content, and anything of it, was changed."""

    device: int
    inode: int
    content_ns: int
    state_ns: int


def facts(state: State) -> Facts:
    """Return what a state says."""
    if len(state) == SHORT.size:
        return Facts(*SHORT.unpack(state))
    device, inode, content, content_rest, changed, changed_rest = LONG.unpack(state)
    return Facts(device, inode, content * SECOND + content_rest, changed * SECOND + changed_rest)


@dataclass(frozen=True, slots=True)
class File:
    """A file's size in bytes and the way to its content; `place` is its path on this machine's disk, if it has one.

    `digest` is the SHA-256 if it is known, in hex or as a number; otherwise, `hasher` computes it, which a cache of
    digests can replace. `state` is that of a file that was scanned.
    """

    size: int
    read: Read
    place: str | os.PathLike[str] | None = None
    digest: str | int | None = field(default=None, compare=False)
    hasher: Callable[[File], str] = field(default=hashed, compare=False)
    state: State | None = field(default=None, compare=False)

    @property
    def path(self) -> Path | None:
        """Its path on this machine's disk; made on demand, because thousands never are."""
        return None if self.place is None else Path(self.place)

    @property
    def known_sha256(self) -> str | None:
        """The content's SHA-256 in hex, if it is known."""
        return f"{self.digest:064x}" if isinstance(self.digest, int) else self.digest

    @property
    def sha256(self) -> str:
        """The content's SHA-256 in hex; computed once."""
        known = self.known_sha256
        if known is None:
            known = self.hasher(self)
            self.remember(known)
        return known

    def remember(self, sha256: str) -> None:
        """Keep the digest, which was computed while the content was read; thousands take half as numbers."""
        object.__setattr__(self, "digest", int(sha256, 16) if HEX.fullmatch(sha256) else sha256)

    def chunks(self) -> Iterator[bytes]:
        """Yield the content in pieces of at most a mebibyte."""
        offset, most = 0, min(CHUNK, self.size + 1)  # one more than it should have, so that one read shows the end
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
    """A symbolic link, and where it points: to a directory that is not scanned, because it contains the link."""

    target: str


@dataclass(frozen=True, slots=True)
class Outside(Link):
    """A symbolic link out of the tree, to anything: a server follows it, and nothing of ours does."""

    directory: bool = True


HOW_TO_ALLOW = "Replace the link with the file itself, or allow links into its directory with `--allow-links DIR`."
"""The hint for a link that leads out."""


class Unreadable(StrEnum):
    """Why an entry cannot be read."""

    FIFO = "a FIFO"
    SOCKET = "a socket"
    DEVICE = "a device"
    DANGLING = "a dangling symbolic link"
    FORBIDDEN = "not readable by this user"
    LOCKED = "a directory that this user cannot list"


Entry = File | Directory | Link | Unreadable
Tree = Mapping[str, Entry]


class Change(NamedTuple):
    """What becomes of an entry of a tree: its old path, and its new one; "" and None if it is not there."""

    old: str
    new: str
    before: Entry | None
    after: Entry | None


def is_directory(entry: Entry | None) -> bool:
    """Whether an entry is a directory when links are followed; None is a directory with something in it."""
    if isinstance(entry, Outside):
        return entry.directory
    return entry is None or isinstance(entry, Directory | Link) or entry is Unreadable.LOCKED


def of_bytes(content: bytes) -> File:
    """Return the file with this content."""
    return File(len(content), lambda offset, n: content[offset : offset + n])


NOT_KNOWN = of_bytes(b"")
"""In place of a file that is not at hand: nothing can be said about its content."""


def of_text(content: str) -> File:
    """Return the file with this text in UTF-8."""
    return of_bytes(content.encode())


def on_disk(path: Path, size: int, sha256: str | None = None, hasher: Callable[[File], str] = hashed) -> File:
    """Return a file on this machine's disk, with its digest if that is already known, or what computes it."""

    def read(offset: int, n: int) -> bytes:
        try:
            with path.open("rb") as stream:
                if offset:
                    stream.seek(offset)
                return stream.read(n)
        except OSError as error:
            error.filename = str(path)  # which a failing disk, other than a failing `open`, does not name
            raise

    return File(size, read, str(path), sha256, hasher)


def once(file: File) -> File:
    """Return a file whose content is read as a whole, once, and kept: later reads give the same whatever happens."""
    kept: list[bytes] = []

    def read(offset: int, n: int) -> bytes:
        if not kept:
            kept.append(file.content())
        return kept[0][offset : offset + n]

    return replace(file, read=read)


def is_one(file: File, other: File) -> bool:
    """Whether two files are one on this machine's disk, under two names."""
    if file.place is None or other.place is None:
        return False
    try:
        return Path(file.place).samefile(other.place)
    except OSError:
        return False


def in_bytes(path: str) -> bytes:
    """Return the bytes of a path, its sort key; what is not UTF-8 is kept as it is on the disk."""
    return path.encode("utf-8", "surrogateescape")


def in_order(tree: Tree) -> Iterator[tuple[str, Entry]]:
    """Return the entries sorted by the bytes of their paths."""
    # nearly always: ASCII characters sort as their bytes
    paths = sorted(tree) if all(map(str.isascii, tree)) else sorted(tree, key=in_bytes)
    return ((path, tree[path]) for path in paths)


def files(tree: Tree) -> dict[str, File]:
    """Return only the files, in order."""
    return {path: entry for path, entry in in_order(tree) if isinstance(entry, File)}


def digest(tree: Tree) -> str:
    """Return one SHA-256 over paths and contents: equal for equal trees, whatever disk they are on."""
    import hashlib  # noqa: PLC0415  see above

    total = hashlib.sha256()
    for path, entry in in_order(tree):
        total.update(f"{path}\0{entry.sha256 if isinstance(entry, File) else entry}\n".encode())
    return total.hexdigest()


def parents(path: str) -> list[str]:
    """Return the directories that contain a path, the nearest first."""
    return [path.rsplit("/", depth)[0] for depth in range(1, path.count("/") + 1)]


def within(path: str, directory: str) -> bool:
    """Whether a path is a directory or in it."""
    return f"{path}/".startswith(f"{directory}/")


def meet(path: str, other: str) -> bool:
    """Whether two paths are the same, or one is in the other."""
    return within(path, other) or within(other, path)


def overlay(base: Tree, buffers: Mapping[str, bytes | None]) -> dict[str, Entry]:
    """Return the tree that a scan would return with these contents at these paths; None removes a file or directory.

    Nothing is read. What is above a new file becomes a directory, and what was below it is gone; a directory that
    becomes empty is an entry.
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
    """Return the entries under a directory, with paths relative to it."""
    head = prefix.rstrip("/") + "/"
    return {path.removeprefix(head): entry for path, entry in in_order(tree) if path.startswith(head)}


def amount(count: int) -> str:
    """Return a number of bytes as people read it: 512 B, 1.5 MiB."""
    size, unit = float(count), 0
    while size >= 1024 and unit < len(UNITS) - 1:  # noqa: PLR2004  the step between units
        size, unit = size / 1024, unit + 1
    return f"{count} B" if unit == 0 else f"{size:.1f} {UNITS[unit]}"
