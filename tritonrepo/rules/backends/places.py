"""The files that backends open in a version's directory: which are not there, and what is there instead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tritonrepo.repository import Model
from tritonrepo.repository.once import once
from tritonrepo.repository.paths import follow
from tritonrepo.repository.paths import opened as place
from tritonrepo.rules.fields.platforms import platforms
from tritonrepo.rules.fields.runtimes import PYTHON, exists
from tritonrepo.tree import NOT_KNOWN, File


@once
def judged(model: Model) -> bool:
    """Return whether a stock backend opens the model's files: an image of the release has it, and no library stands in.

    A file is also wrong if the selected images lack the backend, which is another fault.
    """
    release = model.target.release
    known = model.target.backends | release.backends(tuple(release.images))
    if known and model.backend not in known:
        return False
    accepted = platforms(model, model.backend)
    if accepted and model.inferred.platform not in accepted:
        return False
    name = f"libtriton_{model.backend}.so"
    if "runtime" in model.fields and model.config.text("runtime") not in {"", name}:
        return False
    own = [name, *(f"{model.directory_of(version)}/{name}" for version in model.served)]
    return not any(exists(model, path) for path in own)


def is_python(model: Model) -> bool:
    """Whether the model is run by the model.py of its backend."""
    return model.config.text("runtime") == PYTHON


def opened(model: Model, default: str) -> Iterator[str]:
    """Yield the paths below the model that a backend opens, except paths outside the model."""
    paths = (place(model, version, default) for version in model.served)
    return (path for path in paths if not path.startswith(".."))


def missing(model: Model, default: str) -> Iterator[str]:
    """Yield the paths below the model that a backend opens in vain."""
    return (path for path in opened(model, default) if isinstance(follow(model, path), str))


def files(model: Model, default: str, inner: str = "") -> Iterator[tuple[str, File]]:
    """Yield the files that a backend opens, with their paths; `inner` is the path in what it opens."""
    for outer in opened(model, default):
        path = f"{outer}/{inner}" if inner else outer
        entry = follow(model, path)
        if isinstance(entry, File) and entry is not NOT_KNOWN:
            yield path, entry


def hint(model: Model, path: str, *endings: str) -> str:
    """Return a hint that names a file of the right kind in the directory, or the file to add."""
    directory, _, name = path.rpartition("/")
    candidates = [other for other in beside(model, directory) if other.endswith(endings)]
    if candidates == [name]:
        return f"Replace {name}, which is not a readable file, with the model file."
    if len(candidates) == 1:
        return f'Rename {candidates[0]} to {name}, or set `default_model_filename: "{candidates[0]}"`.'
    if name in model.entries:
        return f"Move {name} into the version directory {directory}."
    return f"Add {name} to the directory {directory}."


def beside(model: Model, directory: str) -> Sequence[str]:
    """Return the names of what is directly in a directory of the model, and is not empty."""
    below = f"{directory}/"
    return list(dict.fromkeys(path[len(below) :].partition("/")[0] for path in model.entries if path.startswith(below)))
