"""What a flow may know of the process that it runs in, and whom it tells of its progress."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from tritonrepo.flows.events import Busy, Line, Tell
from tritonrepo.parts import PARTS
from tritonrepo.sources.cache import Cache, default_root
from tritonrepo.spec.part import Parts

NOTHING: Mapping[str, str] = MappingProxyType({})


class Workspace(NamedTuple):
    """The environment that flows read, the directories that links may lead into, and who is told of progress.

    The environment says where the cache lies, and gives stack files their ${VARIABLES}; by itself no flow reads one.
    `parts` are the roles that the models of its stack files may have.
    """

    environ: Mapping[str, str] = NOTHING
    links: tuple[Path, ...] = ()
    tell: Tell = lambda _: None
    parts: Parts = PARTS

    @property
    def cache(self) -> Cache:
        """The user's cache."""
        return Cache(default_root(self.environ), lambda what: self.tell(Busy(what)))

    def line(self, text: str) -> None:
        """Tell a line."""
        self.tell(Line(text))
