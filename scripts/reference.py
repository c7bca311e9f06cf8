"""The reference of the stack file, made from the dataclasses that the loader uses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, is_dataclass
from typing import Any, Literal, get_args, get_origin

from tritonrepo.diagnostics import either
from tritonrepo.spec import declare, stack
from tritonrepo.spec.load import hints, split
from tritonrepo.spec.part import Model, Parts
from tritonrepo.spec.shown import duration
from tritonrepo.spec.source import Source

KEYS = """\
## Every key

Each example is a value of its key.

**Units**: a duration is a number with `us`, `ms` or `s`. A size is a number with `B`, with `KB`, `MB`, `GB` or `TB`
(powers of 1000), or with `KiB`, `MiB`, `GiB` or `TiB` (powers of 1024).
"""
"""The heading at which the part of the page begins that is made from the code."""

WORDS: Mapping[Any, str] = {
    str: "string",
    int: "integer",
    bool: "`true` or `false`",
    stack.Microseconds: "duration, such as `2ms`",
    stack.Paths: "path or list of paths",
    stack.Bytes: "size, such as `80GiB`",
    Source: "[source](sources.md#kinds-of-sources)",
    Any: "any value",
    stack.Config: "[fields of a ModelConfig](#fields-of-configpbtxt)",
}
NOT_YET = """\
Not supported yet: {values}. Neither are these keys, except where a table above lists them: {keys}.\
"""
AROUND: Mapping[Any, str] = {tuple: "list of ", Mapping: "mapping of names to "}


def page(parts: Parts, before: str) -> str:
    """Return the page in Markdown as it was before, with the keys of these parts."""
    by_hand, heading, _ = before.partition(KEYS.splitlines()[0] + "\n")
    assert heading, "docs/stack.md has lost the heading of its keys"
    found = [f"{by_hand}{KEYS}"]
    for record in records(parts):
        found += [
            f"### {record.__name__}",
            "",
            (record.__doc__ or "").strip(),
            "",
            "| Key | Type | Default | Example | Meaning |",
            "|---|---|---|---|---|",
        ]
        found += [_row(record, f, parts) for f in declare.keys(record)]
        found.append("")
    values = [f"`{name}: {value}`" for name, value in stack.NOT_YET]
    unknown = [f"`{name}`" for name in sorted(stack.NOT_YET_KEYS)]
    return "\n".join([*found, NOT_YET.format(values=", ".join(values), keys=", ".join(unknown)), ""])


def records(parts: Parts) -> Iterator[type]:
    """Yield the records of a stack file, each once, in the order of the page."""
    yield from dict.fromkeys(_records(stack.Stack, parts))


def _records(record: type, parts: Parts) -> Iterator[type]:
    """Yield a record, then the records of its keys, in order."""
    yield record
    for f in declare.keys(record):
        for inner in _inner(hints(record)[f.name], parts):
            yield from _records(inner, parts)


def _inner(hint: object, parts: Parts) -> list[type]:
    """Return the records in a type."""
    _, record = split(hint)
    if hint == Source or record is not None:
        return [] if record is None else [record]
    if hint is Model:
        return [part.keys for part in parts.values()]
    if is_dataclass(hint) and isinstance(hint, type):
        return [hint]
    return [found for each in get_args(hint) for found in _inner(each, parts)]


def _row(record: type, f: Field[Any], parts: Parts) -> str:
    hint = hints(record)[f.name]
    value = (f.metadata["shown"] or _value(hint, parts)) + (
        "" if f.metadata["minimum"] is None else f", at least {f.metadata['minimum']}"
    )
    meaning = declare.sentence(f.metadata["doc"]).replace("|", "&#124;")
    example = f"`{f.metadata['example']}`" if f.metadata["example"] else ""
    return f"| `{f.name}` | {value} | {_default(hint, f)} | {example} | {meaning} |"


def _value(hint: object, parts: Parts) -> str:
    single, record = split(hint)
    if record is not None:
        return either([_value(single, parts), _value(record, parts)])
    if hint in WORDS:
        return WORDS[hint]
    inner = get_args(hint)
    kind = get_origin(hint)
    if kind is Literal:
        return either([f"`{choice}`" for choice in inner])
    if kind in AROUND:
        of = inner[-1] if kind is Mapping else inner[0]
        return AROUND[kind] + _value(of, parts) + ("s" if of in {str, int} else "")
    return either([f"[{each.__name__}](#{each.__name__.lower()})" for each in _inner(hint, parts)])


def _default(hint: object, f: Field[Any]) -> str:
    if f.default is MISSING and f.default_factory is MISSING:
        return "**required**"
    plain = f.default if isinstance(f.default, str | int | float) and f.default is not True else None
    if isinstance(f.default, tuple) and f.default:
        return f"`[{', '.join(map(str, f.default))}]`"
    if hint is stack.Microseconds and isinstance(plain, int):
        return f"`{duration(plain)}`"
    return "" if plain is None else f"`{str(plain).lower() if isinstance(plain, bool) else plain}`"
