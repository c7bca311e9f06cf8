"""The graphs of an ONNX model: for each served version, the file that the backend opens, and its header.

Source: onnxruntime_backend, src/onnxruntime.cc, ModelState::LoadModel: default_model_filename or model.onnx in the
version's directory; if that is a directory, the model.onnx in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tritonrepo.onnxfile import BrokenError, Header, header
from tritonrepo.repository.model import Model
from tritonrepo.repository.once import once
from tritonrepo.repository.paths import follow, opened
from tritonrepo.tree import NOT_KNOWN, Directory, File

INNER = "model.onnx"
"""The file in a directory form, whatever default_model_filename is."""


class Graph(NamedTuple):
    """The ONNX file of a served version.

    `path` is below the model's directory, and `outer` as well: the same path, or the directory with the file. `file` is
    None if no file can be read there, and `header` also if the file is not ONNX, which `fault` describes.
    """

    version: int
    path: str
    outer: str
    file: File | None
    header: Header | None
    fault: str = ""


@once
def graphs(model: Model) -> Sequence[Graph]:
    """Return the graph of each served version, in the order of versions; none for a model of another backend."""
    if model.backend != "onnxruntime":
        return ()
    return tuple(_graph(model, version) for version in model.served)


def _graph(model: Model, version: int) -> Graph:
    outer = path = opened(model, version, INNER)
    found = follow(model, path)
    if isinstance(found, Directory):
        path = f"{path}/{INNER}"
        found = follow(model, path)
    if not isinstance(found, File) or found is NOT_KNOWN:
        return Graph(version, path, outer, None, None)
    try:
        return Graph(version, path, outer, found, header(found))
    except BrokenError as error:
        return Graph(version, path, outer, found, None, str(error))
