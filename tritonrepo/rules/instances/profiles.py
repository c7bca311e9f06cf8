"""TensorRT's optimization profiles, and its further devices."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tritonrepo.diagnostics import Severity, State
from tritonrepo.pbtxt import Scalar
from tritonrepo.repository import Model
from tritonrepo.rules.instances.groups import Group, groups, reason
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage

TENSORRT = "tensorrt_plan"
NUMBER = re.compile(r"[ \t\n\v\f\r]*([+-]?[0-9]+)")
"""What C++'s stoi reads; what follows is not looked at."""

LIMITS = (-(1 << 31), (1 << 31) - 1)
MOST_DIGITS = 20
WITHOUT_DEVICES = frozenset({"python", "onnxruntime", "pytorch", "openvino", "tensorflow", "identity", "vllm"})
"""Backends whose sources never ask for TRITONBACKEND_ModelInstanceSecondaryDeviceCount."""


def profiles(model: Model) -> Iterator[tuple[Group, Scalar, int, int | None]]:
    """Yield the profiles of a TensorRT model: group, text, when the server comes to it, the number that it is read as.

    A number of too many digits is given as one that is out of range.
    """
    for group in groups(model) if model.inferred.platform == TENSORRT else ():
        for number, profile in enumerate(group.node.scalars("profile"), 1):
            match = NUMBER.match(str(profile.data))
            value = match[1] if match else ""
            short = value[:1].strip("0123456789") + value.lstrip("+-").lstrip("0")[:MOST_DIGITS].rjust(1, "0")
            yield group, profile, group.item + number, int(short) if match else None


@rule("profile-not-tensorrt", Severity.ERROR, "*.profile", at=Stage.LOAD.same_walk("kind-unknown"))
def not_tensorrt(model: Model) -> Iterator[Finding]:
    """Only TensorRT models have profiles.

    Why:
        A profile picks one of the optimization profiles of a TensorRT engine; the server refuses it for other models.
    Source:
        core, src/model_config_utils.cc, ValidateInstanceGroup
    Bad:
        -- embedder/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        instance_group { kind: KIND_CPU profile: "0" }
        -- embedder/1/weights --
    Says:
        embedder/config.pbtxt:4:33: error: profile in a model of identity [profile-not-tensorrt]
          Drop profile: only TensorRT models have optimization profiles.
    Server says:
        instance group embedder_0 of model embedder and platform specifies profile field which is only supported for TensorRT models
    Good:
        -- embedder/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        instance_group { kind: KIND_CPU }
        -- embedder/1/weights --
    """
    for group in groups(model):
        written = group.node.get("profile")
        platform = model.inferred.platform
        if model.backend and written is not None and written.values and platform != TENSORRT:
            words = f"and platform {platform}specifies profile field which is only supported for TensorRT models"
            hint = "Drop profile: only TensorRT models have optimization profiles."
            yield Finding(
                written,
                f"profile in a model of {model.backend}",
                hint=hint,
                reason=reason(group, model, words),
                item=group.item,
            )


@rule("profile-not-number", Severity.ERROR, "*.profile", at=Stage.LOAD.same_walk("profile-not-tensorrt"))
def not_number(model: Model) -> Iterator[Finding]:
    """A profile is the number of one, as a text.

    Why:
        Profiles are numbered from 0, and the server reads the text as a number. What follows one is not looked at: "1x"
        is 1.
    Source:
        core, src/model_config_utils.cc, GetProfileIndex, ValidateInstanceGroup
    Bad:
        -- embedder/config.pbtxt --
        platform: "tensorrt_plan"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        instance_group { kind: KIND_CPU profile: "fast" }
        -- embedder/1/model.plan --
    Says:
        embedder/config.pbtxt:4:42: error: the profile "fast" is no number [profile-not-number]
          Write the number of an optimization profile, from 0, as a text: "0".
    Server says:
        unable to parse 'fast': stoi
    Good:
        -- embedder/config.pbtxt --
        platform: "tensorrt_plan"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        instance_group { kind: KIND_CPU profile: "1" }
        -- embedder/1/model.plan --
    """
    for group, profile, item, value in profiles(model):
        text = str(profile.data)
        below = f"and platform {TENSORRT} specifies invalid profile {text}."
        hint = 'Write the number of an optimization profile, from 0, as a text: "0".'
        if not text:
            yield Finding(profile, "an empty profile", hint=hint, reason="profile name must not be empty", item=item)
        elif value is None:
            yield Finding(
                profile,
                f'the profile "{text}" is no number',
                hint=hint,
                reason=f"unable to parse '{text}': stoi",
                item=item,
            )
        elif LIMITS[0] <= value < 0:
            words = "The field should contain the string representation of a non-negative integer."
            message = f"the profile {text} is negative"
            yield Finding(profile, message, hint=hint, reason=reason(group, model, f"{below} {words}"), item=item)


@rule(
    "profile-out-of-range",
    Severity.ERROR,
    "*.profile",
    at=Stage.LOAD.same_walk("profile-not-number"),
    state=State.CRASH,
)
def out_of_range(model: Model) -> Iterator[Finding]:
    """A profile's number fits into 32 bits.

    Why:
        The server reads the number with a function that fails on larger ones, does not catch that, and ends: every
        other model is gone with it.
    Source:
        core, src/model_config_utils.cc, GetProfileIndex; seen in 24.10: signal 6
    Bad:
        -- embedder/config.pbtxt --
        platform: "tensorrt_plan"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        instance_group { kind: KIND_CPU profile: "4294967296" }
        -- embedder/1/model.plan --
    Says:
        embedder/config.pbtxt:4:42: error: the profile "4294967296" does not fit into 32 bits: reading it ends the whole server [profile-out-of-range]
          Write the number of an optimization profile, from 0.
    Server says:
        what():  stoi
    Good:
        -- embedder/config.pbtxt --
        platform: "tensorrt_plan"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        instance_group { kind: KIND_CPU profile: "4" }
        -- embedder/1/model.plan --
    """
    for _, profile, item, value in profiles(model):
        if value is not None and not LIMITS[0] <= value <= LIMITS[1]:
            message = f'the profile "{profile.data}" does not fit into 32 bits: reading it ends the whole server'
            yield Finding(
                profile,
                message,
                hint="Write the number of an optimization profile, from 0.",
                reason="what():  stoi",
                item=item,
            )


@rule("secondary-devices", Severity.INFO, "*.secondary_devices")
def secondary_devices(model: Model) -> Iterator[Finding]:
    """secondary_devices are for backends that use them.

    Why:
        TensorRT runs parts of a model on an NVDLA core; other backends of Triton never ask for these devices.
    Source:
        tensorrt_backend, src/instance_state.cc, ModelInstanceState::Create; other backends' sources do not have it
    Bad:
        -- embedder/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        instance_group { kind: KIND_CPU secondary_devices { kind: KIND_NVDLA device_id: 0 } }
        -- embedder/1/weights --
    Says:
        embedder/config.pbtxt:4:33: info: identity never asks for secondary_devices [secondary-devices]
          Drop them.
    Good:
        -- embedder/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        instance_group { kind: KIND_CPU }
        -- embedder/1/weights --
    """
    for group in groups(model) if model.backend in WITHOUT_DEVICES else ():
        written = group.node.get("secondary_devices")
        if written is not None and written.values:
            yield Finding(written, f"{model.backend} never asks for secondary_devices", hint="Drop them.")
