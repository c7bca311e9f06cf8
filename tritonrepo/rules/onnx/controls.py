"""Controls of sequences that an ONNX graph receives as inputs.

Source: onnxruntime_backend, src/onnxruntime.cc, ModelInstanceState::ValidateBooleanSequenceControl and
ValidateTypedSequenceControl; src/onnxruntime_utils.cc, OnnxDataTypeName.
"""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity, nearest
from tritonrepo.repository import Model
from tritonrepo.repository.sessions import Session, sessions
from tritonrepo.rules.onnx.compared import MOST, graph_of, shape
from tritonrepo.rules.onnx.counted import Control, besides, controls
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.scheduling.controls import name_of
from tritonrepo.rules.stages import Stage

ONNX_NAMES = {"FP16": "FLOAT16", "FP32": "FLOAT", "FP64": "DOUBLE", "BF16": "BFLOAT16"}
"""ONNX Runtime's own names of types, where they differ."""


@rule(
    "onnx-sequence-control-missing",
    Severity.ERROR,
    "sequence_batching",
    at=Stage.INSTANCE.after("onnx-cpu-accelerator-name"),
)
def missing(model: Model) -> Iterator[Finding]:
    """A control of sequences must be an input of the ONNX graph."""
    for session, control in _controls(model):
        if control.name not in session.inputs:
            taken = {tensor.name for tensor in model.tensors} | set(besides(model))
            free = [name for name in session.inputs if name not in taken]
            meant = free[0] if len(free) == 1 else nearest(control.name, free[:MOST])
            yield Finding(
                name_of(control.node),
                f'{graph_of(model, session)} has no input "{control.name}" to receive this control',
                hint=f'Did you mean "{meant}"?' if meant else "Remove this control_input, or export a graph with it.",
                reason=f"configuration specified sequence control '{control.name}', but model does not provide that "
                "input",
                item=control.turn,
            )


@rule(
    "onnx-sequence-control-shape",
    Severity.ERROR,
    "sequence_batching",
    at=Stage.INSTANCE.same_walk("onnx-sequence-control-missing"),
)
def unfit(model: Model) -> Iterator[Finding]:
    """A control of sequences must have shape [1] after the batch in the ONNX graph, and its type."""
    for session, control in _controls(model):
        value = session.inputs.get(control.name)
        if value is None or value.dims is None or session.max_batch_size is None:
            continue
        dims, start = value.dims[1 if session.max_batch_size else 0 :], f"unable to load model '{model.name}', "
        graph = f'"{control.name}" in {graph_of(model, session)}'
        if dims != (1,):
            yield Finding(
                name_of(control.node),
                f"{graph} has shape {shape(dims)} after the batch, but a control has [1]",
                hint="Export the graph with shape [-1,1] for this input, or [1] without batching.",
                reason=f"{start}sequence control '{control.name}' in model has dims {shape(dims)} but dims [1] is "
                "expected",
                item=control.turn,
            )
        elif value.data_type is not None and control.data_type not in {"", f"TYPE_{value.data_type}"}:
            yield Finding(
                name_of(control.node),
                f"{graph} has TYPE_{value.data_type}, but this control has {control.data_type}",
                hint=_retyped(control, value.data_type),
                reason=f"{start}sequence control '{control.name}', the model expects data-type "
                f"{ONNX_NAMES.get(value.data_type, value.data_type)} but the model configuration specifies data-type "
                f"{control.data_type}",
                item=control.turn,
            )


def _controls(model: Model) -> Iterator[tuple[Session, Control]]:
    """Yield the controls with the first version's session that has a fault of its own kind, and the others' once."""
    seen = set[tuple[str, object]]()
    for session in sessions(model):
        for control in controls(model):
            facts = (control.name, session.inputs.get(control.name))
            if control.name and facts not in seen:
                seen.add(facts)
                yield session, control


def _retyped(control: Control, data_type: str) -> str:
    pair = {"INT32": "int32_false_true", "FP32": "fp32_false_true", "BOOL": "bool_false_true"}.get(data_type)
    if control.data_type in {"TYPE_INT32", "TYPE_FP32", "TYPE_BOOL"} and pair:
        return f"Write the values of this control as {pair}."
    return f"Set `data_type: TYPE_{data_type}`, or export a graph with the type of the control."
