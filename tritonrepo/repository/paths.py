"""What a server finds at a path that a config names, resolved like a file system through existing directories."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from tritonrepo.repository.model import CONFIG, Model
from tritonrepo.tree import Directory, Entry, File, Link, Unreadable, in_bytes

MISSING = "No such file or directory"
NOT_A_DIRECTORY = "Not a directory"
TOO_LONG = "File name too long"
LONGEST = 255
"""Maximum bytes of a name on the file systems of servers."""

OUT_OF_SIGHT = Link("..")
"""Stand-in for everything outside the repository."""


def is_config(path: str) -> bool:
    """Whether a path in a repository is that of a model's config."""
    return path.count("/") == 1 and path.endswith("/" + CONFIG)


def opened(model: Model, version: int, default: str) -> str:
    """Return the path below the model that a backend opens for a version: default_model_filename, else its default."""
    name = model.inferred.filename or default
    return posixpath.normpath(f"{model.directory_of(version)}/{name.lstrip('/')}")


def follow(model: Model, path: str) -> Entry | str:
    """Return what is at a path relative to the model's directory, or the system's words if nothing is.

    A `Link` is what cannot be read from here or leads out of the repository: it may be anything. To the system, a path
    ends at its first NUL.
    """
    direct = model.entries.get(path)
    if isinstance(direct, File) and len(path) <= LONGEST and path.isascii():
        return direct  # entries have no `..` in their paths, so that this is what the walk finds
    here = [model.name]
    for part in path.partition("\0")[0].split("/"):
        found = _entry(model, here)
        if not isinstance(found, Directory):
            return NOT_A_DIRECTORY if isinstance(found, File | Unreadable) else found
        if len(in_bytes(part)) > LONGEST:
            return TOO_LONG
        if part == ".." and not here:
            return OUT_OF_SIGHT
        if part == "..":
            here.pop()
        elif part not in {"", "."}:
            here.append(part)
    return _entry(model, here)


def _entry(model: Model, parts: Sequence[str]) -> Entry | str:
    """Return what is at a path of the repository, in which `..` is already resolved."""
    if list(parts) in ([], [model.name]):
        return Directory()
    entries, path = (model.entries, parts[1:]) if parts[0] == model.name else (model.beside, parts)
    name = "/".join(path)
    found = entries.get(name)
    if found is None:
        return Directory() if any(other.startswith(f"{name}/") for other in entries) else MISSING
    if found is Unreadable.DANGLING:
        return MISSING
    return OUT_OF_SIGHT if found is Unreadable.LOCKED else found
