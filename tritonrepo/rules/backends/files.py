"""The model file that a backend opens in every served version."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from tritonrepo.diagnostics import Severity, State
from tritonrepo.repository import Model
from tritonrepo.repository.paths import follow
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage


@rule(
    "python-model-file-missing-hang",
    Severity.ERROR,
    "backend=python",
    at=Stage.IMPORT.after("execution-env-not-activated"),
    state=State.HANG,
)
def python_file_missing_hang(model: Model) -> Iterator[Finding]:
    """A Python model must have its model.py in every served version, or the server hangs."""
    if not model.target.release.has("dead-stub-notice"):
        for path in _missing(model, "model.py"):
            yield Finding(
                path,
                "the Python model file is missing, which hangs the server",
                hint=_hint(model, path, ".py"),
                reason="Python model file not found in",
            )


@rule(
    "python-model-file-missing",
    Severity.ERROR,
    "backend=python",
    at=Stage.IMPORT.same_walk("python-model-file-missing-hang"),
)
def python_file_missing(model: Model) -> Iterator[Finding]:
    """A Python model must have its model.py in every served version."""
    if model.target.release.has("dead-stub-notice"):
        for path in _missing(model, "model.py"):
            yield Finding(
                path,
                "the Python model file is missing",
                hint=_hint(model, path, ".py"),
                reason="Python model file not found in",
            )


@rule("onnx-model-file-missing", Severity.ERROR, "backend=onnxruntime", at=Stage.BACKEND.after("onnx-bool-parameter"))
def onnx_file_missing(model: Model) -> Iterator[Finding]:
    """An ONNX model must have its model.onnx in every served version."""
    for path in _missing(model, "model.onnx"):
        yield Finding(
            path,
            "the ONNX model file is missing",
            hint=_hint(model, path, ".onnx"),
            reason=f"{model.name}/{path}' for model instance '{model.name}",
        )


def _missing(model: Model, default: str) -> Iterator[str]:
    """Yield the paths below the model that a backend opens in vain, except paths outside the model."""
    name = model.inferred.filename or default
    for version in model.served:
        path = posixpath.normpath(f"{model.directory_of(version)}/{name.lstrip('/')}")
        if not path.startswith("..") and isinstance(follow(model, path), str):
            yield path


def _hint(model: Model, path: str, ending: str) -> str:
    """Return a hint that names a file of the right kind in the directory, or the file to add."""
    directory, _, name = path.rpartition("/")
    others = [other.removeprefix(f"{directory}/") for other in model.entries if other.startswith(f"{directory}/")]
    candidates = [other for other in others if other.endswith(ending) and "/" not in other]
    if candidates == [name]:
        return f"Replace {name}, which is not a readable file, with the model file."
    if len(candidates) == 1:
        return f'Rename {candidates[0]} to {name}, or set `default_model_filename: "{candidates[0]}"`.'
    if name in model.entries:
        return f"Move {name} into the version directory {directory}."
    return f"Add {name} to the directory {directory}."
