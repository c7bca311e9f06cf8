"""What no rule looks into: the models about whose own files a verdict says nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from tritonrepo.diagnostics import State, Unseen, Verdict
from tritonrepo.repository import Model, Repository
from tritonrepo.repository.inference import TORCH_AOTI
from tritonrepo.rules.layout.environments import IN_PYTHON, is_too_large

FILES: Mapping[str, str] = {
    "dali": "DALI pipeline",
    "fil": "forest",
    "openvino": "OpenVINO layers",
    "tensorflow": "TensorFlow graph",
    "tensorrt": "TensorRT plan",
    "tensorrtllm": "TensorRT-LLM engine",
}
"""What a model of each backend has that is not judged, in users' words; change a row when a rule looks into it."""

LOOKED_INTO = frozenset({"", "onnxruntime", "python", "vllm", "identity", "repeat", "square"})
"""Backends whose models are judged, or that open no file; "" is that of an ensemble."""


def unseen(repository: Repository, verdicts: Iterable[Verdict]) -> tuple[Unseen, ...]:
    """Return what was not looked into of the models that are ready, sorted, with their names."""
    found: dict[str, list[str]] = {}
    for verdict in verdicts:
        for what in _of(repository.models[verdict.model]) if verdict.verdict is State.READY else ():
            found.setdefault(what, []).append(verdict.model)
    return tuple(Unseen(what, tuple(models)) for what, models in sorted(found.items()))


def together(left: Iterable[Unseen]) -> tuple[Unseen, ...]:
    """Return what was not looked into in several repositories, with the models of all."""
    found: dict[str, tuple[str, ...]] = {}
    for each in left:
        found[each.what] = (*found.get(each.what, ()), *each.models)
    return tuple(Unseen(what, models) for what, models in sorted(found.items()))


def _of(model: Model) -> Iterator[str]:
    """Yield what is not judged of a model."""
    if model.backend in IN_PYTHON and is_too_large(model):
        yield "packed Python environment"
    if model.is_ensemble or model.backend in LOOKED_INTO:
        return
    if model.backend == "pytorch":
        python = model.config.text("runtime") == "model.py"
        package = "AOTInductor package" if model.inferred.platform == TORCH_AOTI.platform else "TorchScript"
        yield "PyTorch class" if python else package
    else:
        yield FILES.get(model.backend, f"own backend {model.backend}")
