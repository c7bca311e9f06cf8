"""What the core fills in by file names, with or without auto-complete: backend, platform, default_model_filename.

Source: core, src/model_config_utils.cc, AutoCompleteBackendFields. The core reads only the first subdirectory in byte
order, and only if the config sets none of the three fields; it stops at the first match.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tritonrepo.pbtxt import Message
from tritonrepo.releases import Release
from tritonrepo.repository.target import Target
from tritonrepo.tree import Entry, is_directory

Files = Mapping[str, Entry | None]
"""What the first subdirectory has; a directory that is not empty is None."""


class Inferred(NamedTuple):
    """The three fields after inference; all are empty if the server finds nothing."""

    backend: str
    platform: str
    filename: str


class Kind(NamedTuple):
    """A model file that identifies its backend, with its platform, and whether it may be a directory.

    `only_with` is a fact that a release must have to know the file.
    """

    filename: str
    backend: str
    platform: str = ""
    directory: bool = False
    only_with: str = ""

    def known(self, release: Release) -> bool:
        """Return whether this release knows it."""
        return not self.only_with or release.has(self.only_with)


GRAPHDEF = Kind("model.graphdef", "tensorflow", "tensorflow_graphdef")
SAVEDMODEL = Kind("model.savedmodel", "tensorflow", "tensorflow_savedmodel")
LIBTORCH = Kind("model.pt", "pytorch", "pytorch_libtorch")
TORCH_AOTI = Kind("model.pt2", "pytorch", "torch_aoti", only_with="torch-aoti")
KINDS = (
    Kind("model.plan", "tensorrt", "tensorrt_plan"),
    Kind("model.onnx", "onnxruntime", "onnxruntime_onnx", directory=True),
    Kind("model.xml", "openvino", directory=True),
    LIBTORCH,
    LIBTORCH._replace(platform="libtorch", only_with="libtorch-platform"),
    TORCH_AOTI,
    Kind("model.py", "python", directory=True),
)
FILLED = {"tensorrt": "tensorrt_plan", "onnxruntime": "onnxruntime_onnx", "pytorch": "pytorch_libtorch"}
"""The platform that these backends get if none is written; tensorflow gets none."""

FILENAMES = {"tensorrt": "model.plan", "onnxruntime": "model.onnx", "openvino": "model.xml", "python": "model.py"}


def infer(name: str, config: Message, first: Files, server: Target, *, bare: bool) -> Inferred:
    """Return the three fields; `bare` means that the model has no config."""
    written = Inferred(config.text("backend"), config.text("platform"), config.text("default_model_filename"))
    if bare and not server.auto_complete:
        return written
    found = _tensorflow(written, first)
    for kind in (GRAPHDEF, SAVEDMODEL):
        if found.platform == kind.platform:
            return Inferred(found.backend or kind.backend, found.platform, found.filename or kind.filename)
    found = _kind(found, first, server.release)
    if found.backend:
        platform = found.platform or FILLED.get(found.backend, "")
        filename = found.filename or FILENAMES.get(found.backend, "")
        if found.backend == "pytorch" and config.text("runtime") != "model.py":
            own = platform == TORCH_AOTI.platform and server.release.has("libtorch-platform")
            filename = filename or (TORCH_AOTI if own else LIBTORCH).filename
        return Inferred(found.backend, platform, filename)
    return found if any(found) else _dotted(name)


def _tensorflow(written: Inferred, first: Files) -> Inferred:
    """Find TensorFlow's platform, which its backend requires; a graphdef comes before a savedmodel."""
    if written.platform or written.backend not in {"", "tensorflow"}:
        return written
    for kind in (GRAPHDEF, SAVEDMODEL):
        directory = kind is SAVEDMODEL
        seen = kind.filename in first and is_directory(first[kind.filename]) is directory
        if written.filename == kind.filename or (not written.filename and seen):
            return written._replace(platform=kind.platform)
    return written


def _kind(found: Inferred, first: Files, release: Release) -> Inferred:
    """Find the backend by the platform, the filename or a file in the first subdirectory, in this order."""
    if found.backend:
        return found
    for kind in KINDS:
        if not kind.known(release):
            continue
        named = (kind.platform and found.platform == kind.platform) or found.filename == kind.filename
        if named:
            return found._replace(backend=kind.backend)
        seen = kind.filename in first and (kind.directory or not is_directory(first[kind.filename]))
        if seen and not found.platform and not found.filename:
            aoti = kind is TORCH_AOTI and release.has("libtorch-platform")
            return found._replace(backend=kind.backend, platform=kind.platform if aoti else "")
    return found


def _dotted(name: str) -> Inferred:
    """Read the backend of a model named x.BACKEND, which is all after the first dot."""
    backend = name.partition(".")[2]
    return Inferred(backend, "", f"model.{backend}" if backend else "")
