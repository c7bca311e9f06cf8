"""platform and backend: which values can be combined.

Source of all: core, src/model_config_utils.cc, ValidateModelConfig; src/constants.h (the names, by release).
"""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Fix, Severity, nearest
from tritonrepo.pbtxt.editor import change, put, rename
from tritonrepo.pbtxt.nodes import Placed
from tritonrepo.repository import Model
from tritonrepo.repository.inference import GRAPHDEF, KINDS, SAVEDMODEL, TORCH_AOTI
from tritonrepo.rules.fields.libraries import SHORT
from tritonrepo.rules.mending import edited, unset
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
        hint, fix = _instead(model)
        yield Finding(_place(model, "platform"), message, hint=hint, reason=text, fix=fix)
    elif model.inferred.filename and model.config.has("default_model_filename"):
        message = f'default_model_filename "{model.inferred.filename}" does not identify a backend'
        hint = "Set backend to the backend that reads this file."
        yield Finding(_place(model, "default_model_filename"), message, hint=hint, reason=text)


def _instead(model: Model) -> tuple[str, Fix | None]:
    """Return the hint for an unknown platform, and its fix."""
    written = model.inferred.platform
    lower = written.lower()
    if lower == "ensemble":
        return 'Use `platform: "ensemble"`.', _set(model, lower, safe=True)
    for backend in (written, lower, SHORT.get(lower, "")):
        if backend == "tensorflow" and backend in model.target.backends:
            return _tensorflow(model)
        if backend in model.target.backends:
            return f'Use `backend: "{backend}"` instead.', _as_backend(model, backend, safe=backend == lower)
    known = [platform for backend in PLATFORMS for platform in platforms(model, backend)]
    if near := nearest(written, known):
        safe = near == lower.replace("-", "_").replace(" ", "_")
        return f'Did you mean "{near}"?', _set(model, near, safe=safe)
    return "Remove platform, and set backend to the backend that reads the model.", None


def _tensorflow(model: Model) -> tuple[str, Fix | None]:
    """Return hint and fix for the backend that needs a platform: the one whose file is there, or both."""
    known = PLATFORMS["tensorflow"]
    there = [name for name in known if _has(model, f"model.{name.partition('_')[2]}")]
    fitting = " or ".join(f'"{name}"' for name in there or known)
    fix = _set(model, there[0], safe=model.inferred.platform.lower() == "tensorflow") if len(there) == 1 else None
    return f"Set platform to {fitting}.", fix


def _has(model: Model, filename: str) -> bool:
    """Return whether a version has a file or directory of this name."""
    return any(f"/{filename}/" in f"{path}/" for path in model.entries)


def _set(model: Model, platform: str, *, safe: bool) -> Fix | None:
    return edited(model, put(model.config, "platform", platform), safe=safe)


def _as_backend(model: Model, backend: str, *, safe: bool) -> Fix | None:
    """Return the fix that makes the backend of a platform."""
    field = model.config.get("platform")
    if field is None:
        return None
    value = [] if model.inferred.platform == backend else [change(field.value, field.spec, backend)]
    return edited(model, *unset(model.config, "backend"), rename(field, "backend"), *value, safe=safe)


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
        known = written != "torch_aoti"
        fix = _set(model, "pytorch_libtorch", safe=not _has(model, TORCH_AOTI.filename)) if known else None
        yield Finding(_place(model, "platform"), message, hint=hint, reason=text, fix=fix)


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
        meant = "ensemble_scheduling" in model.fields
        gone = ("backend" if written else "default_model_filename") if meant else "platform"
        fix = edited(model, *unset(model.config, gone), safe=meant)
        yield Finding(_place(model, "backend", "default_model_filename"), message, hint=hint, reason=text, fix=fix)


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
    yield Finding(_place(model, "platform", "backend"), message, hint=hint, reason=text, fix=_matched(model))


def _matched(model: Model) -> Fix | None:
    """Return the fix for a platform that conflicts with the backend: the file in the versions decides."""
    backend, platform, _ = model.inferred
    if backend == "tensorflow":
        return _tensorflow(model)[1]
    lower = platform.lower()
    own = next((each for each in PLATFORMS if platform in platforms(model, each)), SHORT.get(lower, lower))
    kinds = (GRAPHDEF, SAVEDMODEL, *KINDS)
    if own != backend and {kind.backend for kind in kinds if _has(model, kind.filename)} == {own}:
        gone = [] if platform in platforms(model, own) else unset(model.config, "platform")
        return edited(model, *gone, put(model.config, "backend", own), safe=False)
    return edited(model, *unset(model.config, "platform"), safe=own == backend)
