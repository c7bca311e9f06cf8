"""States that grow in GPU memory."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.repository import Model
from tritonrepo.rules.instances.groups import GPU, groups
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.scheduling.states import states


@rule("growable-needs-single-buffer", Severity.WARNING, "sequence_batching")
def needs_single_buffer(model: Model) -> Iterator[Finding]:
    """use_growable_memory needs use_same_buffer_for_input_output."""
    for state in states(model):
        if state.flag("use_growable_memory") and not state.flag("use_same_buffer_for_input_output"):
            words = "In order to 'use_growable_memory', you must also enable 'use_single_buffer' for state input name"
            yield Finding(
                state.scalars("use_growable_memory")[-1],
                "use_growable_memory without use_same_buffer_for_input_output: the state is not kept",
                hint="Write use_same_buffer_for_input_output: true, or drop use_growable_memory.",
                reason=f"{words} '{state.text('input_name')}'.",
            )


@rule("growable-needs-gpu", Severity.WARNING, "sequence_batching")
def needs_gpu(model: Model) -> Iterator[Finding]:
    """use_growable_memory needs instances on GPUs."""
    other = next((group.kind for group in groups(model) if group.kind != GPU), None)
    if other is None and (model.target.gpus or model.config.all("instance_group")):
        return
    for state in states(model):
        if state.flag("use_growable_memory"):
            words = "'use_growable_memory' can only work with KIND_GPU model instances right now."
            yield Finding(
                state.scalars("use_growable_memory")[-1],
                f"use_growable_memory with instances of {other or 'a machine without GPU'}: the state is not kept",
                hint="Write instance_group { kind: KIND_GPU }, or drop use_growable_memory.",
                reason=words,
            )
