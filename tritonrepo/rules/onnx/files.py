"""The ONNX file of each served version: whether ONNX Runtime can read it at all.

Source: onnxruntime_backend, src/onnxruntime.cc, ModelState::LoadModel.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.repository import Model
from tritonrepo.repository.paths import follow
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage
from tritonrepo.tree import Directory

DEFAULT = "model.onnx"
"""The file that the backend opens if the config names none, and in a directory always."""


@rule(
    "onnx-directory-form",
    Severity.ERROR,
    "backend=onnxruntime",
    at=Stage.BACKEND.after("onnx-model-file-missing"),
)
def directory_form(model: Model) -> Iterator[Finding]:
    """A directory in place of an ONNX file must contain model.onnx."""
    for path in _paths(model):
        if isinstance(follow(model, path), Directory) and isinstance(follow(model, f"{path}/{DEFAULT}"), str):
            yield Finding(
                path,
                f"this directory stands for the ONNX model, but has no {DEFAULT}, the only file that the backend opens",
                hint=_inside(model, path),
                reason=f"{model.name}/{path}/{DEFAULT}' for model instance '{model.name}",
            )


def _paths(model: Model) -> Iterator[str]:
    """Yield the path below the model that the backend opens for each served version, except paths outside it."""
    name = model.inferred.filename or DEFAULT
    for version in model.served:
        path = posixpath.normpath(f"{model.directory_of(version)}/{name.lstrip('/')}")
        if not path.startswith(".."):
            yield path


def _inside(model: Model, path: str) -> str:
    """Return a hint that names the ONNX file of a directory, or the file to add."""
    names = [other.removeprefix(f"{path}/") for other in model.entries if other.startswith(f"{path}/")]
    found = [name for name in names if name.endswith(".onnx")]
    return f"Rename {found[0]} to {DEFAULT}." if len(found) == 1 else f"Add {DEFAULT} to the directory {path}."
