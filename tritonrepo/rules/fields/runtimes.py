"""runtime: a library that replaces the backend's own.

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
"""Backends known to be compiled as libtriton_NAME.so and to have no model.py."""

LONE = COMPILED | {"pytorch", "dali", "fil"}
"""Backends whose directory has no other file named libtriton_…."""

DIRECTORIES = {
    "python": frozenset({"triton_python_backend_stub", "triton_python_backend_utils.py"}),
    "identity": frozenset[str](),
    "square": frozenset[str](),
    "repeat": frozenset[str](),
}
"""The other files next to the library, for backends where they are known (their CMakeLists.txt, install)."""


def exists(model: Model, path: str) -> bool:
    """Return whether a path below the model exists, or may exist behind a link."""
    path = posixpath.normpath(path)
    if path in model.entries:
        return True
    parts = path.split("/")
    above = ("/".join(parts[:n]) for n in range(1, len(parts)))
    return any(isinstance(model.entries.get(each), Link) for each in above)


class Search(StrEnum):
    """Result of a search for `runtime`."""

    FOUND = "found"
    UNKNOWN = "unknown"
    MISSING = "missing"
    ESCAPES = "escapes"


def _search(model: Model, version: int) -> Search:
    """Search for runtime in the server's order: version directory, model's directory, backend's directory."""
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
    """Search the backend's own directory, of which only some files are known."""
    if model.backend not in model.target.backends or model.backend == "ensemble":
        return Search.UNKNOWN if model.target.own else Search.MISSING
    if path == f"libtriton_{model.backend}.so":
        return Search.FOUND
    if path.startswith(".."):
        other = path.split("/")[1:2]
        return Search.UNKNOWN if not other or other[0] in {"..", *model.target.backends} else Search.MISSING
    certain = model.backend in LONE and path.startswith("libtriton_")
    certain |= path not in DIRECTORIES.get(model.backend, {path})
    return Search.MISSING if certain else Search.UNKNOWN


def _searched(model: Model) -> set[Search]:
    """Return the results of the search for all served versions."""
    if model.config.text("runtime") in {"", PYTHON} or model.is_ensemble or not model.target.backends:
        return set()
    return {_search(model, version) for version in model.served}


@rule(
    "runtime-library-not-found", Severity.ERROR, "runtime", at=Stage.LOAD.after("model-files-not-in-version-directory")
)
def runtime_not_found(model: Model) -> Iterator[Finding]:
    """The library in runtime must exist in a directory that Triton searches."""
    written = model.config.text("runtime")
    if Search.MISSING in _searched(model):
        yield Finding(
            model.config.scalars("runtime")[-1],
            f'"{written}" does not exist in the model\'s directory or that of backend "{model.backend}"',
            hint=f"Add the file to {model.name}/ or to a version directory, or remove runtime.",
            reason=f"unable to find backend library '{written}' for model '{model.config_name}', searched:",
        )


@rule("runtime-escapes-backend-directory", Severity.ERROR, "runtime", at=Stage.LOAD.after("runtime-library-not-found"))
def runtime_escapes(model: Model) -> Iterator[Finding]:
    """The library in runtime cannot be outside the directories that Triton searches."""
    written = model.config.text("runtime")
    if Search.ESCAPES in _searched(model):
        yield Finding(
            model.config.scalars("runtime")[-1],
            f'runtime "{written}" is outside the directories that Triton searches',
            hint="Set runtime to the file name without a path. Triton also searches the model's directory.",
            reason=f"backend library name '{written}' escapes backend directory",
        )


@rule(
    "runtime-python-without-backend",
    Severity.ERROR,
    "runtime",
    at=Stage.LOAD.after("runtime-escapes-backend-directory"),
)
def runtime_python(model: Model) -> Iterator[Finding]:
    """The backend must be written in Python if runtime is "model.py"."""
    if model.config.text("runtime") != PYTHON or model.is_ensemble or not model.target.backends:
        return
    absent = model.backend and model.backend not in model.target.backends and not model.target.own
    if model.backend in COMPILED or absent:
        yield Finding(
            model.config.scalars("runtime")[-1],
            f'runtime names the backend\'s own model.py, but backend "{model.backend}" does not have one',
            hint="Remove runtime.",
            reason="unable to find Python backend based backend library 'model.py' "
            f"for model '{model.config_name}', searched:",
        )
