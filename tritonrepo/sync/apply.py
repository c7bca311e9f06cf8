"""Carry a plan out on a store; a killed run is finished by the next one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from tritonrepo.sync.plan import Delete, Phase, Plan, Put, Written, in_phase_order
from tritonrepo.sync.record import NAME, Record, dump
from tritonrepo.tree import File, Tree

if TYPE_CHECKING:
    from tritonrepo.stores.store import Store


def with_record(plan: Plan, record: Record, before: Record, have: Tree) -> Plan:
    """Give the plan with the record's own writes around it; `record` says what is there once it is carried out.

    The record goes first and names what this plan writes, replaces and deletes: a run killed between leaves nothing
    that the next one takes for a stranger's, or for changed by hand. Once the deletions are done it is written as it
    should be.
    """
    deletes = [action.path for action in plan.actions if isinstance(action, Delete)]
    files = {**{path: before.files[path] for path in deletes}, **record.files}
    claim = replace(record, files=files, before=_replaced(plan, files, before.written(), have))
    entry = have.get(NAME)
    now = entry.sha256 if isinstance(entry, File) else None
    reason = "changed" if now else "new"
    extra: list[Put] = []
    if plan.actions and now != dump(claim).sha256:
        extra.append(Put(Phase.CLAIM, NAME, dump(claim), reason))
        now = dump(claim).sha256
    if now != dump(record).sha256:
        extra.append(Put(Phase.CLOSE, NAME, dump(record), reason))
    return replace(plan, actions=tuple(sorted((*plan.actions, *extra), key=in_phase_order)))


def _replaced(plan: Plan, files: Mapping[str, str], ours: Written, have: Tree) -> dict[str, str]:
    """Return path → SHA-256 of what is there by our own doing, and is not what the record will say."""
    entries = {action.path: have.get(action.path) for action in plan.actions if action.path in ours}
    return {
        path: entry.sha256
        for path, entry in entries.items()
        if isinstance(entry, File) and entry.sha256 in ours[path] and entry.sha256 != files[path]
    }


def apply(plan: Plan, store: Store, prefix: str) -> None:
    """Do every action in order; each is whole or not at all."""
    for action in plan.actions:
        path = f"{prefix}/{action.path}"
        match action:
            case Put():
                store.put(path, action.file)
            case Delete():
                store.delete(path)
