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
    """A batch_output's kind is BATCH_SCATTER_WITH_INPUT_SHAPE."""
    yield from unknown_kinds(model, "batch_output")


@rule("batch-output-source-count", Severity.ERROR, "batch_output", at=Stage.IO.after("batch-input-source-unknown"))
def source_count(model: Model) -> Iterator[Finding]:
    """A batch_output is dealt out by the shape of exactly one input."""
    yield from source_counts(model, "batch_output")


@rule("batch-output-source-unknown", Severity.ERROR, "batch_output", at=Stage.IO.same_walk("batch-output-kind-unknown"))
def source_unknown(model: Model) -> Iterator[Finding]:
    """A batch_output is dealt out by the shape of an input of the model."""
    yield from unknown_sources(model, "batch_output")


@rule(
    "batch-output-target-unknown", Severity.ERROR, "batch_output", at=Stage.IO.same_walk("batch-output-source-unknown")
)
def target_unknown(model: Model) -> Iterator[Finding]:
    """A batch_output is an output of the model."""
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
    """A batch_output names an output once."""
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
