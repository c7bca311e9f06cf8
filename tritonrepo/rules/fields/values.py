"""Values that parse but have no meaning to the server, or not the intended one."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.pbtxt import Field, Message, Scalar
from tritonrepo.pbtxt.nodes import walk
from tritonrepo.repository import Model
from tritonrepo.rules.registry import Finding, rule

REFUSED = frozenset(
    {
        "inference.ModelInstanceGroup",
        "inference.BatchInput",
        "inference.BatchOutput",
        "inference.ModelWarmup.Input",
        "inference.ModelSequenceBatching.Control",
        "inference.ModelSequenceBatching.InitialState",
    }
)
"""Messages in which the server refuses such a number, which other rules report."""

MAPS = (
    *("parameters", "metric_tags", "cc_model_filenames", "model_warmup", "ensemble_scheduling", "dynamic_batching"),
    *("optimization", "model_repository_agents"),
)
"""Top-level fields that are maps or contain some."""

MAPPED = (
    *("*.parameters", "*.metric_tags", "*.cc_model_filenames", "*.inputs", "*.input_map", "*.output_map"),
    *("*.priority_queue_policy", "optimization"),
)
"""Traits of a config that has maps; the maps in optimization share their name with the inputs."""


@rule("enum-number-unknown", Severity.WARNING)
def enum_number(model: Model) -> Iterator[Finding]:
    """A number used as an enum value should be one that the enum defines."""
    if model.parsed is None or not model.parsed.unnamed:
        return
    for message in walk(model.config):
        if message.kind.name not in REFUSED:
            for field in message.fields:
                yield from _unknown_numbers(field)


def _unknown_numbers(field: Field) -> Iterator[Finding]:
    if field.spec.enum is None:
        return
    for value in field.values:
        if isinstance(value, Scalar) and str(value.data) not in field.spec.enum.numbers:
            yield Finding(value, f"unknown {field.name} {value.data}", hint="Use the name of a defined value.")


@rule("non-utf8-string", Severity.WARNING)
def non_utf8(model: Model) -> Iterator[Finding]:
    """Strings should be UTF-8."""
    if model.parsed is None:
        return
    text = model.config.source.text
    if text.isascii() and b"\\" not in text:
        return
    for message in walk(model.config):
        for field in message.fields:
            for value in field.values:
                if isinstance(value, Scalar) and isinstance(value.data, str) and not _is_utf8(value.data):
                    yield Finding(
                        value,
                        "the string is not UTF-8",
                        hint="Save the file as UTF-8, and use characters instead of escapes.",
                    )


def _is_utf8(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


@rule("map-key-twice", Severity.WARNING, *MAPPED)
def key_twice(model: Model) -> Iterator[Finding]:
    """A map should have each key only once."""
    for message in _with_maps(model.config):
        entries = _entries(message)
        last: dict[tuple[str, object], Message] = {}
        for name, entry in entries if len(entries) > 1 else ():
            key = _key(entry)
            before = last.get((name, key))
            if before is not None:
                yield Finding(
                    before,
                    f'the entry on line {entry.line} overrides key "{key}" of {name}',
                    hint="Remove one of the two entries.",
                )
            last[name, key] = entry


def _with_maps(config: Message) -> Iterator[Message]:
    """Yield the messages that may contain maps."""
    yield config
    for field in config.fields:
        for value in field.values if field.spec.name in MAPS else ():
            if isinstance(value, Message):
                yield from walk(value)


def _entries(message: Message) -> list[tuple[str, Message]]:
    """Return the entries of a message's maps, each with the name of its map."""
    return [
        (field.spec.name, value)
        for field in message.fields
        if field.spec.message is not None and field.spec.message.is_entry
        for value in field.values
        if isinstance(value, Message)
    ]


def _key(entry: Message) -> object:
    key = entry.data("key")
    if key is None:
        return "" if entry.kind.fields["key"].type == "string" else 0
    return key


@rule("parameter-empty-key", Severity.WARNING, "parameters", "metric_tags")
def empty_key(model: Model) -> Iterator[Finding]:
    """Parameters and metric tags should have a key."""
    for name, one in (("parameters", "parameter"), ("metric_tags", "tag")):
        for entry in model.config.entries(name):
            if not entry.text("key"):
                yield Finding(entry, f"the entry in {name} has no key", hint=f"Set key to the {one}'s name.")


@rule("config-empty", Severity.INFO)
def config_empty(model: Model) -> Iterator[Finding]:
    """An empty config.pbtxt counts as a config."""
    if model.parsed is not None and not model.config.fields:
        yield Finding(None, "the config has no fields", hint="Set backend, input and output, or remove the file.")
