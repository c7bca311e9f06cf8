"""What is known before the first byte is written: of a build, and of a push."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from tritonrepo.diagnostics import Diagnostic
from tritonrepo.flows.stack import Loaded
from tritonrepo.flows.workspace import Workspace
from tritonrepo.repository import Target
from tritonrepo.server.client import Client
from tritonrepo.smoke.healing import Change
from tritonrepo.smoke.present import Present
from tritonrepo.smoke.waiting import Patience
from tritonrepo.spec import lock as locks
from tritonrepo.spec.lock import Lock
from tritonrepo.stores.store import Store, Tag
from tritonrepo.sync.place import Place
from tritonrepo.sync.plan import Plan
from tritonrepo.sync.record import Record
from tritonrepo.sync.revision import Revision
from tritonrepo.tree import Tree


class Build(NamedTuple):
    """A build of a stack into a directory: what is to be done, what is doubtful, and the lock and record after it.

    `seen` has the digest of what lay where the plan writes or removes; "" is nothing.
    """

    loaded: Loaded
    out: Path
    plan: Plan
    lock: Lock
    record: Record
    warnings: tuple[Diagnostic, ...]
    store: Store
    prefix: str
    seen: Mapping[str, str]

    @property
    def drifted(self) -> bool:
        """Whether the lock would change."""
        return locks.dump(self.lock) != locks.dump(self.loaded.lock)


class Seen(NamedTuple):
    """What the servers of a repository do before a push, in their order; which versions serve on none; what to tell."""

    clients: tuple[Client, ...]
    presents: tuple[Present, ...]
    change: Change
    dead: Collection[tuple[str, int]]
    notes: tuple[Diagnostic, ...]
    patience: Patience


class Push(NamedTuple):
    """A push of a directory to a URI: what is to be done, and what lies here and there."""

    plan: Plan
    record: Record
    server: Target
    """The one that the repository is for."""

    want: Tree
    have: Tree
    before: Revision | None
    tag: Tag | None
    """The record's; None where there is no record."""

    place: Place
    mixable: Collection[str]
    work: Workspace
    notes: tuple[Diagnostic, ...] = ()
    """What is unknown of the target, and the files that were changed by hand since a build wrote them."""

    seen: Seen | None = None
    """What its servers do; None where none is named."""

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        """What is doubtful of the servers, the plan, and the directory."""
        return (*(self.seen.notes if self.seen else ()), *self.plan.notes, *self.notes)
