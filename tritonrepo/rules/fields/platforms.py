"""platform and backend: which values can be combined.

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
"""The backends whose platform the core checks; any other backend accepts any platform."""

ALIASES = frozenset({"torch_aoti", "libtorch", "pytorch", "torchscript", "torch"})


def platforms(model: Model, backend: str) -> tuple[str, ...]:
    """Return the platforms that a backend accepts in the target's release; empty if it accepts any."""
    aoti = backend == "pytorch" and model.target.release.has("torch-aoti")
    return (*PLATFORMS.get(backend, ()), *(["torch_aoti"] if aoti else []))


def unknown(model: Model) -> str:
    """Return the server's error if it cannot identify a backend; "" if it can."""
    if model.backend or model.inferred.platform == "ensemble":
        return ""
    if any(model.inferred) or "." in model.name:
        return f"unexpected platform type '{model.inferred.platform}' for {model.config_name}"
    return ""


def _mismatched(model: Model) -> str:
    """Return the server's error for a platform that conflicts with the backend; "" if they match."""
    backend, platform, _ = model.inferred
    if backend not in PLATFORMS or platform == "ensemble" or platform in platforms(model, backend):
        return ""
    return f"unexpected 'platform' and 'backend' pair, got:{platform}, {backend}"


def _is_alias(model: Model) -> bool:
    platform = model.inferred.platform
    return platform in ALIASES and model.backend in {"", "pytorch"}


def _place(model: Model, *names: str) -> Placed | None:
    """Return the value of the first of these fields that the config sets."""
    for name in names:
        field = model.config.get(name)
        if field is not None and field.values:
            return field.value
    return None


@rule("platform-unknown", Severity.ERROR, at=Stage.POLL.after("backend-not-inferable"))
def platform_unknown(model: Model) -> Iterator[Finding]:
    """A platform or default_model_filename must identify the backend if none is set."""
    text = unknown(model)
    if not text or _is_alias(model):
        return
    if model.inferred.platform:
        message = f'unknown platform "{model.inferred.platform}"'
        yield Finding(_place(model, "platform"), message, hint=_instead(model), reason=text)
    elif model.inferred.filename and model.config.has("default_model_filename"):
        message = f'default_model_filename "{model.inferred.filename}" does not identify a backend'
        hint = "Set backend to the backend that reads this file."
        yield Finding(_place(model, "default_model_filename"), message, hint=hint, reason=text)


def _instead(model: Model) -> str:
    """Return the hint for an unknown platform."""
    written = model.inferred.platform
    lower = written.lower()
    if lower == "ensemble":
        return 'Use `platform: "ensemble"`.'
    for backend in (written, lower, SHORT.get(lower, "")):
        if backend == "tensorflow" and backend in model.target.backends:
            return _tensorflow(model)
        if backend in model.target.backends:
            return f'Use `backend: "{backend}"` instead.'
    known = [platform for backend in PLATFORMS for platform in platforms(model, backend)]
    near = nearest(written, known)
    return (
        f'Did you mean "{near}"?' if near else "Remove platform, and set backend to the backend that reads the model."
    )


def _tensorflow(model: Model) -> str:
    """Return the hint for the backend that needs a platform: the one whose file is there, or both."""
    known = PLATFORMS["tensorflow"]
    files = [f"/{path}/" for path in model.entries]
    there = [name for name in known if any(f"/model.{name.partition('_')[2]}/" in path for path in files)]
    fitting = " or ".join(f'"{name}"' for name in there or known)
    return f"Set platform to {fitting}."


@rule("pytorch-platform-alias", Severity.ERROR, "platform", at=Stage.POLL.after("ensemble-with-backend"))
def pytorch_platform(model: Model) -> Iterator[Finding]:
    """PyTorch's platform must be pytorch_libtorch, or torch_aoti from Triton 26.03 on."""
    text = unknown(model) or _mismatched(model)
    if text and _is_alias(model):
        written = model.inferred.platform
        if written == "torch_aoti":
            message, hint = (
                f'platform "{written}" requires Triton 26.03 or later',
                "Use Triton 26.03 or later, or export the model as TorchScript.",
            )
        else:
            message = f'unknown PyTorch platform "{written}"'
            hint = 'Use `platform: "pytorch_libtorch"`, or only `backend: "pytorch"`.'
        yield Finding(_place(model, "platform"), message, hint=hint, reason=text)


@rule("ensemble-with-backend", Severity.ERROR, "platform", at=Stage.POLL.after("vllm-image-ensemble"))
def ensemble_with_backend(model: Model) -> Iterator[Finding]:
    """An ensemble cannot have a backend."""
    if model.backend and model.inferred.platform == "ensemble":
        text = f"Ensemble model '{model.config_name}' must have platform type 'ensemble' and empty backend type"
        written = model.config.text("backend")
        message = f'an ensemble cannot have a backend, but this one sets "{model.backend}"'
        hint = "Remove backend, or remove platform if a backend runs this model."
        if not written:
            message = f'an ensemble cannot have a backend, but default_model_filename identifies "{model.backend}"'
            hint = "Remove default_model_filename."
        yield Finding(_place(model, "backend", "default_model_filename"), message, hint=hint, reason=text)


@rule("platform-backend-mismatch", Severity.ERROR, at=Stage.POLL.after("pytorch-platform-alias"))
def platform_backend_mismatch(model: Model) -> Iterator[Finding]:
    """The platform must match a TensorFlow, TensorRT, ONNX Runtime or PyTorch backend."""
    text = _mismatched(model)
    if not text or _is_alias(model):
        return
    backend, platform, _ = model.inferred
    fitting = " or ".join(f'"{each}"' for each in platforms(model, backend))
    if platform:
        message = f'platform "{platform}" conflicts with backend "{backend}"'
        hint = f"Remove platform to let Triton set {fitting}, or set backend to the one that reads this model."
    else:
        message = f'platform is missing, and no file identifies it for backend "{backend}"'
        hint = f"Set platform to {fitting}."
    if backend == "tensorflow":
        hint = f"Set platform to {fitting}."
    yield Finding(_place(model, "platform", "backend"), message, hint=hint, reason=text)
