"""Models of a repository as nodes of a stack file: each with its own files and its whole config.

A build of them gives the same files and configs that mean the same. Of a config, the stack file leaves out what the
build reads from the ONNX file.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tritonrepo.diagnostics import Diagnostic, Severity, Span
from tritonrepo.generate import signature
from tritonrepo.generate.own import Own, laid_over
from tritonrepo.onnxfile import BrokenError, Header, header
from tritonrepo.parts.model import is_version
from tritonrepo.pbtxt import Field, Message
from tritonrepo.pbtxt.convert import to_plain
from tritonrepo.plain import printable
from tritonrepo.repository import Model, Repository
from tritonrepo.repository.gpus import MOST
from tritonrepo.repository.model import CONFIG
from tritonrepo.rules.backends.vllm_parallel import ranks
from tritonrepo.spec.nodes import Items, Keys, Node, Scalar, refuse_unwritable
from tritonrepo.spec.stack import Target as Aimed
from tritonrepo.sync.gating import OUT
from tritonrepo.sync.record import Record
from tritonrepo.tree import Entry, File, Link, Unreadable

NOWHERE = Span("")
RULE = "adopt-model"
BEHIND = 80
"""A longer comment is written above its field."""

LONGEST = 2_000
"""Characters of a comment that are kept."""

ABOUT_THE_FILE = ("copyright", "spdx-license")
"""Words of comments that are about the whole file, and not about its first field."""

DERIVED = (
    ("input", "output", "max_batch_size", "dynamic_batching"),
    ("input", "output", "dynamic_batching"),
    ("input", "output", "max_batch_size"),
    ("input", "output"),
)
"""Fields that a build can read from an ONNX file, most of them first."""

TEMPLATE = b"${"
GIB = 1 << 30
POINTER = b"version https://git-lfs"
POINTER_BYTES = 1 << 10
"""A pointer is smaller than this (git-lfs, docs/spec.md)."""


class Nodes:
    """A walk over models; the comments of their configs are kept by the mapping and key that they belong to."""

    def __init__(self, base: str, where: str) -> None:
        self.base = base
        self.where = where
        self.comments: dict[tuple[int, str], tuple[Node, str]] = {}
        """With the nodes themselves, so that none is freed and no other gets its id."""

    def comment(self, node: Node, name: str) -> str:
        """Return the comment of a key: what is left out, or the comment of the field in config.pbtxt."""
        return self.comments.get((id(node), name), (node, ""))[1]

    def say(self, node: Keys, name: str, text: str) -> None:
        """Set the comment of a key."""
        self.comments[id(node), name] = (node, text)

    def model(self, model: Model, why: str = "") -> Keys:
        """Return the keys of a model; `why` is the reason for which it is not declared as a part."""
        config = to_plain(model.config)
        keys: dict[str, Node] = {each: node(config.pop(each)) for each in ("backend", "platform") if each in config}
        if not keys:
            keys["role"] = node("model")
        if config.get("name") == model.name:
            del config["name"]
        if signature.lacks(config) and not config.get("max_batch_size"):
            config.pop("max_batch_size", None)  # to onnxruntime's auto-complete, 0 is as if nothing was written
        numbers = sorted({*filter(is_version, model.directories)} - {str(OUT)}, key=int)
        config = _shortened(config, model, numbers)
        if "version_policy" not in config and len(numbers) > 1:
            config["version_policy"] = {"specific": {"versions": [*model.served]}}
        if config.get("version_policy") == {"specific": {"versions": [*map(int, numbers)]}}:
            del config["version_policy"]  # a build serves all versions
        keys |= self.files(model, numbers)
        if config:
            keys["config"] = self.config(config, model.config)
        made = mapping(keys)
        self.explain(made, model.config)
        left_out = [f"{path} ({entry})" for path, entry in model.odd if entry is Unreadable.DANGLING]
        notes = ["left out:", *map(printable, left_out)] if left_out else []
        pointers = [printable(path) for path, entry in model.entries.items() if _is_pointer(entry)]
        notes += ["Git LFS pointers, in place of which `git lfs pull` puts the files:", *pointers] if pointers else []
        notes += [f"not declared with its role: {printable(why)}"] if why else []
        if notes:
            self.say(made, next(iter(keys)), "\n".join([*notes, ""]))
        return made

    def files(self, model: Model, numbers: Sequence[str]) -> dict[str, Node]:
        """Return the keys of a model that name its files: these versions, and what is next to them."""
        place = f"{self.base}/{model.name}"
        keys: dict[str, Node] = {}
        if numbers == ["1"]:  # a build numbers it the same
            keys["source"] = node(f"{place}/1")
        elif numbers:
            keys["versions"] = node({name: f"{place}/{name}" for name in numbers})
        beside = [
            name for name, entry in model.children.items() if name not in {*numbers, CONFIG, str(OUT)} and _has(entry)
        ]
        if beside:
            keys["files"] = node({name: f"{place}/{name}" for name in sorted(beside)})
        return keys

    def config(self, config: Mapping[str, Any], message: Message) -> Keys:
        """Return the fields of a config, with the comments of those at its top."""
        made = mapping({name: node(value) for name, value in config.items()})
        self.explain(made, message)
        return made

    def explain(self, made: Keys, message: Message) -> None:
        """Keep the comments of the fields that a mapping has."""
        said = {field.name: _said(field) for field in message.fields if field.name in made.keys}
        self.comments |= {(id(made), name): (made, comment) for name, comment in said.items() if comment}

    def faults(self, model: Model) -> Iterator[Diagnostic]:
        """Yield what of a model cannot be read."""
        path = f"{self.where}/{model.name}"
        parsed = model.parsed
        if parsed is not None and parsed.faults and TEMPLATE in model.config.source.text:
            message = f'the config of model "{model.name}" is a template that was not filled in'
            first = parsed.faults[0]
            hint = "Replace its variables, such as `${NAME}`, by their values. Then adopt it again."
            yield Diagnostic(RULE, Severity.ERROR, Span(f"{path}/{CONFIG}", first.line, first.column), message, hint)
            return
        for fault in parsed.faults if parsed is not None else ():
            at = Span(f"{path}/{CONFIG}", fault.line, fault.column)
            yield Diagnostic(RULE, Severity.ERROR, at, f"the config cannot be read: {fault.message}", fault.hint)
        for inner, entry in model.odd:
            if entry is not Unreadable.DANGLING:  # of which a build could make nothing, and nothing is what it means
                what = f"a link to {entry.target}, which contains it" if isinstance(entry, Link) else str(entry)
                hint = "Make it readable, or remove it. Then adopt the repository again."
                at = Span(f"{path}/{inner}".rstrip("/"))
                subject = f'"{inner}" of model "{model.name}"' if inner else f'model "{model.name}"'
                yield Diagnostic(RULE, Severity.ERROR, at, f"{subject} is {what}", hint)


def is_model(model: Model) -> bool:
    """Return whether a directory can be a model: one with neither a config nor a version never loads."""
    return model.parsed is not None or model.hidden or bool(model.odd) or bool(model.versions.found)


def _shortened(config: dict[str, Any], model: Model, numbers: Sequence[str]) -> dict[str, Any]:
    """Return a config without what a build reads from the model's ONNX file, if it reads the same."""
    if model.inferred.backend != "onnxruntime" or signature.lacks(config):
        return config
    found = _header(model.file(f"{next(reversed(numbers), '')}/{model.inferred.filename}"))
    for names in DERIVED if found is not None else ():
        short = {name: value for name, value in config.items() if name not in names}
        assert found is not None  # noqa: S101  there are no names without it
        if not signature.wrong(found, short) and _same(signature.completed(found, short), short, config):
            return short
    return config


def _same(completed: Mapping[str, Any], short: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    return laid_over(dict(completed), Own(short, {})) == config


def _header(file: File | None) -> Header | None:
    try:
        return header(file) if file is not None else None
    except BrokenError:
        return None


def _said(field: Field) -> str:
    """Return the comment of a field, of several lines if it is long."""
    lines = [printable(line) for line in field.comments if not line.startswith("Written by tritonrepo")]
    whole = " ".join(lines).strip()
    if any(word in whole.lower() for word in ABOUT_THE_FILE):
        return ""
    if len(whole) <= BEHIND:
        return whole
    cut = f"{whole[:LONGEST]}…" if len(whole) > LONGEST else "\n".join(lines)
    return "\n".join(part for line in cut.split("\n") for part in textwrap.wrap(line, 100) or [""]) + "\n"


def _has(entry: object) -> bool:
    """Return whether something below a model can be a source: files do, and directories that have files."""
    return entry is None or isinstance(entry, File)


def _is_pointer(entry: Entry) -> bool:
    """Return whether a file on this machine's disk is not there, but only the pointer that Git LFS keeps of it."""
    small = isinstance(entry, File) and entry.place is not None and entry.size <= POINTER_BYTES
    return small and isinstance(entry, File) and entry.read(0, len(POINTER)) == POINTER


def aimed(found: Repository, record: Record) -> Keys:
    """Return the target as a stack file says it.

    Unless the record names them, images are left out if those by default have all backends.
    """
    target, usual = found.target, Aimed().images
    keys: dict[str, Any] = {"release": target.release.name}
    used = {model.backend for model in found.models.values() if not model.is_ensemble}
    needed = record.target or not (used & target.backends <= target.release.backends(usual))
    if target.images != usual and needed:
        keys["images"] = target.images
    if target.own:
        keys["images"] = (*(target.images if target.images != tuple(target.release.images) else ()), *target.own)
    if target.arch != "x86_64":
        keys["arch"] = target.arch
    if target.backends and (own := sorted(used - target.backends - {""})):
        keys["backends"] = own  # what no Triton image has can only come from an own one
    keys["gpus"] = target.gpus if target.gpus_said else _least(found)
    if type(memory := record.target.get("gpu_memory")) is int:
        keys["gpu_memory"] = f"{memory}B" if memory % GIB else f"{memory // GIB}GiB"
    if record.target.get("gpu") and target.gpu is not None:
        keys["gpu"] = target.gpu.name
    return mapping({name: node(value) for name, value in keys.items()})


def _least(found: Repository) -> int:
    """Return the GPUs that a server needs for the indexes of the configs and for each engine by itself."""
    return max([found.target.gpus, *(min(ranks(model), MOST) for model in found.models.values())])


def writable(made: Node) -> None:
    """Raise Stop for a string that the text of a stack file cannot hold."""
    match made:
        case Scalar():
            refuse_unwritable(made.text, NOWHERE)
        case Items():
            for item in made.items:
                writable(item)
        case Keys():
            for name, (_, value) in made.keys.items():
                refuse_unwritable(name, NOWHERE)
                writable(value)


def mapping(values: Mapping[str, Node]) -> Keys:
    """Return a mapping."""
    return Keys(NOWHERE, {name: (NOWHERE, value) for name, value in values.items()})


def node(value: Any) -> Node:  # noqa: ANN401  plain data has any type
    """Return plain data as a node."""
    if isinstance(value, Mapping):
        return mapping({str(key): node(item) for key, item in value.items()})
    if isinstance(value, list | tuple):
        return Items(NOWHERE, tuple(map(node, value)))
    if value is None or isinstance(value, bool):
        return Scalar(NOWHERE, "null", "null") if value is None else Scalar(NOWHERE, str(value).lower(), "bool")
    if isinstance(value, str):
        return Scalar(NOWHERE, str.__str__(value), "str")
    return Scalar(NOWHERE, _number(value), "int" if isinstance(value, int) else "float")


def _number(value: float) -> str:
    """Return a number as YAML 1.2 writes it."""
    return {"inf": ".inf", "-inf": "-.inf", "nan": ".nan"}.get(repr(value), repr(value))
