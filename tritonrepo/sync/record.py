"""tritonrepo.json at the top of a built repository: what wrote it, for what, and the digest of every file.

Triton ignores files at the top. Nothing in it differs between two builds of one lock.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tritonrepo.diagnostics import fatal
from tritonrepo.tree import File, Tree, files, of_text

NAME = "tritonrepo.json"
SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Record:
    """What a build wrote: the stack's name, the target, `files` path → SHA-256; `local`: hub id → local source."""

    name: str = ""
    target: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    local: Mapping[str, str] = field(default_factory=dict)


def dump(record: Record) -> File:
    """Give the record as a file: equal records give equal bytes."""
    return of_text(json.dumps({"schema": SCHEMA, **asdict(record)}, indent=2, sort_keys=True) + "\n")


def digests(tree: Tree) -> dict[str, str]:
    """Give path → SHA-256 of every file."""
    return {path: file.sha256 for path, file in files(tree).items()}


def _flat(target: Mapping[str, Any]) -> dict[str, Any]:
    """Return a target whose values are single ones or lists of these, as a build writes them; else TypeError."""
    for value in target.values():
        for each in value if isinstance(value, list) else [value]:
            if not isinstance(each, str | int | None):
                raise TypeError(f"a target holds no {type(each).__name__}")
    return dict(target)


def load(tree: Tree, where: str) -> Record:
    """Give the record of a scanned repository; an empty one where there is none."""
    entry = tree.get(NAME)
    if not isinstance(entry, File):
        return Record()
    try:
        data = json.loads(entry.content())
        if data["schema"] != SCHEMA:
            raise fatal(
                "record-schema",
                f"{where}/{NAME}",
                f"has schema {data['schema']}; this tritonrepo reads {SCHEMA}",
                "Upgrade tritonrepo.",
            )
        return Record(str(data["name"]), _flat(data["target"]), dict(data["files"]), dict(data["local"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        hint = "Move the directory away and build again."
        raise fatal("record-syntax", f"{where}/{NAME}", f"is not a build record: {error}", hint) from None
