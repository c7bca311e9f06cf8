"""What every store of trees can do."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, NewType, Protocol

from tritonrepo.diagnostics import Stop, failure, fatal
from tritonrepo.tree import File, Tree

PIECE = 8 << 20

Tag = NewType("Tag", str)
"""An opaque value that changes with the content of a file; only the store that issued it knows its meaning.

Others compare tags for equality, keep them, and pass them back as `if_match`. The tag of a file for which a scan
returns none is the SHA-256 of its content, in hex.
"""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What differs between stores.

    `stray` is a tag that no file has, to test whether conditions are honored. `sees_changes`: a server that polls
    notices that something changed in a model that it has loaded. `guards_removals`: a removal can have a condition.
    `lists_parts`: a scan of a directory finds what one of its parent finds in it, which links can prevent.
    """

    stray: Tag
    sees_changes: bool
    guards_removals: bool = False
    lists_parts: bool = False


@dataclass(frozen=True, slots=True)
class Stored(File):
    """A file of a store whose scan returns tags, so that a caller that knows one need not read the content again.

    Once it is overwritten or removed, reading it raises Stop: a read never mixes two contents.
    """

    tag: Tag = Tag("")

    def chunks(self) -> Iterator[bytes]:
        """Yield the content in larger pieces: each is a request."""
        offset = 0
        while offset < self.size and (piece := self.read(offset, PIECE)):
            yield piece
            offset += len(piece)


class Part(NamedTuple):
    """A part of an object of this size: from an offset, so many bytes."""

    size: int
    offset: int
    n: int


@dataclass(frozen=True, slots=True)
class Reading:
    """How an object that a listing names is read: its `get` is that of the listing, because thousands are kept."""

    get: Callable[[str, Tag, Part], bytes]
    path: str
    tag: Tag
    size: int

    def __call__(self, offset: int, n: int) -> bytes:
        """Read as `tree.Read` does."""
        return self.get(self.path, self.tag, Part(self.size, offset, n))


class Fetched(NamedTuple):
    """The content of a small file, and its tag at that moment."""

    content: bytes
    tag: Tag


def tag_of(file: File) -> Tag:
    """Return the tag of a file that a scan has found."""
    return file.tag if isinstance(file, Stored) else Tag(file.sha256)


def glimpse(file: File) -> tuple[int, Tag | None]:
    """Return what a scan knows about a file without reading it: its size, and its tag if it has one."""
    return file.size, file.tag if isinstance(file, Stored) else None


def lacking(at: str, verb: str, what: str, hint: str) -> Stop:
    """Return the Stop for a reply that lacks what a store must send."""
    return fatal("store-reply", at, f"cannot {verb}: the store's reply has no {what}", hint)


def changed(at: str) -> Stop:
    """Return the Stop for an object that is no longer what a scan has found."""
    message = "the object was overwritten or removed while it was being read"
    return failure("store-changed", at, message, "Run the command again when no push is running.")


class Write(NamedTuple):
    """A file to be written, or removed if it is None, and the condition for that."""

    path: str
    file: File | None
    if_absent: bool = False
    if_match: Tag | None = None


Send = Callable[[], Tag | None]
"""Do a prepared write and return its tag, None for a removal; raise Conflict or Late if nothing was done."""


class Store(Protocol):
    """A bucket, or the directory that holds a repository. Paths are relative to it, with `/`."""

    @property
    def caps(self) -> Capabilities:
        """What this store can do."""

    def scan(self, prefix: str) -> Tree:
        """Return everything under the prefix, with paths relative to it, sorted by their bytes.

        If nothing exists there, the tree is empty. `__pycache__` is left out.
        """

    def files(self, prefix: str) -> Iterator[tuple[str, File]]:
        """Yield the files that a scan finds, one after the other, in any order: none is kept."""

    def fetch(self, path: str) -> Fetched | None:
        """Return a small file; None if it does not exist."""

    def put(self, path: str, file: File, *, if_absent: bool = False, if_match: Tag | None = None) -> Tag:
        """Write a file completely or not at all, and return its tag; raise Conflict if a condition does not hold."""

    def delete(self, path: str) -> None:
        """Remove a file; a missing one is not an error."""

    def ticket(self, write: Write, seconds: int) -> Send:
        """Prepare a write that the store itself refuses, with Late, once this time is over, whenever it is sent.

        The process may sleep before it sends the write: the time runs by a clock that does not stop meanwhile.
        """

    def revoke(self, directory: str, there: Store | None = None) -> None:
        """Make the store refuse, with Late, what others have prepared, if it does not count the time of such writes.

        Called by whoever takes the lock. The directory, of this store or of the one `there`, is for the store to use.
        """

    def tidy(self, prefix: str = "", directories: Collection[str] = ()) -> str:
        """Remove what killed runs left half-written, where such files are visible.

        In these directories of the prefix, also what nobody sees but somebody pays for; whoever holds the lock asks for
        that. Return why that is impossible, "" if it is done.
        """

    def server_environment(self) -> Mapping[str, str]:
        """Return the environment by which a Triton server reads this store, in addition to what is already set."""


class Address(Protocol):
    """Where a URI leads: the bucket, and the key in it. Where a URI can name a service, it has an `endpoint` too."""

    @property
    def bucket(self) -> str:
        """The name of the bucket."""

    @property
    def key(self) -> str:
        """What follows the bucket."""


class Bucket(NamedTuple):
    """A kind of bucket: what opens its URIs, their form, the hint for a URI with a password, where a URI leads."""

    open_uri: Callable[[str], tuple[Store, str]]
    form: str
    keys: str
    as_triton: Callable[[str], Address]


class Unconditional(Exception):  # noqa: N818  a reply of the store, not an error
    """The store does not support conditions on a `put`; nothing was written."""


class Conflict(Exception):  # noqa: N818  a reply of the store, not an error
    """The condition of a `put` did not hold: someone else wrote."""


class Late(Exception):  # noqa: N818  a reply of the store, not an error
    """A prepared write arrived after its time; nothing was written."""
