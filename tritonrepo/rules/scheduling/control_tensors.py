"""Control tensors that load and do not do what is meant."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.repository import Model
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.scheduling.controls import name_of, tensors


@rule("control-empty", Severity.WARNING, "sequence_batching")
def empty(model: Model) -> Iterator[Finding]:
    """Every control_input has a control.

    Why:
        Without one the server fills in nothing, and the model waits for a tensor that never comes.
    Source:
        core, src/model_config_utils.cc, GetBooleanSequenceControlProperties; loads in 24.10
    Bad:
        -- tracker/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        sequence_batching { control_input { name: "START" } }
        -- tracker/1/weights --
    Says:
        tracker/config.pbtxt:5:35: warning: the control_input "START" has no control and is never filled in [control-empty]
          Write control { kind: … } with what it is to carry, or drop it.
    Good:
        -- tracker/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        sequence_batching {
          control_input { name: "START" control { kind: CONTROL_SEQUENCE_START int32_false_true: [ 0, 1 ] } }
        }
        -- tracker/1/weights --
    """
    for tensor in tensors(model):
        name = tensor.text("name")
        if name and not tensor.all("control"):
            hint = "Write control { kind: … } with what it is to carry, or drop it."
            yield Finding(tensor, f'the control_input "{name}" has no control and is never filled in', hint=hint)


@rule("control-is-also-input", Severity.WARNING, "sequence_batching")
def also_input(model: Model) -> Iterator[Finding]:
    """A control tensor is not listed among the inputs.

    Why:
        The server fills control tensors in. One that is an input, too, must be sent by the client as well.
    Source:
        server, docs/user_guide/architecture.md, Control Inputs; loads in 24.10
    Bad:
        -- tracker/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        input { name: "START" data_type: TYPE_INT32 dims: [ 1 ] }
        sequence_batching {
          control_input { name: "START" control { kind: CONTROL_SEQUENCE_START int32_false_true: [ 0, 1 ] } }
        }
        -- tracker/1/weights --
    Says:
        tracker/config.pbtxt:7:25: warning: the control tensor "START" is an input, too [control-is-also-input]
          Drop the input: control tensors are no part of what a client sends.
    Good:
        -- tracker/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        sequence_batching {
          control_input { name: "START" control { kind: CONTROL_SEQUENCE_START int32_false_true: [ 0, 1 ] } }
        }
        -- tracker/1/weights --
    """
    inputs = {tensor.text("name") for tensor in model.config.messages("input")}
    for tensor in tensors(model):
        name = tensor.text("name")
        if name and name in inputs and tensor.all("control"):
            hint = "Drop the input: control tensors are no part of what a client sends."
            yield Finding(name_of(tensor), f'the control tensor "{name}" is an input, too', hint=hint)
