"""The fixes for a model file that a backend does not find: the name in the config, or the place of the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tritonrepo.diagnostics import Fix
from tritonrepo.pbtxt.editor import put
from tritonrepo.repository import Model
from tritonrepo.repository.model import CONFIG
from tritonrepo.rules.backends.places import beside
from tritonrepo.rules.mending import edited, moved

FILENAME = "default_model_filename"


def named(model: Model, path: str, *endings: str, guess: bool = False) -> Fix | None:
    """Return the fix for a missing file: what the hint for it says first, see `places.hint`.

    That the config names the file is safe if it names none yet and the file ends with the first of these endings, which
    are the backend's own; a `guess` is never safe.
    """
    return _fix(model, path, lambda other: other.endswith(endings), "" if guess else endings[0])


def holder_named(model: Model, path: str, inner: str) -> Fix | None:
    """Return the fix for a missing directory that holds a file with this name."""
    return _fix(model, path, lambda other: f"{other}/{inner}" in model.entries)


def _fix(model: Model, path: str, fits: Callable[[str], bool], own: str = "") -> Fix | None:
    directory, _, name = path.rpartition("/")
    found = list(_fitting(model, directory, fits))
    if len(found) == 1 and found != [name] and found[0].isprintable():
        return _renamed(model, path, found[0], fits, own)
    served = len(model.served) == 1 and directory == model.directory_of(model.served[0])
    if not found and served and name != CONFIG and model.file(name) is not None and path not in model.entries:
        return moved(model, name, path, safe=True)
    return None


def _renamed(model: Model, path: str, found: str, fits: Callable[[str], bool], own: str) -> Fix | None:
    """Return the fix that names what is there in the config, if that is right for all versions; else it is renamed."""
    directory = path.rpartition("/")[0]
    inner = directory.partition("/")[2]
    there = [f"{model.directory_of(version)}/{inner}".rstrip("/") for version in model.served]
    if all(list(_fitting(model, each, fits)) == [found] for each in there):
        safe = bool(own) and found.endswith(own) and not model.config.text(FILENAME)
        return edited(model, put(model.config, FILENAME, f"{inner}/{found}".lstrip("/")), safe=safe)
    return moved(model, f"{directory}/{found}", path, safe=False) if path not in model.entries else None


def _fitting(model: Model, directory: str, fits: Callable[[str], bool]) -> Iterator[str]:
    return (other for other in beside(model, directory) if fits(f"{directory}/{other}"))
