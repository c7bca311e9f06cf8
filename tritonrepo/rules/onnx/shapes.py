"""Graphs whose shapes no dims of a config can agree with, or only few: a fixed batch, a dimension of 0, a scalar.

Source: onnxruntime_backend, src/onnxruntime_utils.cc, CompareDimsSupported; src/onnxruntime.cc,
ModelInstanceState::ValidateInputs and ValidateOutputs.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from tritonrepo.diagnostics import Severity
from tritonrepo.repository import Model
from tritonrepo.repository.sessions import VARIABLE
from tritonrepo.rules.onnx.compared import Pair, configured, found, shape, size_of
from tritonrepo.rules.onnx.mismatch import BOTH, at, compared, differences, own
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage


@rule(
    "onnx-batch-dim-not-dynamic",
    Severity.ERROR,
    "backend=onnxruntime",
    at=Stage.INSTANCE.same_walk("onnx-ragged-shape"),
)
def batch_fixed(model: Model) -> Iterator[Finding]:
    """With max_batch_size, the first dimension of every listed tensor must be variable in the ONNX graph."""

    def check(pair: Pair) -> Finding | None:
        value = compared(pair)
        dims = value.dims if value is not None else None
        if not dims or not pair.session.max_batch_size or dims[0] == VARIABLE or pair.session.filled:
            return None
        return Finding(
            size_of(model),
            f"max_batch_size is {pair.session.max_batch_size}, but {pair.name} has shape {shape(dims)} in {pair.graph},"
            " whose first dimension is fixed",
            hint=f"Set `max_batch_size: 0` and complete dims such as `{configured(dims, batching=False)}`, or export "
            "the model with a variable first dimension.",
            reason=f"model '{model.name}', tensor '{pair.tensor.name}': for the model to support batching the shape "
            "should have at least 1 dimension and the first dimension must be -1; but shape expected by the model is "
            f"{shape(dims)}",
        )

    return islice(found(model, check, *BOTH), 1)


@rule("onnx-zero-dim", Severity.ERROR, "backend=onnxruntime", at=Stage.INSTANCE.same_walk("onnx-batch-dim-not-dynamic"))
def zero(model: Model) -> Iterator[Finding]:
    """A dimension in an ONNX graph cannot be 0, because dims of a config cannot."""
    for differs in differences(model):
        if 0 in differs.graph:
            graph = f"{shape(differs.graph)} in {differs.pair.graph}"
            message = f"{differs.pair.name} has shape {graph}, and dims of a config cannot be 0"
            yield differs.finding(message, "Export the model with a variable dimension in place of 0.")


@rule("onnx-scalar-dims", Severity.ERROR, "backend=onnxruntime", at=Stage.INSTANCE.same_walk("onnx-zero-dim"))
def scalar(model: Model) -> Iterator[Finding]:
    """The dims of a tensor that is a scalar in the ONNX graph must be 1."""

    def check(pair: Pair) -> Finding | None:
        value, written = compared(pair), own(pair.tensor)
        if value is None or value.dims != () or all(dim == 1 for dim in written):
            return None
        return Finding(
            at(pair.tensor),
            f"{pair.name} has dims {shape(written)}, but it is a scalar in {pair.graph}",
            hint="Set `dims: [ 1 ]`.",
            reason=f"{pair.prefix}scalar tensor '{pair.tensor.name}', should only provide 1 in the model configuration "
            f"when the model doesn't support batching. Model configuration provided: {shape(written)}.",
        )

    return found(model, check, *BOTH)
