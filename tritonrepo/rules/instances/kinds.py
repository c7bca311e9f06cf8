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
    """A kind that is written as a number is one of the enum's."""
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
    """A group's count is at least 1."""
    for group in groups(model):
        for count in group.node.scalars("count"):
            if isinstance(count.data, int) and count.data < 1:
                default = 2 if group.kind == CPU and model.backend in TWO_ON_CPU else 1
                hint = "Write how many instances there are to be, or drop the group."
                yield Finding(count, f"count {count.data} is taken as the default, {default}", hint=hint)


@rule("only-passive-instances", Severity.WARNING, "*.passive")
def only_passive(model: Model) -> Iterator[Finding]:
    """A model has an instance that is not passive."""
    found = list(groups(model))
    if found and all(group.node.flag("passive") for group in found):
        place = found[0].node.scalars("passive")[-1]
        yield Finding(
            place, "all instances are passive, so no request is ever answered", hint="Drop passive of one group."
        )


@rule("instance-names-equal", Severity.INFO, "instance_group")
def names_equal(model: Model) -> Iterator[Finding]:
    """Groups have names of their own."""
    seen = set()
    for group in groups(model):
        if group.name in seen:
            place = next(reversed(group.node.scalars("name")), group.node)
            yield Finding(place, f'there is a group "{group.name}" already', hint="Give it a name of its own.")
        seen.add(group.name)


@rule("mixed-kinds", Severity.INFO, "instance_group")
def mixed(model: Model) -> Iterator[Finding]:
    """Groups of one model are of one kind."""
    found = [group for group in groups(model) if group.kind in {CPU, GPU, MODEL}]
    other = next((group for group in found if group.kind != found[0].kind), None)
    if other is not None:
        message = f"a group of {other.kind} beside one of {found[0].kind}"
        yield Finding(other.at_kind, message, hint="Are requests meant to go to both alike?")
