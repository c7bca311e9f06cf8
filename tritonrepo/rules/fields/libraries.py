"""Backends: whether the target's images have the one that a model needs.

Source of all: core, src/backend_model.cc, GetBackendLibraryProperties, GetBackendRuntimeLibraryName.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from tritonrepo.diagnostics import Severity, either, nearest
from tritonrepo.pbtxt.nodes import Placed
from tritonrepo.releases import RELEASES
from tritonrepo.repository import Model
from tritonrepo.repository.once import once
from tritonrepo.rules.fields.runtimes import exists
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage

TENSORFLOW = "tensorflow-backend"
SHORT = {"onnx": "onnxruntime", "ort": "onnxruntime", "trt": "tensorrt", "tf": "tensorflow", "torch": "pytorch"}
SHORT |= {"libtorch": "pytorch", "torchscript": "pytorch", "py": "python", "ensemble": "ensemble"}
SIMILAR = 0.75
COMBINE = "combine both images: `tritonrepo adopt`, then `tritonrepo image`, write the Dockerfile."


@cache
def _known() -> frozenset[str]:
    """Return the backends of all images of all releases."""
    return frozenset(name for release in RELEASES.values() for names in release.images.values() for name in names)


@once
def _meant(model: Model) -> str:
    """Return the known backend that the config clearly means; "" if the backend may be custom."""
    written = model.backend
    lower = written.lower()[:99]
    for name in (written, lower, lower.partition("_")[0]):
        if name in _known() or name in SHORT:
            return SHORT.get(name, name)
    return nearest(lower, sorted(_known()), SIMILAR)


def _lacks(model: Model) -> bool:
    """Return whether the backend's library is surely in neither the images nor the model's own directory."""
    backend = model.backend
    if not backend or (backend != "ensemble" and (model.target.own or backend in model.target.backends)):
        return False
    if model.is_ensemble or not model.target.backends or model.config.text("runtime"):
        return False
    if model.parsed is None and not model.served:
        return False
    name = f"libtriton_{backend}.so"
    if exists(model, name):
        return False
    return not model.served or any(not exists(model, f"{v}/{name}") for v in model.served)


def _place(model: Model) -> Placed | None:
    for name in ("backend", "platform", "default_model_filename"):
        field = model.config.get(name)
        if field is not None and field.values:
            return field.value
    return None


def _elsewhere(model: Model) -> str:
    """Return a hint that names the last release before the target with the backend, or else the first."""
    having = [
        (name, image)
        for name in sorted(RELEASES)
        for image, backends in RELEASES[name].images.items()
        if model.backend in backends
    ]
    earlier = [each for each in having if each[0] < model.target.release.name]
    name, image = earlier[-1] if earlier else having[0]
    place = "last known" if earlier else "first known"
    return f"Use Triton {name} (image {image}), the {place} release with this backend."


def _no_library(model: Model) -> str:
    return (
        f"unable to find backend library for backend '{model.backend}', "
        "try specifying runtime on the model configuration."
    )


@rule("backend-not-available", Severity.ERROR, at=Stage.LOAD.after("runtime-python-without-backend"))
def backend_not_available(model: Model) -> Iterator[Finding]:
    """The target's images must contain the model's backend."""
    if not _lacks(model) or _is_tensorflow_gone(model):
        return
    meant, release = _meant(model), model.target.release
    if not meant:
        return
    images = [image for image, backends in release.images.items() if model.backend in backends]
    if model.backend == "ensemble":
        message, hint = '"ensemble" is a platform, not a backend', 'Use `platform: "ensemble"` instead.'
    elif images:
        message = f'no selected Triton {release.name} image has the backend "{model.backend}"'
        hint = f"Serve the model from image {images[0]} (`--image {images[0]}`), or {COMBINE}"
        if model.target.in_stack:
            hint = f'Add "{images[0]}" to images in target. `tritonrepo image` then prints the Dockerfile.'
    else:
        message = f'no Triton {release.name} image has a backend named "{model.backend}"'
        hint = f'Did you mean "{meant}"?' if meant != model.backend else _elsewhere(model)
    yield Finding(_place(model), message, hint=hint, reason=_no_library(model))


# A backend that no stock image has may be in the user's own, so this comes after everything that the core checks.
@rule("backend-library-not-found", Severity.ERROR, at=Stage.BACKEND.first)
def library_not_found(model: Model) -> Iterator[Finding]:
    """A custom backend must be in the model's directory or in your own image."""
    if _lacks(model) and not _meant(model):
        own = f"add {model.backend} to backends in target" if model.target.in_stack else model.target.says_own
        yield Finding(
            _place(model),
            f'no Triton image has a backend named "{model.backend}"',
            hint=f"Add libtriton_{model.backend}.so to {model.name}/. If your own image has it, {own}.",
            reason=_no_library(model),
        )


@rule("backend-reported-missing", Severity.WARNING)
def reported_missing(model: Model) -> Iterator[Finding]:
    """The target's images should contain the model's backend also according to those who run them."""
    release, backend = model.target.release, model.backend
    if backend not in release.absent or backend not in model.target.backends:
        return
    fine = [name for name in sorted(RELEASES) if backend not in RELEASES[name].absent]
    near = [*[name for name in fine if name < release.name][-1:], *[name for name in fine if name > release.name][:1]]
    yield Finding(
        _place(model),
        f'the images of Triton {release.name} are reported to lack the backend "{backend}"',
        hint=f"Use Triton {either(near)}, or check that /opt/tritonserver/backends/{backend} exists in your image.",
    )


def _is_tensorflow_gone(model: Model) -> bool:
    return model.backend == "tensorflow" and not model.target.release.has(TENSORFLOW)


@rule("tensorflow-gone", Severity.ERROR, at=Stage.LOAD.after("backend-not-available"))
def tensorflow_gone(model: Model) -> Iterator[Finding]:
    """TensorFlow models must run on Triton 25.02 or earlier."""
    if _is_tensorflow_gone(model) and _lacks(model):
        release = model.target.release.name
        last = max(name for name, each in RELEASES.items() if each.has(TENSORFLOW))
        yield Finding(
            _place(model),
            f"no Triton {release} image has the TensorFlow backend; {last} was the last release with it",
            hint=f"Use Triton {last}, or convert the model to ONNX.",
            reason=_no_library(model),
        )
