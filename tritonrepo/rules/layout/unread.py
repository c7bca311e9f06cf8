"""Files next to config.pbtxt that look like configs, and that nothing reads.

Source: core, src/model_repository_manager/model_repository_manager.cc, GetModelConfigFullPath: the core reads
config.pbtxt and what that names. The backends below open files of the version directory only. With --model-control-mode
poll, Triton 2.51.0 loads a model again when such a file changes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.repository import Model
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.tree import File

BACKENDS = ("vllm", "onnxruntime", "pytorch", "tensorrt", "tensorflow", "openvino")
"""Backends that open no file next to config.pbtxt unless a field names it."""

CONFIG_LIKE = re.compile(r"[^/]{0,200}config[^/]{0,40}\.(?:ya?ml|toml|ini)", re.IGNORECASE)


@rule("settings-file-not-read", Severity.WARNING, *(f"backend={name}" for name in BACKENDS))
def settings_not_read(model: Model) -> Iterator[Finding]:
    """Settings should be in a file that Triton or the backend reads."""
    for path, entry in model.children.items():
        if CONFIG_LIKE.fullmatch(path) and isinstance(entry, File) and not _is_named(model, path):
            where = "model.json in the version directory" if model.backend == "vllm" else "config.pbtxt"
            yield Finding(
                path,
                f"neither Triton nor the {model.backend} backend reads {path}",
                hint=f"Move its settings into {where}. In poll mode, a change of this file also reloads the model.",
            )


def _is_named(model: Model, path: str) -> bool:
    """Return whether the config names the file, such as in a parameter."""
    return path.encode("utf-8", "surrogateescape") in model.config.source.text
