"""Image formats, and properties that only a TensorRT plan's tensors can have."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.repository import Model
from tritonrepo.rules.fields.tensors import called
from tritonrepo.rules.mending import edited, unset
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage

PLAN = "tensorrt_plan"
IMAGE_RANK = 3


@rule("format-needs-3-dims", Severity.ERROR, "*.format", at=Stage.IO.same_walk("reshape-segment-differs"))
def format_needs_3_dims(model: Model) -> Iterator[Finding]:
    """An input in an image format must have three dims: height, width and channels."""
    for tensor in model.tensors:
        if "format" in tensor.fields and tensor.dims and len(tensor.dims) != IMAGE_RANK:
            written = tensor.node.enum("format")
            if written in {"FORMAT_NHWC", "FORMAT_NCHW"}:
                yield Finding(
                    tensor.node.get("dims"),
                    f"{called(tensor)} has format {written} and must have 3 dims, not {len(tensor.dims)}",
                    hint="Set dims to the image's 3 dimensions without the batch (max_batch_size), or remove format.",
                    reason=f"model input NHWC/NCHW require 3 dims for {model.config_name}",
                    item=tensor.item,
                )


@rule("shape-tensor-not-tensorrt", Severity.ERROR, "*.is_shape_tensor", at=Stage.IO.same_walk("format-needs-3-dims"))
def shape_tensor(model: Model) -> Iterator[Finding]:
    """A shape tensor must belong to a TensorRT plan."""
    for tensor in model.tensors:
        if tensor.flag("is_shape_tensor") and model.inferred.platform != PLAN:
            yield Finding(
                tensor.fields["is_shape_tensor"],
                f"{called(tensor)} is a shape tensor, but the model is not a TensorRT plan",
                hint="Remove is_shape_tensor.",
                reason=f"shape tensors are only supported for TensorRT platform for {model.config_name}",
                item=tensor.item,
                fix=edited(model, *unset(tensor.node, "is_shape_tensor"), safe=True),
            )


@rule(
    "non-linear-format-not-tensorrt",
    Severity.ERROR,
    "*.is_non_linear_format_io",
    at=Stage.IO.same_walk("shape-tensor-not-tensorrt"),
)
def non_linear(model: Model) -> Iterator[Finding]:
    """A tensor in a non-linear format must belong to a TensorRT plan."""
    for tensor in model.tensors:
        if tensor.flag("is_non_linear_format_io") and model.inferred.platform != PLAN:
            yield Finding(
                tensor.fields["is_non_linear_format_io"],
                f"{called(tensor)} has a non-linear format, but the model is not a TensorRT plan",
                hint="Remove is_non_linear_format_io.",
                reason=f"Non-linear IO format is only supported for the TensorRT platform for {model.config_name}",
                item=tensor.item,
                fix=edited(model, *unset(tensor.node, "is_non_linear_format_io"), safe=True),
            )


@rule(
    "non-linear-format-needs-3-dims",
    Severity.ERROR,
    "*.is_non_linear_format_io",
    at=Stage.IO.same_walk("non-linear-format-not-tensorrt"),
)
def non_linear_needs_3_dims(model: Model) -> Iterator[Finding]:
    """A tensor in a non-linear format must have three dims."""
    for tensor in model.tensors:
        if tensor.flag("is_non_linear_format_io") and model.inferred.platform == PLAN:
            count = len(tensor.dims)
            if count and count != IMAGE_RANK:
                yield Finding(
                    tensor.node.get("dims"),
                    f"{called(tensor)} has a non-linear format and must have 3 dims, not {count}",
                    hint="Set dims to the image's 3 dimensions without the batch (max_batch_size), "
                    "or remove is_non_linear_format_io.",
                    reason=f"Non-linear IO format {tensor.kind} requires 3 dims for {model.config_name}",
                    item=tensor.item,
                )
