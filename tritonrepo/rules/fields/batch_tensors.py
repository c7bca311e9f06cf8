"""batch_input and batch_output: tensors that Triton computes from a whole batch, or splits among its requests.

Source of all: core, src/model_config_utils.cc, ValidateBatchIO.
"""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity, either
from tritonrepo.pbtxt import Message
from tritonrepo.repository import Model
from tritonrepo.repository.completion import completed
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage

TYPES = frozenset({"TYPE_INT32", "TYPE_FP32"})

DEFAULTS = {"batch_input": "BATCH_ELEMENT_COUNT", "batch_output": "BATCH_SCATTER_WITH_INPUT_SHAPE"}
"""The kind that applies if an entry sets none."""


@rule("batch-input-kind-unknown", Severity.ERROR, "batch_input", at=Stage.IO.same_walk("batch-input-source-count"))
def input_kind_unknown(model: Model) -> Iterator[Finding]:
    """The kind of a batch_input must be one that Triton knows."""
    yield from _unknown_kinds(model, "batch_input")


@rule("batch-input-source-count", Severity.ERROR, "batch_input", at=Stage.IO.after("non-linear-format-needs-3-dims"))
def input_source_count(model: Model) -> Iterator[Finding]:
    """A batch_input must have exactly one source_input."""
    yield from _source_counts(model, "batch_input")


@rule("batch-input-data-type", Severity.ERROR, "batch_input", at=Stage.IO.same_walk("batch-input-kind-unknown"))
def input_data_type(model: Model) -> Iterator[Finding]:
    """The data_type of a batch_input must be TYPE_INT32 or TYPE_FP32."""
    for item, entry in enumerate(model.config.messages("batch_input")):
        written = entry.enum("data_type")
        if written not in TYPES:
            yield Finding(
                entry.scalars("data_type")[-1] if written else entry,
                f"the data_type of a batch_input must be TYPE_INT32 or TYPE_FP32, not {written}"
                if written
                else "the batch_input has no data_type",
                hint="Set data_type to TYPE_INT32 or TYPE_FP32.",
                reason=f"batch input data type must be TYPE_INT32 or TYPE_FP32 for {model.config_name}",
                item=item,
            )


@rule("batch-input-source-unknown", Severity.ERROR, "batch_input", at=Stage.IO.same_walk("batch-input-data-type"))
def input_source_unknown(model: Model) -> Iterator[Finding]:
    """The source_input of a batch_input must be an input of the model."""
    yield from _unknown_sources(model, "batch_input")


@rule("batch-input-target-missing", Severity.WARNING, "batch_input")
def input_target_missing(model: Model) -> Iterator[Finding]:
    """A batch_input should set target_name, the tensor that the model receives."""
    for entry in model.config.messages("batch_input"):
        if not entry.scalars("target_name"):
            yield Finding(
                entry,
                "the batch_input has no target_name, so the model never receives it",
                hint="Set target_name to the name of a tensor in the model.",
            )


@rule("batch-output-kind-unknown", Severity.ERROR, "batch_output", at=Stage.IO.same_walk("batch-output-source-count"))
def output_kind_unknown(model: Model) -> Iterator[Finding]:
    """The kind of a batch_output must be BATCH_SCATTER_WITH_INPUT_SHAPE."""
    yield from _unknown_kinds(model, "batch_output")


@rule("batch-output-source-count", Severity.ERROR, "batch_output", at=Stage.IO.after("batch-input-source-unknown"))
def output_source_count(model: Model) -> Iterator[Finding]:
    """A batch_output must have exactly one source_input."""
    yield from _source_counts(model, "batch_output")


@rule("batch-output-source-unknown", Severity.ERROR, "batch_output", at=Stage.IO.same_walk("batch-output-kind-unknown"))
def output_source_unknown(model: Model) -> Iterator[Finding]:
    """The source_input of a batch_output must be an input of the model."""
    yield from _unknown_sources(model, "batch_output")


@rule(
    "batch-output-target-unknown", Severity.ERROR, "batch_output", at=Stage.IO.same_walk("batch-output-source-unknown")
)
def output_target_unknown(model: Model) -> Iterator[Finding]:
    """The target_name of a batch_output must be an output of the model."""
    known = _names(model, "output")
    if known is None:
        return
    for item, entry in enumerate(model.config.messages("batch_output")):
        for target in entry.scalars("target_name"):
            if target.data not in known:
                yield Finding(
                    target,
                    f'unknown output "{target.data}"',
                    hint=_known("output", known),
                    reason=f"unknown target output name '{target.data}' for {model.config_name}",
                    item=item,
                )


@rule("batch-output-target-twice", Severity.ERROR, "batch_output", at=Stage.IO.same_walk("batch-output-target-unknown"))
def output_target_twice(model: Model) -> Iterator[Finding]:
    """A batch_output cannot list the same target_name twice."""
    for item, entry in enumerate(model.config.messages("batch_output")):
        seen = set()
        for target in entry.scalars("target_name"):
            if target.data in seen:
                yield Finding(
                    target,
                    f'target_name "{target.data}" is already listed',
                    hint="Remove the duplicate.",
                    reason=f"target output name '{target.data}' can only be specified once for {model.config_name}",
                    item=item,
                )
            seen.add(target.data)


def _unknown_kinds(model: Model, field: str) -> Iterator[Finding]:
    """Yield the entries whose kind is a number that the enum lacks."""
    for item, entry in enumerate(model.config.messages(field)):
        kind = _kind(field, entry)
        known = entry.kind.fields["kind"].enum
        if _is_number(kind) and known is not None:
            yield Finding(
                entry.scalars("kind")[-1],
                f"unknown {field} kind {kind}",
                hint=f"Use {either(known.numbers)}.",
                reason=f"unknown {field.replace('_', ' ')} kind '' for {model.config_name}",
                item=item,
            )


def _source_counts(model: Model, field: str) -> Iterator[Finding]:
    """Yield the entries that do not have exactly one source_input."""
    for item, entry in enumerate(model.config.messages(field)):
        kind, count = _kind(field, entry), len(entry.scalars("source_input"))
        if count != 1 and not _is_number(kind):
            spoken = field.replace("_", " ")
            yield Finding(
                entry.get("source_input") or entry,
                f"{kind} must have exactly one source_input, not {count}",
                hint="Remove all but one source_input." if count else "Set source_input to the name of an input.",
                reason=f"{spoken} kind '{kind}' expects 1 source input, got {count} for {model.config_name}",
                item=item,
            )


def _unknown_sources(model: Model, field: str) -> Iterator[Finding]:
    """Yield the source inputs that the model does not have."""
    known = _names(model, "input")
    if known is None:
        return
    for item, entry in enumerate(model.config.messages(field)):
        for source in entry.scalars("source_input"):
            if source.data not in known:
                yield Finding(
                    source,
                    f'unknown input "{source.data}"',
                    hint=_known("input", known),
                    reason=f"unknown source input name '{source.data}' for {model.config_name}",
                    item=item,
                )


def _names(model: Model, kind: str) -> set[str] | None:
    """Return the names of the inputs or outputs; None if the backend may add some."""
    found = completed(model)
    return {port.name for port in (found.inputs if kind == "input" else found.outputs)} if found.exact else None


def _known(kind: str, names: set[str]) -> str:
    """Return the hint for an unknown input or output."""
    if not names:
        return f"Add this {kind} to the config, which lists none."
    return f"Use an {kind} of this model: {either(sorted(names)[:9])}."


def _kind(field: str, entry: Message) -> str:
    return entry.enum("kind", DEFAULTS[field])


def _is_number(kind: str) -> bool:
    return kind.lstrip("-").isdecimal()
