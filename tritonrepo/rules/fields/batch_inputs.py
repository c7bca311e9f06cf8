"""batch_input: tensors that the server makes of a whole batch, for inputs whose sizes differ within one.

Source of all: core, src/model_config_utils.cc, ValidateBatchIO.
"""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.repository import Model
from tritonrepo.rules.fields.batch_tensors import source_counts, unknown_kinds, unknown_sources
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage

TYPES = frozenset({"TYPE_INT32", "TYPE_FP32"})


@rule("batch-input-kind-unknown", Severity.ERROR, "batch_input", at=Stage.IO.same_walk("batch-input-source-count"))
def input_kind_unknown(model: Model) -> Iterator[Finding]:
    """A batch_input's kind is one of those that Triton can make."""
    yield from unknown_kinds(model, "batch_input")


@rule("batch-input-source-count", Severity.ERROR, "batch_input", at=Stage.IO.after("non-linear-format-needs-3-dims"))
def input_source_count(model: Model) -> Iterator[Finding]:
    """A batch_input is made of exactly one input."""
    yield from source_counts(model, "batch_input")


@rule("batch-input-data-type", Severity.ERROR, "batch_input", at=Stage.IO.same_walk("batch-input-kind-unknown"))
def input_data_type(model: Model) -> Iterator[Finding]:
    """A batch_input is of TYPE_INT32 or TYPE_FP32."""
    for item, entry in enumerate(model.config.messages("batch_input")):
        written = entry.enum("data_type")
        if written not in TYPES:
            yield Finding(
                entry.scalars("data_type")[-1] if written else entry,
                f"this batch_input is of {written}, which is neither TYPE_INT32 nor TYPE_FP32"
                if written
                else "this batch_input has no data_type",
                hint="Write data_type: TYPE_INT32 or TYPE_FP32.",
                reason=f"batch input data type must be TYPE_INT32 or TYPE_FP32 for {model.config_name}",
                item=item,
            )


@rule("batch-input-source-unknown", Severity.ERROR, "batch_input", at=Stage.IO.same_walk("batch-input-data-type"))
def input_source_unknown(model: Model) -> Iterator[Finding]:
    """A batch_input is made of an input of the model."""
    yield from unknown_sources(model, "batch_input")


@rule("batch-input-target-missing", Severity.WARNING, "batch_input")
def input_target_missing(model: Model) -> Iterator[Finding]:
    """A batch_input has a target_name: the tensor that the model gets."""
    for entry in model.config.messages("batch_input"):
        if not entry.scalars("target_name"):
            yield Finding(
                entry,
                "this batch_input has no target_name, so the model never gets it",
                hint="Write target_name: with the name of the model's tensor.",
            )
