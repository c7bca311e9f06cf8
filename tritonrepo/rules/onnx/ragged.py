"""Inputs with allow_ragged_batch, whose values the backend puts one after another, without a batch dimension.

Source: onnxruntime_backend, src/onnxruntime.cc, ModelInstanceState::ValidateInputs.
"""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.repository import Model
from tritonrepo.rules.onnx.compared import Pair, found, place, shape
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage


@rule("onnx-ragged-optional", Severity.ERROR, "*.allow_ragged_batch", at=Stage.INSTANCE.same_walk("onnx-output-dtype"))
def ragged_optional(model: Model) -> Iterator[Finding]:
    """An input of an ONNX model cannot be both optional and ragged."""

    def check(pair: Pair) -> Finding | None:
        tensor = pair.tensor
        both = tensor.flag("optional") and tensor.flag("allow_ragged_batch")
        if not both or pair.session.max_batch_size or tensor.name in pair.session.inputs:
            return None
        return Finding(
            place(tensor, "allow_ragged_batch"),
            f"{pair.name} is optional, so it cannot have allow_ragged_batch",
            hint="Remove allow_ragged_batch.",
            reason=f"for ragged input '{tensor.name}', which is not supported for optional input",
        )

    return found(model, check, "input")


@rule("onnx-ragged-shape", Severity.ERROR, "*.allow_ragged_batch", at=Stage.INSTANCE.same_walk("onnx-ragged-optional"))
def ragged_shape(model: Model) -> Iterator[Finding]:
    """A ragged input must have shape [-1] in the ONNX graph."""

    def check(pair: Pair) -> Finding | None:
        dims, tensor = pair.value.dims or (), pair.tensor
        if not tensor.flag("allow_ragged_batch") or tensor.flag("optional") or dims == (-1,):
            return None
        return Finding(
            place(tensor, "allow_ragged_batch"),
            f"{pair.name} has allow_ragged_batch, but {pair.graph} has shape {shape(dims)}, not [-1]",
            hint="Remove allow_ragged_batch, or export a graph whose input has one variable dimension.",
            reason=f"{pair.prefix}configuration expects model provides input with shape [-1]  for ragged input "
            f"'{tensor.name}', model provides {shape(dims)}",
        )

    return found(model, check, "input")
