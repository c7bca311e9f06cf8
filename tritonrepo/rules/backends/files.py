"""The model file that a backend opens in every version that is served."""

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
    """A Python model has its model.py in every version that is served.

    Why:
        Before 25.09 the server waits for ever for the process that should run it: the start never ends, no port is
        opened, and no other model is served. The log has one line about it.
    Source:
        python_backend, src/pb_stub.cc, ModelContext::Init; seen with 24.10
    Bad:
        -- prompt/config.pbtxt --
        backend: "python"
        input { name: "query" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "prompt" data_type: TYPE_STRING dims: [ 1 ] }
        -- prompt/1/modle.py --
        class TritonPythonModel:
            def execute(self, requests):
                return []
    Says:
        prompt/1/model.py: error: the Python model file is not there, and the server waits for it for ever [python-model-file-missing-hang]
          Rename modle.py to model.py, or write default_model_filename: "modle.py".
    Server says:
        Python model file not found in
    Good:
        -- prompt/config.pbtxt --
        backend: "python"
        input { name: "query" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "prompt" data_type: TYPE_STRING dims: [ 1 ] }
        -- prompt/1/model.py --
        class TritonPythonModel:
            def execute(self, requests):
                return []
    """
    if not model.target.release.has("dead-stub-notice"):
        for path in _missing(model, "model.py"):
            yield Finding(
                path,
                "the Python model file is not there, and the server waits for it for ever",
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
    """A Python model has its model.py in every version that is served.

    Why:
        The process that should run it ends at once, and the model is refused; the log has one line about the reason.
    Source:
        python_backend, src/pb_stub.cc, ModelContext::Init; src/stub_launcher.cc, ReceiveMessageFromStub, from r25.09 on
    Run with:
        --release 25.09
    Bad:
        -- prompt/config.pbtxt --
        backend: "python"
        input { name: "query" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "prompt" data_type: TYPE_STRING dims: [ 1 ] }
        -- prompt/1/modle.py --
        class TritonPythonModel:
            def execute(self, requests):
                return []
    Says:
        prompt/1/model.py: error: the Python model file is not there [python-model-file-missing]
          Rename modle.py to model.py, or write default_model_filename: "modle.py".
    Good:
        -- prompt/config.pbtxt --
        backend: "python"
        input { name: "query" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "prompt" data_type: TYPE_STRING dims: [ 1 ] }
        -- prompt/1/model.py --
        class TritonPythonModel:
            def execute(self, requests):
                return []
    """
    if model.target.release.has("dead-stub-notice"):
        for path in _missing(model, "model.py"):
            yield Finding(
                path,
                "the Python model file is not there",
                hint=_hint(model, path, ".py"),
                reason="Python model file not found in",
            )


@rule(
    "onnx-model-file-missing", Severity.ERROR, "backend=onnxruntime", at=Stage.BACKEND.after("python-force-cpu-value")
)
def onnx_file_missing(model: Model) -> Iterator[Finding]:
    """An ONNX model has its model.onnx in every version that is served.

    Why:
        The backend opens model.onnx, or what default_model_filename says, in each version's directory, and nothing
        else. A directory of that name with a model.onnx in it will do, too.
    Source:
        onnxruntime_backend, src/onnxruntime.cc, ModelState::LoadModel
    Bad:
        -- embedder_model/config.pbtxt --
        backend: "onnxruntime"
        input { name: "input_ids" data_type: TYPE_INT64 dims: [ -1, -1 ] }
        output { name: "embedding" data_type: TYPE_FP32 dims: [ -1, 384 ] }
        -- embedder_model/1/minilm.onnx --
    Says:
        embedder_model/1/model.onnx: error: the ONNX model file is not there [onnx-model-file-missing]
          Rename minilm.onnx to model.onnx, or write default_model_filename: "minilm.onnx".
    Server says:
        embedder_model/1/model.onnx' for model instance 'embedder_model
    Good:
        -- embedder_model/config.pbtxt --
        backend: "onnxruntime"
        input { name: "input_ids" data_type: TYPE_INT64 dims: [ -1, -1 ] }
        output { name: "embedding" data_type: TYPE_FP32 dims: [ -1, 384 ] }
        default_model_filename: "minilm.onnx"
        -- embedder_model/1/minilm.onnx --
    """
    for path in _missing(model, "model.onnx"):
        yield Finding(
            path,
            "the ONNX model file is not there",
            hint=_hint(model, path, ".onnx"),
            reason=f"{model.name}/{path}' for model instance '{model.name}",
        )


def _missing(model: Model, default: str) -> Iterator[str]:
    """Yield the paths below the model that a backend opens in vain; one that leads out of the model is not judged."""
    name = model.inferred.filename or default
    for version in model.served:
        path = posixpath.normpath(f"{model.directory_of(version)}/{name.lstrip('/')}")
        if not path.startswith("..") and isinstance(follow(model, path), str):
            yield path


def _hint(model: Model, path: str, ending: str) -> str:
    """Name a file of the right kind that lies in the directory, or what has to be put there."""
    directory, _, name = path.rpartition("/")
    others = [other.removeprefix(f"{directory}/") for other in model.entries if other.startswith(f"{directory}/")]
    candidates = [other for other in others if other.endswith(ending) and "/" not in other]
    if candidates == [name]:
        return "What has its name there is no file that can be read: put the model's own in its place."
    if len(candidates) == 1:
        return f'Rename {candidates[0]} to {name}, or write default_model_filename: "{candidates[0]}".'
    if name in model.entries:
        return f"Move {name} into the version directory {directory}."
    return f"Put {name} there."
