"""Optimization profiles and secondary devices, which are for TensorRT."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tritonrepo.diagnostics import Severity, State
from tritonrepo.pbtxt import Scalar
from tritonrepo.repository import Model
from tritonrepo.rules.instances.groups import Group, groups, reason
from tritonrepo.rules.mending import edited, unset
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage

TENSORRT = "tensorrt_plan"
NUMBER = re.compile(r"[ \t\n\v\f\r]*([+-]?[0-9]+)")
"""What C++'s stoi reads; it ignores what follows."""

INDEX = 'Set profile to the index of an optimization profile, such as "0" for the first.'

LIMITS = (-(1 << 31), (1 << 31) - 1)
MOST_DIGITS = 20
WITHOUT_DEVICES = frozenset({"python", "onnxruntime", "pytorch", "openvino", "tensorflow", "identity", "vllm"})
"""Backends whose sources never ask for TRITONBACKEND_ModelInstanceSecondaryDeviceCount."""


def profiles(model: Model) -> Iterator[tuple[Group, Scalar, int, int | None]]:
    """Yield the profiles of a TensorRT model: group, text, when the server reaches it, the number that it is read as.

    A number with too many digits becomes one that is out of range.
    """
    for group in groups(model) if model.inferred.platform == TENSORRT else ():
        for number, profile in enumerate(group.node.scalars("profile"), 1):
            match = NUMBER.match(str(profile.data))
            value = match[1] if match else ""
            short = value[:1].strip("0123456789") + value.lstrip("+-").lstrip("0")[:MOST_DIGITS].rjust(1, "0")
            yield group, profile, group.item + number, int(short) if match else None


@rule("profile-not-tensorrt", Severity.ERROR, "*.profile", at=Stage.LOAD.same_walk("kind-unknown"))
def not_tensorrt(model: Model) -> Iterator[Finding]:
    """A model that does not use TensorRT cannot have a profile."""
    for group in groups(model):
        written = group.node.get("profile")
        platform = model.inferred.platform
        if model.backend and written is not None and written.values and platform != TENSORRT:
            words = f"and platform {platform}specifies profile field which is only supported for TensorRT models"
            message = f'profile is set for backend "{model.backend}", but only TensorRT models have profiles'
            yield Finding(
                written,
                message,
                hint="Remove profile.",
                reason=reason(group, model, words),
                item=group.item,
                fix=edited(model, *unset(group.node, "profile"), safe=True),
            )


@rule("profile-not-number", Severity.ERROR, "*.profile", at=Stage.LOAD.same_walk("profile-not-tensorrt"))
def not_number(model: Model) -> Iterator[Finding]:
    """A profile must be a number of 0 or more, written as a string."""
    for group, profile, item, value in profiles(model):
        text = str(profile.data)
        below = f"and platform {TENSORRT} specifies invalid profile {text}."
        if not text:
            message = "profile must be a number, not an empty string"
            yield Finding(profile, message, hint=INDEX, reason="profile name must not be empty", item=item)
        elif value is None:
            message = f'profile must be a number, not "{text}"'
            yield Finding(profile, message, hint=INDEX, reason=f"unable to parse '{text}': stoi", item=item)
        elif LIMITS[0] <= value < 0:
            words = "The field should contain the string representation of a non-negative integer."
            message = f'profile must be 0 or greater, not "{text}"'
            yield Finding(profile, message, hint=INDEX, reason=reason(group, model, f"{below} {words}"), item=item)


@rule(
    "profile-out-of-range",
    Severity.ERROR,
    "*.profile",
    at=Stage.LOAD.same_walk("profile-not-number"),
    state=State.CRASH,
)
def out_of_range(model: Model) -> Iterator[Finding]:
    """The number of a profile must fit into 32 bits."""
    for _, profile, item, value in profiles(model):
        if value is not None and not LIMITS[0] <= value <= LIMITS[1]:
            message = f'profile "{profile.data}" does not fit into 32 bits, and reading it crashes the server'
            yield Finding(profile, message, hint=INDEX, reason="what():  stoi", item=item)


@rule("secondary-devices", Severity.INFO, "*.secondary_devices")
def secondary_devices(model: Model) -> Iterator[Finding]:
    """Only the TensorRT backend uses secondary_devices."""
    for group in groups(model) if model.backend in WITHOUT_DEVICES else ():
        written = group.node.get("secondary_devices")
        if written is not None and written.values:
            message = f'secondary_devices has no effect because the backend "{model.backend}" never asks for it'
            fix = edited(model, *unset(group.node, "secondary_devices"), safe=True)
            yield Finding(written, message, hint="Remove secondary_devices.", fix=fix)
