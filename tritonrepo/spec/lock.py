"""tritonrepo.lock: the digests of what a build read, and the version number of each model's content.

A JSON file with sorted keys. The same stack file and the same lock give the same model repository, byte for byte.
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
    """A source's content: a wheel's file name and SHA-256, the SHA-256 of a directory's tree, or a Hub revision."""

    sha256: str = ""
    file: str = ""
    revision: str = ""


@dataclass(frozen=True, slots=True)
class Index:
    """A search index: the digests of what it was built from, and of its files."""

    documents: str
    embedder: str
    embeddings: str
    passages: str


@dataclass(frozen=True, slots=True)
class Version:
    """The number of a model's version directory, and the digest of its content."""

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
    """Return an entry whose values have their types; raise TypeError for the first that has not."""
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
    """Return the lock that this text holds; raise Stop if it is not one."""
    try:
        data: dict[str, Any] = json.loads(content)
        if data["schema"] != SCHEMA:
            raise fatal(
                "lock-schema",
                path,
                f"the lock file has schema {data['schema']}, but this tritonrepo reads schema {SCHEMA}",
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
            f"the file is not a valid lock file: {error}",
            "Restore it from version control, or delete it and build again, which restarts version numbers at 1.",
        ) from None
