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
    """A batch_input's kind is one of those that Triton can make.

    Why:
        The text format takes any number for a kind, the check after it does not.
    Source:
        core, src/model_config_utils.cc, ValidateBatchIO
    Run with:
        --no-auto-complete
    Bad:
        -- scorer/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ -1 ] allow_ragged_batch: true }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        dynamic_batching { }
        batch_input { kind: 77 target_name: "SIZE" data_type: TYPE_FP32 source_input: "IN" }
        -- scorer/1/weights --
    Says:
        scorer/config.pbtxt:6:21: error: 77 is no kind of batch_input [batch-input-kind-unknown]
          Write one of its names: BATCH_ELEMENT_COUNT, BATCH_ACCUMULATED_ELEMENT_COUNT, BATCH_ACCUMULATED_ELEMENT_COUNT_WITH_ZERO, BATCH_MAX_ELEMENT_COUNT_AS_SHAPE, BATCH_ITEM_SHAPE, BATCH_ITEM_SHAPE_FLATTEN.
    Server says:
        unknown batch input kind '' for scorer
    Good:
        -- scorer/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ -1 ] allow_ragged_batch: true }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        dynamic_batching { }
        batch_input { kind: BATCH_ITEM_SHAPE target_name: "SIZE" data_type: TYPE_FP32 source_input: "IN" }
        -- scorer/1/weights --
    """
    yield from unknown_kinds(model, "batch_input")


@rule("batch-input-source-count", Severity.ERROR, "batch_input", at=Stage.IO.after("non-linear-format-needs-3-dims"))
def input_source_count(model: Model) -> Iterator[Finding]:
    """A batch_input is made of exactly one input.

    Why:
        That is so for each of its kinds, and Triton refuses another number.
    Source:
        core, src/model_config_utils.cc, ValidateBatchIO
    Bad:
        -- scorer/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ -1 ] allow_ragged_batch: true }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        dynamic_batching { }
        batch_input { kind: BATCH_ITEM_SHAPE target_name: "SIZE" data_type: TYPE_FP32 }
        -- scorer/1/weights --
    Says:
        scorer/config.pbtxt:6:13: error: BATCH_ITEM_SHAPE takes one source_input, not 0 [batch-input-source-count]
          Write source_input: with an input's name.
    Server says:
        batch input kind 'BATCH_ITEM_SHAPE' expects 1 source input, got 0 for scorer
    Good:
        -- scorer/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ -1 ] allow_ragged_batch: true }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        dynamic_batching { }
        batch_input { kind: BATCH_ITEM_SHAPE target_name: "SIZE" data_type: TYPE_FP32 source_input: "IN" }
        -- scorer/1/weights --
    """
    yield from source_counts(model, "batch_input")


@rule("batch-input-data-type", Severity.ERROR, "batch_input", at=Stage.IO.same_walk("batch-input-kind-unknown"))
def input_data_type(model: Model) -> Iterator[Finding]:
    """A batch_input is of TYPE_INT32 or TYPE_FP32.

    Why:
        The server writes counts and shapes in no other type, and refuses the model.
    Source:
        core, src/model_config_utils.cc, ValidateBatchIO
    Bad:
        -- scorer/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ -1 ] allow_ragged_batch: true }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        dynamic_batching { }
        batch_input { kind: BATCH_ITEM_SHAPE target_name: "SIZE" data_type: TYPE_INT64 source_input: "IN" }
        -- scorer/1/weights --
    Says:
        scorer/config.pbtxt:6:69: error: this batch_input is of TYPE_INT64, which is neither TYPE_INT32 nor TYPE_FP32 [batch-input-data-type]
          Write data_type: TYPE_INT32 or TYPE_FP32.
    Server says:
        batch input data type must be TYPE_INT32 or TYPE_FP32 for scorer
    Good:
        -- scorer/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ -1 ] allow_ragged_batch: true }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        dynamic_batching { }
        batch_input { kind: BATCH_ITEM_SHAPE target_name: "SIZE" data_type: TYPE_INT32 source_input: "IN" }
        -- scorer/1/weights --
    """
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
    """A batch_input is made of an input of the model.

    Why:
        Triton looks its source_input up among the inputs and refuses a name that is not there.
    Source:
        core, src/model_config_utils.cc, ValidateBatchIO
    Bad:
        -- scorer/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ -1 ] allow_ragged_batch: true }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        dynamic_batching { }
        batch_input { kind: BATCH_ITEM_SHAPE target_name: "SIZE" data_type: TYPE_FP32 source_input: "INPUT" }
        -- scorer/1/weights --
    Says:
        scorer/config.pbtxt:6:93: error: there is no input "INPUT" [batch-input-source-unknown]
          The inputs are: IN.
    Server says:
        unknown source input name 'INPUT' for scorer
    Good:
        -- scorer/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ -1 ] allow_ragged_batch: true }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        dynamic_batching { }
        batch_input { kind: BATCH_ITEM_SHAPE target_name: "SIZE" data_type: TYPE_FP32 source_input: "IN" }
        -- scorer/1/weights --
    """
    yield from unknown_sources(model, "batch_input")


@rule("batch-input-target-missing", Severity.WARNING, "batch_input")
def input_target_missing(model: Model) -> Iterator[Finding]:
    """A batch_input has a target_name: the tensor that the model gets.

    Why:
        Triton loads the model without, and no tensor of the model is ever filled.
    Source:
        core, src/model_config_utils.cc, ValidateBatchIO (which does not look at it)
    Bad:
        -- scorer/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ -1 ] allow_ragged_batch: true }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        dynamic_batching { }
        batch_input { kind: BATCH_ITEM_SHAPE data_type: TYPE_FP32 source_input: "IN" }
        -- scorer/1/weights --
    Says:
        scorer/config.pbtxt:6:13: warning: this batch_input has no target_name, so the model never gets it [batch-input-target-missing]
          Write target_name: with the name of the model's tensor.
    Good:
        -- scorer/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ -1 ] allow_ragged_batch: true }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        dynamic_batching { }
        batch_input { kind: BATCH_ITEM_SHAPE target_name: "SIZE" data_type: TYPE_FP32 source_input: "IN" }
        -- scorer/1/weights --
    """
    for entry in model.config.messages("batch_input"):
        if not entry.scalars("target_name"):
            yield Finding(
                entry,
                "this batch_input has no target_name, so the model never gets it",
                hint="Write target_name: with the name of the model's tensor.",
            )
