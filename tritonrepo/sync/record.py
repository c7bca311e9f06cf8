"""tritonrepo.json at the top of a built repository: what wrote it, for which target, and the digest of every file.

Triton ignores files at the top. Two builds with one lock file write the same record.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tritonrepo.diagnostics import fatal
from tritonrepo.tree import File, Tree, of_text
from tritonrepo.tree import files as files_of

if TYPE_CHECKING:
    from tritonrepo.sync.plan import Plan, Put, Written

NAME = "tritonrepo.json"
SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Record:
    """What a build wrote: the stack's name, the target, `files` path → SHA-256; `local`: Hub id → local source.

    `stack` is the SHA-256 of the effective stack, as `tritonrepo show` prints it; "" in the record of an older build.
    `switch`: model → overlap or replace, for models whose new versions do not take over as is usual for their backend.
    While a build runs, `before` has the SHA-256 of what it is about to replace: a killed build leaves some files
    unchanged, and these must not look as if they were changed by hand.
    """

    name: str = ""
    target: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    local: Mapping[str, str] = field(default_factory=dict)
    switch: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    before: Mapping[str, str] = field(default_factory=dict)
    stack: str = ""

    def written(self) -> dict[str, tuple[str, ...]]:
        """Return path → every SHA-256 that the file may have from our own builds."""
        return {
            path: (digest, self.before[path]) if path in self.before else (digest,)
            for path, digest in self.files.items()
        }


def dump(record: Record) -> File:
    """Return the record as a file: equal records give equal bytes."""
    data = {"schema": SCHEMA, **asdict(record)}
    for name in ("before", "stack", "switch"):
        if not data[name]:
            del data[name]
    return of_text(json.dumps(data, indent=2, sort_keys=True) + "\n")


def digests(tree: Tree) -> dict[str, str]:
    """Return path → SHA-256 of every file."""
    return {path: file.sha256 for path, file in files_of(tree).items()}


def edited(tree: Tree, record: Record) -> list[str]:
    """Return the files of a built repository that are no longer what a build wrote."""
    written = record.written()
    return [path for path, file in files_of(tree).items() if path in written and file.sha256 not in written[path]]


def _flat(target: Mapping[str, Any]) -> dict[str, Any]:
    """Return a target whose values are scalars or lists of scalars, as a build writes them; else raise TypeError."""
    for value in target.values():
        for each in value if isinstance(value, list) else [value]:
            if not isinstance(each, str | int | None):
                raise TypeError(f"a target cannot hold a {type(each).__name__}")
    return dict(target)


def load(tree: Tree, where: str) -> Record:
    """Return the record of a scanned repository; an empty one if it has none."""
    entry = tree.get(NAME)
    if not isinstance(entry, File):
        return Record()
    try:
        data = json.loads(entry.content())
        if data["schema"] != SCHEMA:
            raise fatal(
                "record-schema",
                f"{where}/{NAME}",
                f"the build record has schema {data['schema']}, but this tritonrepo reads schema {SCHEMA}",
                "Upgrade tritonrepo.",
            )
        files, before = dict(data["files"]), dict(data.get("before", {}))
        name, stack, switch = str(data["name"]), str(data.get("stack", "")), _flat(data.get("switch", {}))
        return Record(name, _flat(data["target"]), files, dict(data["local"]), before, stack, switch=switch)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        hint = "Move the directory elsewhere and build again."
        raise fatal("record-syntax", f"{where}/{NAME}", f"the file is not a build record: {error}", hint) from None


def with_record(plan: Plan, record: Record, before: Record, have: Tree) -> Plan:
    """Return the plan with the record's own writes around it; `record` says what exists once it is carried out.

    The record is written first and names what this plan writes, replaces and deletes: a run killed in between leaves
    nothing that the next one would take for someone else's, or for changed by hand. After the deletions, the final
    record is written.
    """
    from tritonrepo.sync.plan import Delete, Phase, Put, in_phases  # what only reads a record needs no plans

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
    return replace(plan, actions=in_phases((*plan.actions, *extra)))


def _replaced(plan: Plan, files: Mapping[str, str], ours: Written, have: Tree) -> dict[str, str]:
    """Return path → SHA-256 of our own files that are not what the record will say."""
    entries = {action.path: have.get(action.path) for action in plan.actions if action.path in ours}
    return {
        path: entry.sha256
        for path, entry in entries.items()
        if isinstance(entry, File) and entry.sha256 in ours[path] and entry.sha256 != files[path]
    }
