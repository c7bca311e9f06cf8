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
    """use_growable_memory needs use_same_buffer_for_input_output.

    Why:
        The model loads and answers, but its state is not kept; only the log says so when a sequence begins, and calls
        the field use_single_buffer.
    Source:
        core, src/sequence_state.cc, SequenceStates::Initialize
    Bad:
        -- tracker/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        sequence_batching {
          state {
            input_name: "LAST" output_name: "NEXT" data_type: TYPE_FP32 dims: [ -1 ]
            use_growable_memory: true
          }
        }
        instance_group { kind: KIND_GPU }
        -- tracker/1/weights --
    Run with:
        --gpus 1
    Says:
        tracker/config.pbtxt:8:26: warning: use_growable_memory without use_same_buffer_for_input_output: the state is not kept [growable-needs-single-buffer]
          Write use_same_buffer_for_input_output: true, or drop use_growable_memory.
    Good:
        -- tracker/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        sequence_batching {
          state {
            input_name: "LAST" output_name: "NEXT" data_type: TYPE_FP32 dims: [ -1 ]
            use_growable_memory: true use_same_buffer_for_input_output: true
          }
        }
        instance_group { kind: KIND_GPU }
        -- tracker/1/weights --
    """
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
    """use_growable_memory needs instances on GPUs.

    Why:
        The model loads and answers, but on other instances its state is not kept; only the log says so when a sequence
        begins.
    Source:
        core, src/sequence_state.cc, SequenceStates::Initialize
    Bad:
        -- tracker/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        sequence_batching {
          state {
            input_name: "LAST" output_name: "NEXT" data_type: TYPE_FP32 dims: [ -1 ]
            use_growable_memory: true use_same_buffer_for_input_output: true
          }
        }
        instance_group { kind: KIND_CPU }
        -- tracker/1/weights --
    Says:
        tracker/config.pbtxt:8:26: warning: use_growable_memory with instances of KIND_CPU: the state is not kept [growable-needs-gpu]
          Write instance_group { kind: KIND_GPU }, or drop use_growable_memory.
    Good:
        -- tracker/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        sequence_batching {
          state {
            input_name: "LAST" output_name: "NEXT" data_type: TYPE_FP32 dims: [ -1 ]
            use_same_buffer_for_input_output: true
          }
        }
        instance_group { kind: KIND_CPU }
        -- tracker/1/weights --
    """
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
