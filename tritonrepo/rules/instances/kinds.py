"""Kinds, counts and names of instance groups."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.pbtxt.editor import change
from tritonrepo.repository import Model
from tritonrepo.rules.instances.groups import AUTO, CPU, GPU, MODEL, groups, reason
from tritonrepo.rules.mending import edited
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage

TWO_ON_CPU = ("onnxruntime", "tensorflow")


@rule("kind-unknown", Severity.ERROR, "instance_group", at=Stage.LOAD.same_walk("kind-gpu-bad-id"))
def unknown(model: Model) -> Iterator[Finding]:
    """The kind of an instance group must be one of the four that Triton knows."""
    for group in groups(model):
        if group.kind not in {CPU, GPU, MODEL}:
            yield Finding(
                group.at_kind,
                f"unknown kind {group.kind}",
                hint="Use KIND_AUTO, KIND_GPU, KIND_CPU or KIND_MODEL.",
                reason=reason(group, model, f"has unexpected kind {AUTO}"),
                item=group.item,
            )


@rule("instance-count-not-positive", Severity.WARNING, "*.count")
def count_not_positive(model: Model) -> Iterator[Finding]:
    """The count of an instance group should be at least 1."""
    for group in groups(model):
        for count in group.node.scalars("count"):
            if isinstance(count.data, int) and count.data < 1:
                default = 2 if group.kind == CPU and model.backend in TWO_ON_CPU else 1
                message = f"count should be at least 1, not {count.data}; Triton uses the default, {default}"
                fix = edited(model, change(count, group.node.kind.fields["count"], default), safe=False)
                hint = "Set count to the number of instances, or remove the group."
                yield Finding(count, message, hint=hint, fix=fix)


@rule("only-passive-instances", Severity.WARNING, "*.passive")
def only_passive(model: Model) -> Iterator[Finding]:
    """A model should have an instance that is not passive."""
    found = list(groups(model))
    if found and all(group.node.flag("passive") for group in found):
        place = found[0].node.scalars("passive")[-1]
        message = "every instance is passive, so the model never answers a request"
        yield Finding(place, message, hint="Remove passive from at least one group.")


@rule("instance-names-equal", Severity.INFO, "instance_group")
def names_equal(model: Model) -> Iterator[Finding]:
    """Triton accepts instance groups with the same name."""
    seen = set()
    for group in groups(model):
        if group.name in seen:
            place = next(reversed(group.node.scalars("name")), group.node)
            yield Finding(
                place, f'another group already has the name "{group.name}"', hint="Set name to a unique value."
            )
        seen.add(group.name)


@rule("mixed-kinds", Severity.INFO, "instance_group")
def mixed(model: Model) -> Iterator[Finding]:
    """Triton assigns requests to instances regardless of their kind."""
    found = [group for group in groups(model) if group.kind in {CPU, GPU, MODEL} and not group.node.flag("passive")]
    other = next((group for group in found if group.kind != found[0].kind), None)
    if other is not None:
        message = f"this group is {other.kind}, but the first one is {found[0].kind}"
        yield Finding(other.at_kind, message, hint="Use one kind unless both should receive requests equally.")
