"""What batch_input and batch_output have in common: a kind, and the one input that each is made of.

Source of all: core, src/model_config_utils.cc, ValidateBatchIO.
"""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.pbtxt import Message
from tritonrepo.repository import Model
from tritonrepo.repository.completion import completed
from tritonrepo.rules.registry import Finding

DEFAULTS = {"batch_input": "BATCH_ELEMENT_COUNT", "batch_output": "BATCH_SCATTER_WITH_INPUT_SHAPE"}
"""The kind that is meant where none is written."""


def names(model: Model, kind: str) -> set[str] | None:
    """Return the names of the inputs or outputs; None where the backend may add some."""
    found = completed(model)
    return {port.name for port in (found.inputs if kind == "input" else found.outputs)} if found.exact else None


def unknown_kinds(model: Model, field: str) -> Iterator[Finding]:
    """Yield the entries whose kind is a number that the enum lacks."""
    for item, entry in enumerate(model.config.messages(field)):
        kind = _kind(field, entry)
        known = entry.kind.fields["kind"].enum
        if _is_number(kind) and known is not None:
            yield Finding(
                entry.scalars("kind")[-1],
                f"{kind} is no kind of {field}",
                hint=f"Write one of its names: {', '.join(known.numbers)}.",
                reason=f"unknown {field.replace('_', ' ')} kind '' for {model.config_name}",
                item=item,
            )


def source_counts(model: Model, field: str) -> Iterator[Finding]:
    """Yield the entries that are not made of exactly one input."""
    for item, entry in enumerate(model.config.messages(field)):
        kind, count = _kind(field, entry), len(entry.scalars("source_input"))
        if count != 1 and not _is_number(kind):
            yield Finding(
                entry.get("source_input") or entry,
                f"{kind} takes one source_input, not {count}",
                hint="Name the one input that it is made of." if count else "Write source_input: with an input's name.",
                reason=f"{field.replace('_', ' ')} kind '{kind}' expects 1 source input, got {count} for {model.config_name}",
                item=item,
            )


def unknown_sources(model: Model, field: str) -> Iterator[Finding]:
    """Yield the source inputs that the model does not have."""
    known = names(model, "input")
    if known is None:
        return
    for item, entry in enumerate(model.config.messages(field)):
        for source in entry.scalars("source_input"):
            if source.data not in known:
                yield Finding(
                    source,
                    f'there is no input "{source.data}"',
                    hint=f"The inputs are: {listed(known)}.",
                    reason=f"unknown source input name '{source.data}' for {model.config_name}",
                    item=item,
                )


def listed(found: set[str]) -> str:
    """Return some of the names for a hint."""
    return ", ".join(sorted(found)[:9]) or "none"


def _kind(field: str, entry: Message) -> str:
    return entry.enum("kind", DEFAULTS[field])


def _is_number(kind: str) -> bool:
    return kind.lstrip("-").isdecimal()
