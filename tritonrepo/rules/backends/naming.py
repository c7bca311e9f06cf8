"""The fixes for a model file that a backend does not find: the name in the config, or the place of the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tritonrepo.diagnostics import Fix
from tritonrepo.pbtxt.editor import put
from tritonrepo.repository import Model
from tritonrepo.repository.paths import opened
from tritonrepo.rules.backends.places import beside
from tritonrepo.rules.mending import edited, moved
from tritonrepo.tree import File

FILENAME = "default_model_filename"


def named(model: Model, path: str, *endings: str) -> Fix | None:
    """Return the fix for a missing file: what the hint for it says first, see `places.hint`."""
    return _fix(model, path, lambda other: other.endswith(endings))


def holder_named(model: Model, path: str, inner: str) -> Fix | None:
    """Return the fix for a missing directory that holds a file with this name."""
    return _fix(model, path, lambda other: f"{other}/{inner}" in model.entries)


def _fix(model: Model, path: str, fits: Callable[[str], bool]) -> Fix | None:
    directory, _, name = path.rpartition("/")
    found = list(_fitting(model, directory, fits))
    if len(found) == 1 and found != [name]:
        return _renamed(model, path, found[0], fits)
    served = len(model.served) == 1 and directory == model.directory_of(model.served[0])
    if not found and served and isinstance(model.entries.get(name), File) and path not in model.entries:
        return moved(model, name, path, safe=True)
    return None


def _renamed(model: Model, path: str, found: str, fits: Callable[[str], bool]) -> Fix | None:
    """Return the fix that names what is there in the config, if that is right for all versions; else it is renamed."""
    directory, _, name = path.rpartition("/")
    inner = directory.partition("/")[2]
    there = [f"{model.directory_of(version)}/{inner}".rstrip("/") for version in model.served]
    if all(list(_fitting(model, each, fits)) == [found] for each in there):
        return edited(model, put(model.config, FILENAME, f"{inner}/{found}".lstrip("/")), safe=False)
    others = any(opened(model, version, name) in model.entries for version in model.served)
    return moved(model, f"{directory}/{found}", path, safe=False) if others and path not in model.entries else None


def _fitting(model: Model, directory: str, fits: Callable[[str], bool]) -> Iterator[str]:
    return (other for other in beside(model, directory) if fits(f"{directory}/{other}"))
