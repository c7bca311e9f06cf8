"""Content that is what its digest says: how files are read to be sent."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from tritonrepo.diagnostics import Stop, failure
from tritonrepo.stores.store import Tag
from tritonrepo.tree import File


class Reading:
    """A file that is read once, in order, to be sent: its digest is computed on the way and remembered.

    So the digest in a release record is that of the bytes that were sent, whatever a disk returns before or after.
    """

    def __init__(self, file: File) -> None:
        import hashlib  # loads OpenSSL, and most checks need no digest

        self._file = file
        self._digest = hashlib.sha256()
        self.offset = 0

    def read(self, n: int) -> bytes:
        """Return the next bytes; raise OSError if the file is not the one whose size or digest is known."""
        wanted = min(n, self._file.size - self.offset)
        content = self._file.read(self.offset, wanted) if wanted else b""
        self.add(content)
        if len(content) < wanted:
            raise changed_meanwhile()
        if self.offset == self._file.size:
            self.end()
        return content

    def add(self, content: bytes) -> None:
        """Count bytes that were read in another way."""
        self._digest.update(content)
        self.offset += len(content)

    def end(self) -> None:
        """Remember the digest; raise OSError if another one is known, or if the size is wrong."""
        digest = self._digest.hexdigest()
        if self._file.known_sha256 not in {None, digest} or self.offset != self._file.size:
            raise changed_meanwhile()
        self._file.remember(digest)


def changed_meanwhile() -> OSError:
    """Return the error for a file that cannot be sent as it was planned."""
    return OSError(errno.EIO, "the file has changed since it was first read")


def checked(file: File) -> Iterator[bytes]:
    """Yield the chunks of a file to be sent; raise OSError at the end if it is not the one whose digest is known."""
    reading = Reading(file)
    for chunk in file.chunks():
        reading.add(chunk)
        yield chunk
    reading.end()


def whole(file: File) -> bytes:
    """Return the content of a small file to be sent; raise OSError if it is not the one whose digest is known."""
    reading, content = Reading(file), file.read(0, file.size + 1)  # one more than it should have
    reading.add(content)
    reading.end()
    return content


def pieces(file: File, size: int) -> Iterator[bytes]:
    """Yield the content of a file to be sent, in pieces of this size; raise OSError as `Reading` does."""
    reading = Reading(file)
    while reading.offset < file.size:
        yield reading.read(size)


def damaged(at: str) -> Stop:
    """Return the Stop for an object that holds other bytes than were sent, each time it was sent."""
    message = "the store holds other bytes than were sent: something on the way, or the store itself, damages data"
    hint = "Check the network, proxies and the store's disks, and run the command again."
    return failure("store-damaged", at, message, hint)


class Damaged(Exception):  # noqa: N818  a state of an object, not an error
    """An object was written, but its content is not what was sent."""

    def __init__(self, tag: Tag) -> None:
        super().__init__(tag)
        self.tag = tag
