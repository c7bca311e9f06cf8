"""batch_output: outputs of a whole batch that the server deals out to its requests.

Source of all: core, src/model_config_utils.cc, ValidateBatchIO.
"""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.repository import Model
from tritonrepo.rules.fields.batch_tensors import listed, names, source_counts, unknown_kinds, unknown_sources
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage


@rule("batch-output-kind-unknown", Severity.ERROR, "batch_output", at=Stage.IO.same_walk("batch-output-source-count"))
def kind_unknown(model: Model) -> Iterator[Finding]:
    """A batch_output's kind is BATCH_SCATTER_WITH_INPUT_SHAPE.

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
        output { name: "OUT" data_type: TYPE_FP32 dims: [ -1 ] }
        dynamic_batching { }
        batch_output { kind: 5 target_name: "OUT" source_input: "IN" }
        -- scorer/1/weights --
    Says:
        scorer/config.pbtxt:6:22: error: 5 is no kind of batch_output [batch-output-kind-unknown]
          Write one of its names: BATCH_SCATTER_WITH_INPUT_SHAPE.
    Server says:
        unknown batch output kind '' for scorer
    Good:
        -- scorer/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ -1 ] allow_ragged_batch: true }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ -1 ] }
        dynamic_batching { }
        batch_output { kind: BATCH_SCATTER_WITH_INPUT_SHAPE target_name: "OUT" source_input: "IN" }
        -- scorer/1/weights --
    """
    yield from unknown_kinds(model, "batch_output")


@rule("batch-output-source-count", Severity.ERROR, "batch_output", at=Stage.IO.after("batch-input-source-unknown"))
def source_count(model: Model) -> Iterator[Finding]:
    """A batch_output is dealt out by the shape of exactly one input.

    Why:
        Triton refuses another number of source inputs.
    Source:
        core, src/model_config_utils.cc, ValidateBatchIO
    Bad:
        -- scorer/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ -1 ] allow_ragged_batch: true }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ -1 ] }
        dynamic_batching { }
        batch_output { target_name: "OUT" }
        -- scorer/1/weights --
    Says:
        scorer/config.pbtxt:6:14: error: BATCH_SCATTER_WITH_INPUT_SHAPE takes one source_input, not 0 [batch-output-source-count]
          Write source_input: with an input's name.
    Server says:
        batch output kind 'BATCH_SCATTER_WITH_INPUT_SHAPE' expects 1 source input, got 0 for scorer
    Good:
        -- scorer/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ -1 ] allow_ragged_batch: true }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ -1 ] }
        dynamic_batching { }
        batch_output { kind: BATCH_SCATTER_WITH_INPUT_SHAPE target_name: "OUT" source_input: "IN" }
        -- scorer/1/weights --
    """
    yield from source_counts(model, "batch_output")


@rule("batch-output-source-unknown", Severity.ERROR, "batch_output", at=Stage.IO.same_walk("batch-output-kind-unknown"))
def source_unknown(model: Model) -> Iterator[Finding]:
    """A batch_output is dealt out by the shape of an input of the model.

    Why:
        Triton looks its source_input up among the inputs and refuses a name that is not there.
    Source:
        core, src/model_config_utils.cc, ValidateBatchIO
    Bad:
        -- scorer/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ -1 ] allow_ragged_batch: true }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ -1 ] }
        dynamic_batching { }
        batch_output { target_name: "OUT" source_input: "INPUT" }
        -- scorer/1/weights --
    Says:
        scorer/config.pbtxt:6:49: error: there is no input "INPUT" [batch-output-source-unknown]
          The inputs are: IN.
    Server says:
        unknown source input name 'INPUT' for scorer
    Good:
        -- scorer/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ -1 ] allow_ragged_batch: true }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ -1 ] }
        dynamic_batching { }
        batch_output { kind: BATCH_SCATTER_WITH_INPUT_SHAPE target_name: "OUT" source_input: "IN" }
        -- scorer/1/weights --
    """
    yield from unknown_sources(model, "batch_output")


@rule(
    "batch-output-target-unknown", Severity.ERROR, "batch_output", at=Stage.IO.same_walk("batch-output-source-unknown")
)
def target_unknown(model: Model) -> Iterator[Finding]:
    """A batch_output is an output of the model.

    Why:
        Triton looks its target_name up among the outputs and refuses a name that is not there.
    Source:
        core, src/model_config_utils.cc, ValidateBatchIO
    Bad:
        -- scorer/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ -1 ] allow_ragged_batch: true }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ -1 ] }
        dynamic_batching { }
        batch_output { target_name: "OUTPUT" source_input: "IN" }
        -- scorer/1/weights --
    Says:
        scorer/config.pbtxt:6:29: error: there is no output "OUTPUT" [batch-output-target-unknown]
          The outputs are: OUT.
    Server says:
        unknown target output name 'OUTPUT' for scorer
    Good:
        -- scorer/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ -1 ] allow_ragged_batch: true }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ -1 ] }
        dynamic_batching { }
        batch_output { kind: BATCH_SCATTER_WITH_INPUT_SHAPE target_name: "OUT" source_input: "IN" }
        -- scorer/1/weights --
    """
    known = names(model, "output")
    if known is None:
        return
    for item, entry in enumerate(model.config.messages("batch_output")):
        for target in entry.scalars("target_name"):
            if target.data not in known:
                yield Finding(
                    target,
                    f'there is no output "{target.data}"',
                    hint=f"The outputs are: {listed(known)}.",
                    reason=f"unknown target output name '{target.data}' for {model.config_name}",
                    item=item,
                )


@rule("batch-output-target-twice", Severity.ERROR, "batch_output", at=Stage.IO.same_walk("batch-output-target-unknown"))
def target_twice(model: Model) -> Iterator[Finding]:
    """A batch_output names an output once.

    Why:
        Triton refuses the same target_name twice in one batch_output; across two it does not notice.
    Source:
        core, src/model_config_utils.cc, ValidateBatchIO
    Bad:
        -- scorer/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ -1 ] allow_ragged_batch: true }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ -1 ] }
        dynamic_batching { }
        batch_output { target_name: [ "OUT", "OUT" ] source_input: "IN" }
        -- scorer/1/weights --
    Says:
        scorer/config.pbtxt:6:38: error: target_name "OUT" is there twice [batch-output-target-twice]
          Drop the second.
    Server says:
        target output name 'OUT' can only be specified once for scorer
    Good:
        -- scorer/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ -1 ] allow_ragged_batch: true }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ -1 ] }
        dynamic_batching { }
        batch_output { kind: BATCH_SCATTER_WITH_INPUT_SHAPE target_name: "OUT" source_input: "IN" }
        -- scorer/1/weights --
    """
    for item, entry in enumerate(model.config.messages("batch_output")):
        seen = set()
        for target in entry.scalars("target_name"):
            if target.data in seen:
                yield Finding(
                    target,
                    f'target_name "{target.data}" is there twice',
                    hint="Drop the second.",
                    reason=f"target output name '{target.data}' can only be specified once for {model.config_name}",
                    item=item,
                )
            seen.add(target.data)
