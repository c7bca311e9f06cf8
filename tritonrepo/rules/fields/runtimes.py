"""runtime: a library of one's own in the place of the backend's.

Source of all: core, src/backend_model.cc, GetBackendLibraryProperties, FindBackendLibraryPath.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from enum import StrEnum

from tritonrepo.diagnostics import Severity
from tritonrepo.repository import Model
from tritonrepo.repository.paths import OUT_OF_SIGHT, follow
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage
from tritonrepo.tree import File, Link

PYTHON = "model.py"
COMPILED = frozenset({"python", "onnxruntime", "tensorrt", "tensorflow", "openvino", "identity", "square", "repeat"})
"""Backends that are known to be libtriton_NAME.so, and to have no model.py."""

LONE = COMPILED | {"pytorch", "dali", "fil"}
"""Backends in whose directory no other file is called libtriton_…."""

DIRECTORIES = {
    "python": frozenset({"triton_python_backend_stub", "triton_python_backend_utils.py"}),
    "identity": frozenset[str](),
    "square": frozenset[str](),
    "repeat": frozenset[str](),
}
"""What else lies beside the library, where that is known (their CMakeLists.txt, install)."""


def exists(model: Model, path: str) -> bool:
    """Tell whether there is, or may be behind a link, something at a path below the model."""
    path = posixpath.normpath(path)
    if path in model.entries:
        return True
    parts = path.split("/")
    above = ("/".join(parts[:n]) for n in range(1, len(parts)))
    return any(isinstance(model.entries.get(each), Link) for each in above)


class Search(StrEnum):
    """What comes of looking for a `runtime`."""

    FOUND = "found"
    UNKNOWN = "unknown"
    MISSING = "missing"
    ESCAPES = "escapes"


def _search(model: Model, version: int) -> Search:
    """Look for the config's runtime as the server does: version directory, model's directory, backend's."""
    runtime = model.config.text("runtime").lstrip("/")
    short = posixpath.normpath(runtime)
    for below in (str(version), ""):
        parent = posixpath.normpath(f"{model.name}/{below}")
        found = follow(model, f"{below}/{runtime}")
        if found == OUT_OF_SIGHT or (short == "." and not isinstance(found, str)):
            return Search.UNKNOWN
        if not isinstance(found, str):
            escapes = not posixpath.normpath(f"{parent}/{runtime}").startswith(parent) and isinstance(found, File)
            return Search.ESCAPES if escapes else Search.FOUND
    return _search_backend(model, short)


def _search_backend(model: Model, path: str) -> Search:
    """Look into the backend's own directory, of which the name of the library is known."""
    if model.backend not in model.target.backends or model.backend == "ensemble":
        return Search.MISSING
    if path == f"libtriton_{model.backend}.so":
        return Search.FOUND
    if path.startswith(".."):
        other = path.split("/")[1:2]
        return Search.UNKNOWN if not other or other[0] in {"..", *model.target.backends} else Search.MISSING
    certain = model.backend in LONE and path.startswith("libtriton_")
    certain |= path not in DIRECTORIES.get(model.backend, {path})
    return Search.MISSING if certain else Search.UNKNOWN


def _searched(model: Model) -> set[Search]:
    """Return what comes of the search in the versions that are served."""
    if model.config.text("runtime") in {"", PYTHON} or model.is_ensemble or not model.target.backends:
        return set()
    return {_search(model, version) for version in model.served}


@rule(
    "runtime-library-not-found", Severity.ERROR, "runtime", at=Stage.LOAD.after("model-files-not-in-version-directory")
)
def runtime_not_found(model: Model) -> Iterator[Finding]:
    """The library that runtime names lies where Triton looks for it."""
    written = model.config.text("runtime")
    if Search.MISSING in _searched(model):
        yield Finding(
            model.config.scalars("runtime")[-1],
            f'there is no "{written}" beside the model or in the backend "{model.backend}"',
            hint=f"Put the file into {model.name}/ or a version directory, or drop runtime.",
            reason=f"unable to find backend library '{written}' for model '{model.config_name}', searched:",
        )


@rule("runtime-escapes-backend-directory", Severity.ERROR, "runtime", at=Stage.LOAD.after("runtime-library-not-found"))
def runtime_escapes(model: Model) -> Iterator[Finding]:
    """The library that runtime names stays in the directory in which it is looked for."""
    written = model.config.text("runtime")
    if Search.ESCAPES in _searched(model):
        yield Finding(
            model.config.scalars("runtime")[-1],
            f'runtime "{written}" leaves the directory in which Triton looks for it',
            hint="Write the file's name alone; the model's directory is searched too.",
            reason=f"backend library name '{written}' escapes backend directory",
        )


@rule(
    "runtime-python-without-backend",
    Severity.ERROR,
    "runtime",
    at=Stage.LOAD.after("runtime-escapes-backend-directory"),
)
def runtime_python(model: Model) -> Iterator[Finding]:
    """runtime: "model.py" is for backends that are written in Python."""
    if model.config.text("runtime") != PYTHON or model.is_ensemble or not model.target.backends:
        return
    if model.backend in COMPILED or (model.backend and model.backend not in model.target.backends):
        yield Finding(
            model.config.scalars("runtime")[-1],
            f'the backend "{model.backend}" has no model.py of its own',
            hint="Drop runtime.",
            reason=f"unable to find Python backend based backend library 'model.py' for model '{model.config_name}', searched:",
        )
