"""What is known of a push before the first byte is written."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # a push without servers needs nothing of them
    from tritonrepo.diagnostics import Diagnostic
    from tritonrepo.flows.workspace import Workspace
    from tritonrepo.repository import Target
    from tritonrepo.server.client import Client
    from tritonrepo.smoke.healing import Change
    from tritonrepo.smoke.present import Present
    from tritonrepo.smoke.waiting import Patience
    from tritonrepo.stores.store import Tag
    from tritonrepo.sync.place import Place
    from tritonrepo.sync.plan import Plan
    from tritonrepo.sync.record import Record
    from tritonrepo.sync.revision import Revision
    from tritonrepo.tree import Tree


class Seen(NamedTuple):
    """State of a repository's servers before a push, in their order; versions that no server serves; notes to show."""

    clients: tuple[Client, ...]
    presents: tuple[Present, ...]
    change: Change
    dead: Collection[tuple[str, int]]
    notes: tuple[Diagnostic, ...]
    patience: Patience


class Accepted(NamedTuple):
    """What the user of a push accepts: pipelines that mix releases, and models that fail while they are replaced."""

    mixed: Collection[str] = ()
    downtime: Collection[str] = ()


NOTHING = Accepted()


class Push(NamedTuple):
    """Push of a directory to a URI: the plan, and what is in both."""

    plan: Plan
    record: Record
    server: Target
    """The server that the repository is for."""

    want: Tree
    have: Tree
    before: Revision | None
    tag: Tag | None
    """Tag of the record; None if there is no record."""

    place: Place
    accepted: Accepted
    work: Workspace
    notes: tuple[Diagnostic, ...] = ()
    """What is unknown about the target, and the files that were changed by hand after a build wrote them."""

    seen: Seen | None = None
    """State of its servers; None if no server is named."""

    back: Revision | None = None
    """The revision that a rollback restores; None for the push of a directory."""

    commit: str = ""
    """Git commit of the working tree in which the directory lies; "" if there is none."""

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        """Warnings about the servers, the plan and the directory."""
        return (*(self.seen.notes if self.seen else ()), *self.plan.notes, *self.notes)
