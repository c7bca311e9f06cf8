"""The fix for a Python model's file that has a name that cannot be imported: another name, in all versions."""

from __future__ import annotations

import posixpath

from tritonrepo.diagnostics import Fix
from tritonrepo.pbtxt.editor import put
from tritonrepo.repository import Model
from tritonrepo.rules.mending import edited, moved, together
from tritonrepo.rules.python.script import LARGEST_SCRIPT
from tritonrepo.tree import File

CLASS = b"TritonPythonModel"


def renamed(model: Model, name: str, new: str) -> Fix | None:
    """Return the fix that gives default_model_filename another value, and the file of every version that name.

    It is safe if all these files say that they are Python models. A file is not renamed if it can be called differently
    already: if only that one exists, the config alone changes. None if there is no such file, or if both exist.
    """
    config = edited(model, put(model.config, "default_model_filename", new), safe=True)
    if posixpath.normpath(name) == posixpath.normpath(new):
        return config
    if name.startswith(("/", "../")) or posixpath.normpath(name) != name:
        return None
    versions = [each for each in model.directories if each.isdecimal()]
    old = [path for each in versions if (path := f"{each}/{name}") in model.entries]
    there = [each for each in versions if f"{each}/{new}" in model.entries]
    if there:
        return edited(model, put(model.config, "default_model_filename", new), safe=False) if not old else None
    if not old or not all(isinstance(model.entries[path], File) for path in old):
        return None
    safe = all(_is_model(model, path) for path in old)
    moves = (moved(model, path, f"{path.removesuffix(name)}{new}", safe=safe) for path in old)
    return together(config, *moves)


def _is_model(model: Model, path: str) -> bool:
    file = model.file(path)
    return file is not None and file.size <= LARGEST_SCRIPT and CLASS in file.content()
