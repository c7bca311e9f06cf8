"""What every place that holds trees can do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, NewType, Protocol

from tritonrepo.tree import File, Tree

PIECE = 8 << 20

Tag = NewType("Tag", str)
"""What changes with the content of a file, and says nothing of it to anybody but the store that gave it.

Others compare tags for being equal, keep them, and hand them back as `if_match`. The tag of a file for which a scan
gives none is the SHA-256 of its content, in hex.
"""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What differs between stores.

    `stray` is a tag that no file has, to try whether conditions are kept. `sees_changes`: a server that polls finds out
    that something changed in a model which it has loaded.
    """

    stray: Tag
    sees_changes: bool


@dataclass(frozen=True, slots=True)
class Stored(File):
    """A file of a store whose scan gives tags, so that who remembers one need not read the content again.

    Once it is overwritten or removed, reading it raises Stop: a file is never half of one content, half of another.
    """

    tag: Tag = Tag("")

    def chunks(self) -> Iterator[bytes]:
        """Yield the content in larger pieces: each is a request."""
        offset = 0
        while offset < self.size and (piece := self.read(offset, PIECE)):
            yield piece
            offset += len(piece)


class Fetched(NamedTuple):
    """The content of a small file, and its tag at that moment."""

    content: bytes
    tag: Tag


def tag_of(file: File) -> Tag:
    """Return the tag of a file that a scan has found."""
    return file.tag if isinstance(file, Stored) else Tag(file.sha256)


def glimpse(file: File) -> tuple[int, Tag | None]:
    """Return what a scan says of a file without that it is read: its size, and its tag where there is one."""
    return file.size, file.tag if isinstance(file, Stored) else None


class Write(NamedTuple):
    """A file to be written, or, where it is None, removed, and the condition on which that may happen."""

    path: str
    file: File | None
    if_absent: bool = False
    if_match: Tag | None = None


Send = Callable[[], Tag | None]
"""Do a write that was prepared and give its tag, None for a removal; raise Conflict or Late where nothing was done."""


class Store(Protocol):
    """A bucket, or the directory that holds a repository. Paths are relative to it, with `/`."""

    @property
    def caps(self) -> Capabilities:
        """What this store can do."""

    def scan(self, prefix: str) -> Tree:
        """Return everything under the prefix: paths counted from it, in order of their bytes.

        Where nothing is there the tree is empty. `__pycache__` is left out.
        """

    def fetch(self, path: str) -> Fetched | None:
        """Return a small file; None where there is none."""

    def put(self, path: str, file: File, *, if_absent: bool = False, if_match: Tag | None = None) -> Tag:
        """Write a file whole or not at all and give its tag; raise Conflict where a condition does not hold."""

    def delete(self, path: str) -> None:
        """Remove a file; an absent one is no fault."""

    def ticket(self, write: Write, seconds: int) -> Send:
        """Prepare a write that the store itself refuses, with Late, once this time is over, whenever it is sent.

        What prepares it may sleep before it sends: the time runs by a clock that does not stop with it.
        """

    def tidy(self) -> None:
        """Remove what killed runs left half-written, where a store shows such things at all."""

    def server_environment(self) -> Mapping[str, str]:
        """Return the variables by which a Triton server reads what lies here, beside those that are set already."""


class Bucket(NamedTuple):
    """A kind of bucket: what opens its URIs, how these are written, and the next step of who gave a password in one."""

    open_uri: Callable[[str], tuple[Store, str]]
    form: str
    keys: str


class Unconditional(Exception):  # noqa: N818  an answer of the store, not an error
    """The store knows no conditions on a `put`; nothing was written."""


class Conflict(Exception):  # noqa: N818  an answer of the store, not an error
    """The condition of a `put` did not hold: somebody else wrote."""


class Late(Exception):  # noqa: N818  an answer of the store, not an error
    """A prepared write came after its time; nothing was written."""
