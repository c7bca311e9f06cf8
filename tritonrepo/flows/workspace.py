"""What a flow may know of the process that it runs in, and whom it tells of its progress."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from tritonrepo.sources.cache import Cache, default_root


class Workspace(NamedTuple):
    """The environment that a flow reads, the directories that links may lead into, and who is told what takes a while.

    The environment says where the cache lies and gives stack files their ${VARIABLES}; none is read unless given.
    """

    environ: Mapping[str, str]
    links: tuple[Path, ...] = ()
    tell: Callable[[str], None] = lambda _: None

    @property
    def cache(self) -> Cache:
        """The user's cache."""
        return Cache(default_root(self.environ), self.tell)
