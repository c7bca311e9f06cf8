"""What a flow may know about its process, and where it reports its progress."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from tritonrepo.flows.events import Busy, Counted, Tell
from tritonrepo.parts import PARTS
from tritonrepo.sources.cache import Cache, default_root
from tritonrepo.stores.directory import DirectoryStore
from tritonrepo.stores.store import Store
from tritonrepo.sync.telling import Line

if TYPE_CHECKING:
    from tritonrepo.spec.part import Parts

NOTHING: Mapping[str, str] = MappingProxyType({})


class Workspace(NamedTuple):
    """Environment that flows read, directories that links may lead into, and receiver of progress.

    The environment locates the cache and provides the ${VARIABLES} of stack files; flows read no other environment.
    `parts` are the roles that models in stack files may have. `contents` are those of stack files, by path, that are
    read in place of what is on the disk. With `rehash`, digests of earlier runs are not trusted, nor that a repository
    had no error. Unless it is to `remember`, the models of a repository that were clean before and have not changed are
    checked again, and nothing about them is kept.
    """

    environ: Mapping[str, str] = NOTHING
    links: tuple[Path, ...] = ()
    tell: Tell = lambda _: None
    parts: Parts = PARTS
    contents: Mapping[str, bytes] = MappingProxyType({})
    rehash: bool = False
    remember: bool = True

    @property
    def cache(self) -> Cache:
        """The user's cache."""
        return Cache(
            default_root(self.environ),
            lambda what: self.tell(Busy(what)),
            lambda what, done, total: self.tell(Counted(what, done, total)),
            trusting=not self.rehash,
        )

    def counting(self, what: str, noun: str) -> Callable[[int, int], None]:
        """Return what reports how many of all are done."""
        return lambda done, total: self.tell(Counted(what, done, total, noun))

    def line(self, text: str) -> None:
        """Report a line of progress."""
        self.tell(Line(text))


def remembering(store: Store, work: Workspace) -> None:
    """Let a directory on this machine have the digests that earlier runs computed."""
    if isinstance(store, DirectoryStore):
        store.hasher = work.cache.digests
