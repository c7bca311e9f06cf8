"""platform and backend: which of both may stand beside which.

Source of all: core, src/model_config_utils.cc, ValidateModelConfig; src/constants.h (the names, by release).
"""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity, nearest
from tritonrepo.pbtxt.nodes import Placed
from tritonrepo.repository import Model
from tritonrepo.rules.fields.libraries import SHORT
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage

PLATFORMS = {
    "tensorflow": ("tensorflow_savedmodel", "tensorflow_graphdef"),
    "tensorrt": ("tensorrt_plan",),
    "onnxruntime": ("onnxruntime_onnx",),
    "pytorch": ("pytorch_libtorch",),
}
"""The backends whose platform the core checks; any other takes any platform."""

ALIASES = frozenset({"torch_aoti", "libtorch", "pytorch", "torchscript", "torch"})


def platforms(model: Model, backend: str) -> tuple[str, ...]:
    """Return the platforms that a backend may have in the target's release; none are given where any will do."""
    aoti = backend == "pytorch" and model.target.release.has("torch-aoti")
    return (*PLATFORMS.get(backend, ()), *(["torch_aoti"] if aoti else []))


def unknown(model: Model) -> str:
    """Return what the server says where it can name no backend; "" where it can."""
    if model.backend or model.inferred.platform == "ensemble":
        return ""
    if any(model.inferred) or "." in model.name:
        return f"unexpected platform type '{model.inferred.platform}' for {model.config_name}"
    return ""


def _mismatched(model: Model) -> str:
    """Return what the server says of a platform that does not go with the backend; "" where it does."""
    backend, platform, _ = model.inferred
    if backend not in PLATFORMS or platform == "ensemble" or platform in platforms(model, backend):
        return ""
    return f"unexpected 'platform' and 'backend' pair, got:{platform}, {backend}"


def _is_alias(model: Model) -> bool:
    platform = model.inferred.platform
    return platform in ALIASES and model.backend in {"", "pytorch"}


def _place(model: Model, *names: str) -> Placed | None:
    """Return the value of the first of these fields that the config has."""
    for name in names:
        field = model.config.get(name)
        if field is not None and field.values:
            return field.value
    return None


@rule("platform-unknown", Severity.ERROR, at=Stage.POLL.after("backend-not-inferable"))
def platform_unknown(model: Model) -> Iterator[Finding]:
    """A platform without a backend is one of those that Triton knows."""
    text = unknown(model)
    if not text or _is_alias(model):
        return
    if model.inferred.platform:
        message = f'there is no platform "{model.inferred.platform}"'
        yield Finding(_place(model, "platform"), message, hint=_instead(model), reason=text)
    elif model.inferred.filename and model.config.has("default_model_filename"):
        message = f'default_model_filename "{model.inferred.filename}" names no backend'
        hint = "Write backend: with the backend that reads this file."
        yield Finding(_place(model, "default_model_filename"), message, hint=hint, reason=text)


def _instead(model: Model) -> str:
    """Return what to write instead of an unknown platform."""
    written = model.inferred.platform
    lower = written.lower()
    if lower == "ensemble":
        return 'Write platform: "ensemble".'
    for backend in (written, lower, SHORT.get(lower, "")):
        if backend in model.target.backends:
            return f'Write backend: "{backend}" instead.'
    known = [platform for backend in PLATFORMS for platform in platforms(model, backend)]
    near = nearest(written, known)
    return f'Did you mean "{near}"?' if near else "Write backend: with the backend that reads the model instead."


@rule("pytorch-platform-alias", Severity.ERROR, "platform", at=Stage.POLL.after("ensemble-with-backend"))
def pytorch_platform(model: Model) -> Iterator[Finding]:
    """PyTorch's platform is called pytorch_libtorch, and from 26.03 on also torch_aoti."""
    text = unknown(model) or _mismatched(model)
    if text and _is_alias(model):
        written = model.inferred.platform
        if written == "torch_aoti":
            message, hint = (
                f'"{written}" came with release 26.03',
                "Serve it with 26.03 or later, or export TorchScript.",
            )
        else:
            message = f'there is no platform "{written}" for PyTorch'
            hint = 'Write platform: "pytorch_libtorch", or backend: "pytorch" alone.'
        yield Finding(_place(model, "platform"), message, hint=hint, reason=text)


@rule("ensemble-with-backend", Severity.ERROR, "platform", at=Stage.POLL.after("platform-unknown"))
def ensemble_with_backend(model: Model) -> Iterator[Finding]:
    """An ensemble has no backend."""
    if model.backend and model.inferred.platform == "ensemble":
        text = f"Ensemble model '{model.config_name}' must have platform type 'ensemble' and empty backend type"
        written = model.config.text("backend")
        message = f'this is an ensemble and has the backend "{model.backend}"'
        hint = "Drop backend, or platform if a backend runs this model."
        if not written:
            message = f'this is an ensemble, and its default_model_filename names the backend "{model.backend}"'
            hint = "Drop default_model_filename."
        yield Finding(_place(model, "backend", "default_model_filename"), message, hint=hint, reason=text)


@rule("platform-backend-mismatch", Severity.ERROR, at=Stage.POLL.after("pytorch-platform-alias"))
def platform_backend_mismatch(model: Model) -> Iterator[Finding]:
    """A backend of TensorFlow, TensorRT, ONNX Runtime or PyTorch has its own platform."""
    text = _mismatched(model)
    if not text or _is_alias(model):
        return
    backend, platform, _ = model.inferred
    fitting = " or ".join(f'"{each}"' for each in platforms(model, backend))
    if platform:
        message = f'platform "{platform}" does not go with backend "{backend}"'
        hint = f"Drop platform, Triton fills in {fitting}; or name the backend that reads this model."
    else:
        message, hint = f'backend "{backend}" needs a platform here', f"Write platform: {fitting}."
    if backend == "tensorflow":
        hint = f"Write platform: {fitting}."
    yield Finding(_place(model, "platform", "backend"), message, hint=hint, reason=text)
