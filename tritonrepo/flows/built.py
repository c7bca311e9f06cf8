"""What is known of a build before the first byte is written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tritonrepo.diagnostics import Diagnostic
from tritonrepo.flows.stack import Loaded
from tritonrepo.spec.lock import Lock
from tritonrepo.stores.store import Store
from tritonrepo.sync.plan import Plan
from tritonrepo.sync.record import Record


class Build(NamedTuple):
    """Build of a stack into a directory: the plan, the warnings, and the lock and record after it.

    `seen` holds the digest of what was at each path that the plan writes or deletes; "" if nothing was.
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
        return not self.loaded.lock.agrees(self.lock)
