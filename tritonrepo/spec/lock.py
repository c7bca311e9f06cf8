"""tritonrepo.lock: what a build read, by digest, and the version number that each content has.

A JSON file with sorted keys. Same stack file and same lock give the same model repository, byte for byte.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar

from tritonrepo.diagnostics import fatal

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Pin:
    """A source's content: the wheel's file name and SHA-256, or the SHA-256 over a directory's tree; a hub revision."""

    sha256: str = ""
    file: str = ""
    revision: str = ""


@dataclass(frozen=True, slots=True)
class Index:
    """A search index: the digests of what it was made from, and of what it is."""

    documents: str
    embedder: str
    embeddings: str
    passages: str


@dataclass(frozen=True, slots=True)
class Version:
    """The number of a model's version directory, and the digest of the content that has it."""

    version: int
    content: str


Entry = TypeVar("Entry", Pin, Index, Version)


@dataclass(frozen=True, slots=True)
class Lock:
    """Everything that is pinned."""

    sources: Mapping[str, Pin] = field(default_factory=dict)
    indexes: Mapping[str, Index] = field(default_factory=dict)
    models: Mapping[str, Version] = field(default_factory=dict)


def dump(lock: Lock) -> str:
    """Return the lock as text: equal locks give equal text."""
    data = {"schema": SCHEMA, **asdict(lock)}
    data["sources"] = {name: {k: v for k, v in pin.items() if v} for name, pin in data["sources"].items()}
    return json.dumps(data, indent=2, sort_keys=True) + "\n"


def _typed(entry: Entry, name: str) -> Entry:
    """Return an entry whose values have their types; TypeError names the one that has not."""
    for f in fields(entry):
        value = getattr(entry, f.name)
        if type(value).__name__ != f.type:
            raise TypeError(f'"{f.name}" of "{name}" is {value!r}')
    return entry


def _numbered(entry: Version, name: str) -> Version:
    if entry.version < 1:
        raise ValueError(f'"version" of "{name}" is {entry.version}')
    return entry


def load(content: bytes, path: str) -> Lock:
    """Return the lock of this text; raise Stop where it is not one."""
    try:
        data: dict[str, Any] = json.loads(content)
        if data["schema"] != SCHEMA:
            raise fatal(
                "lock-schema",
                path,
                f"has schema {data['schema']}; this tritonrepo reads {SCHEMA}",
                "Upgrade tritonrepo.",
            )
        return Lock(
            {name: _typed(Pin(**pin), name) for name, pin in data["sources"].items()},
            {name: _typed(Index(**index), name) for name, index in data["indexes"].items()},
            {name: _numbered(_typed(Version(**version), name), name) for name, version in data["models"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise fatal(
            "lock-syntax",
            path,
            f"is not a lock file: {error}",
            "Restore it from version control; or delete it and build again, which counts versions from 1.",
        ) from None
