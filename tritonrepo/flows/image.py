"""The pipeline of `image`: a stack becomes the Dockerfile of the image that serves it."""

from __future__ import annotations

import re
import shlex

from tritonrepo.diagnostics import Diagnostic, Severity, Span, Stop
from tritonrepo.flows.stack import Loaded
from tritonrepo.generate import dockerfile
from tritonrepo.generate.dockerfile import Image
from tritonrepo.releases import RELEASES, is_own
from tritonrepo.spec import forms
from tritonrepo.spec.stack import Stack

RULE = "image-unknown"
NOT_OF_A_TAG = re.compile(r"[^a-z0-9]+")


def image(loaded: Loaded) -> Image:
    """Return the image that has every backend of a stack; raise Stop if the target's images cannot be combined to it.

    Dependencies of other images than Python packages and backends are not looked at.
    """
    stack = loaded.stack
    found = dockerfile.image(stack)
    if found is None and (own := [*filter(is_own, stack.target.images)]):
        hint = "Build that image as before, or list only images of Triton in images to get a Dockerfile."
        raise _stop(stack, "images", f'the image "{own[0]}" is one of your own', hint)
    if found is None:
        message = f"the backends of the images of Triton {stack.target.release} are not known yet"
        raise _stop(stack, "release", message, "Set release to an earlier one, or write the Dockerfile by hand.")
    if found.absent:
        names = " and ".join(f'"{name}"' for name in found.absent)
        message = f"the target's images lack the backend {names}"
        raise _stop(
            stack,
            "images",
            message,
            "Add an image that has it to images. If your own image has it, add it to backends.",
        )
    if message := _no_scheduler(stack, found):
        first = min(name for name, each in RELEASES.items() if "ensemble" in each.images.get(found.base, ()))
        hint = f"Use Triton {first} or later, or make the pipelines Python models: `form: bls`."
        raise _stop(stack, "release", message, hint)
    return found


def advice(loaded: Loaded) -> str:
    """Return what to know about the image of a stack if no single Triton image serves it, "" if one does."""
    found = dockerfile.image(loaded.stack)
    if found is None:
        return ""
    if message := _no_scheduler(loaded.stack, found):
        return f"{message}, but this stack has one; `{command(loaded)}` says what to change"
    said = "no single Triton image has every backend of this stack"
    return f"{said}; `{command(loaded)}` prints the Dockerfile of one that does" if found.copies else ""


def _no_scheduler(stack: Stack, found: Image) -> str:
    """Return what is wrong if the stack has an ensemble and the server of its image does not run any, otherwise ""."""
    own = (
        getattr(model, "platform", None) or getattr(model, "config", {}).get("platform")
        for model in stack.models.values()
    )
    if found.runs_ensembles or forms.ENSEMBLE not in {*own, *(form for _, form, _ in forms.forms(stack))}:
        return ""
    return f"the server in image {found.base} of Triton {found.release} does not run ensembles"


def command(loaded: Loaded) -> str:
    """Return the command that prints the Dockerfile of a stack."""
    return shlex.join(["tritonrepo", "image", *(word for path in loaded.paths for word in ("-f", str(path)))])


def build_line(loaded: Loaded) -> str:
    """Return the command that builds the image of a stack."""
    stack = loaded.stack
    name = NOT_OF_A_TAG.sub("-", stack.name.lower()).strip("-")[:128] or "triton"
    return f"{command(loaded)} | docker build -t {name}:{stack.target.release} -"


def _stop(stack: Stack, key: str, message: str, hint: str) -> Stop:
    at = stack.target.places.get(key, stack.places.get("target", stack.places.get("", Span(""))))
    return Stop([Diagnostic(RULE, Severity.ERROR, at, message, hint)])
