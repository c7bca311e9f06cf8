"""Kinds, counts and names of instance groups."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.repository import Model
from tritonrepo.rules.instances.groups import AUTO, CPU, GPU, MODEL, groups, reason
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage

TWO_ON_CPU = ("onnxruntime", "tensorflow")


@rule("kind-unknown", Severity.ERROR, "instance_group", at=Stage.LOAD.same_walk("kind-gpu-bad-id"))
def unknown(model: Model) -> Iterator[Finding]:
    """A kind that is written as a number is one of the enum's.

    Why:
        The text is read with any number; the server refuses the group later, and calls its kind KIND_AUTO whatever
        was written.
    Source:
        core, src/model_config_utils.cc, ValidateInstanceGroup
    Bad:
        -- embedder/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        instance_group { kind: 9 }
        -- embedder/1/weights --
    Says:
        embedder/config.pbtxt:4:24: error: there is no kind 9 [kind-unknown]
          Write KIND_AUTO, KIND_GPU, KIND_CPU or KIND_MODEL.
    Server says:
        instance group embedder_0 of model embedder has unexpected kind KIND_AUTO
    Good:
        -- embedder/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        instance_group { kind: KIND_CPU }
        -- embedder/1/weights --
    """
    for group in groups(model):
        if group.kind not in {CPU, GPU, MODEL}:
            yield Finding(
                group.at_kind,
                f"there is no kind {group.kind}",
                hint="Write KIND_AUTO, KIND_GPU, KIND_CPU or KIND_MODEL.",
                reason=reason(group, model, f"has unexpected kind {AUTO}"),
                item=group.item,
            )


@rule("instance-count-not-positive", Severity.WARNING, "*.count")
def count_not_positive(model: Model) -> Iterator[Finding]:
    """A group's count is at least 1.

    Why:
        0 does not switch a group off, and a negative number is not refused: the server takes its default.
    Source:
        core, src/model_config_utils.cc, NormalizeInstanceGroup, SetDefaultInstanceCount
    Bad:
        -- embedder/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        instance_group { kind: KIND_CPU count: 0 }
        -- embedder/1/weights --
    Says:
        embedder/config.pbtxt:4:40: warning: count 0 is taken as the default, 1 [instance-count-not-positive]
          Write how many instances there are to be, or drop the group.
    Good:
        -- embedder/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        instance_group { kind: KIND_CPU count: 1 }
        -- embedder/1/weights --
    """
    for group in groups(model):
        for count in group.node.scalars("count"):
            if isinstance(count.data, int) and count.data < 1:
                default = 2 if group.kind == CPU and model.backend in TWO_ON_CPU else 1
                hint = "Write how many instances there are to be, or drop the group."
                yield Finding(count, f"count {count.data} is taken as the default, {default}", hint=hint)


@rule("only-passive-instances", Severity.WARNING, "*.passive")
def only_passive(model: Model) -> Iterator[Finding]:
    """A model has an instance that is not passive.

    Why:
        Passive instances are loaded and never run: the model is READY and no request of it is ever answered.
    Source:
        core, src/backend_model_instance.cc, ConstructAndInitializeInstance; loads in 24.10
    Bad:
        -- embedder/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        instance_group { kind: KIND_CPU passive: true }
        -- embedder/1/weights --
    Says:
        embedder/config.pbtxt:4:42: warning: all instances are passive, so no request is ever answered [only-passive-instances]
          Drop passive of one group.
    Good:
        -- embedder/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        instance_group [ { kind: KIND_CPU }, { kind: KIND_CPU passive: true } ]
        -- embedder/1/weights --
    """
    found = list(groups(model))
    if found and all(group.node.flag("passive") for group in found):
        place = found[0].node.scalars("passive")[-1]
        yield Finding(
            place, "all instances are passive, so no request is ever answered", hint="Drop passive of one group."
        )


@rule("instance-names-equal", Severity.INFO, "instance_group")
def names_equal(model: Model) -> Iterator[Finding]:
    """Groups have names of their own.

    Why:
        Triton takes two groups of one name; log and traces do not tell their instances apart then.
    Source:
        core, src/model_config_utils.cc, ValidateInstanceGroup: no check of names; loads in 24.10
    Bad:
        -- embedder/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        instance_group [ { name: "cpu" kind: KIND_CPU }, { name: "cpu" kind: KIND_CPU count: 2 } ]
        -- embedder/1/weights --
    Says:
        embedder/config.pbtxt:4:58: info: there is a group "cpu" already [instance-names-equal]
          Give it a name of its own.
    Good:
        -- embedder/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        instance_group [ { name: "cpu" kind: KIND_CPU }, { name: "more" kind: KIND_CPU count: 2 } ]
        -- embedder/1/weights --
    """
    seen = set()
    for group in groups(model):
        if group.name in seen:
            place = next(reversed(group.node.scalars("name")), group.node)
            yield Finding(place, f'there is a group "{group.name}" already', hint="Give it a name of its own.")
        seen.add(group.name)


@rule("mixed-kinds", Severity.INFO, "instance_group")
def mixed(model: Model) -> Iterator[Finding]:
    """Groups of one model are of one kind.

    Why:
        The core takes any mixture, and gives requests to CPU and GPU instances alike, so that some take many times as
        long as others. Some backends refuse it.
    Source:
        core, src/model_config_utils.cc, ValidateInstanceGroup: no check; loads in 24.10
    Bad:
        -- embedder/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        instance_group [ { kind: KIND_CPU }, { kind: KIND_MODEL } ]
        -- embedder/1/weights --
    Says:
        embedder/config.pbtxt:4:46: info: a group of KIND_MODEL beside one of KIND_CPU [mixed-kinds]
          Are requests meant to go to both alike?
    Good:
        -- embedder/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        instance_group [ { kind: KIND_CPU }, { kind: KIND_CPU } ]
        -- embedder/1/weights --
    """
    found = [group for group in groups(model) if group.kind in {CPU, GPU, MODEL}]
    other = next((group for group in found if group.kind != found[0].kind), None)
    if other is not None:
        message = f"a group of {other.kind} beside one of {found[0].kind}"
        yield Finding(other.at_kind, message, hint="Are requests meant to go to both alike?")
