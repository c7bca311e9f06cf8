"""The pipeline of `adopt`: an existing repository becomes a stack file, which builds the same repository.

Every model becomes one with its own files and its whole config: a build of the stack adds only a version_policy that
selects the versions that are served now.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tritonrepo import repository, spec
from tritonrepo.diagnostics import Diagnostic, Faults, Severity, Span, fatal
from tritonrepo.flows.stack import reading
from tritonrepo.flows.target import of_record, record_of
from tritonrepo.flows.validate import Aim, declared
from tritonrepo.flows.workspace import Workspace
from tritonrepo.generate import signature
from tritonrepo.parts.model import is_version
from tritonrepo.pbtxt import Enum, Field, Message
from tritonrepo.pbtxt.convert import to_plain
from tritonrepo.repository import NOTHING, Model, Repository
from tritonrepo.repository.model import CONFIG
from tritonrepo.spec import yaml
from tritonrepo.spec.nodes import Items, Keys, Node, Scalar
from tritonrepo.spec.stack import Target as Aimed
from tritonrepo.stores import is_remote, open_store
from tritonrepo.stores.links import kept
from tritonrepo.tree import Directory, of_text

HERE = Path()
NOWHERE = Span("")
HEAD = "# yaml-language-server: $schema={schema}\n# Adopted from {where} by tritonrepo adopt.\n"
RULE = "adopt-model"


class Adopted(NamedTuple):
    """The text of a stack file, and the number of its models."""

    text: str
    models: int


@reading()
def adopt(path: Path | str, work: Workspace, aim: Aim = declared, beside: Path = HERE) -> Adopted:
    """Return the stack file of a repository; its sources are relative to the directory `beside`.

    Raise Stop with every model that a stack file cannot declare, such as one whose config cannot be read.
    """
    path = str(path)
    store, prefix = open_store(path, work.links)
    tree = kept(store.scan(prefix), path)
    target = aim(of_record(record_of(store, prefix, tree, path), path), NOTHING)
    found = repository.read(tree, target, path)
    if not found.models:
        hint = "Use the directory or URI of a repository that contains models."
        raise fatal("adopt-repository", path, "the repository does not exist or contains no models", hint)
    base = path.rstrip("/") if is_remote(path) else _relative(path, beside)
    adopting = _Adopting(base, path)
    text = adopting.stack(found, Path(path.rstrip("/")).name or "adopted", work)
    return Adopted(text, len(found.models))


def _relative(path: str, beside: Path) -> str:
    """Return a path as a source: relative to the stack file, and never like a URI."""
    relative = os.path.relpath(path, beside)
    return relative if relative.startswith("..") else f"./{relative}" if relative != "." else "."


class _Adopting:
    """A walk over models; the comments of their configs are kept by the mapping and key that they belong to."""

    def __init__(self, base: str, where: str) -> None:
        self.base = base
        self.where = where
        self.comments: dict[tuple[int, str], str] = {}

    def stack(self, found: Repository, name: str, work: Workspace) -> str:
        """Return the text of the stack; raise Stop with every model that it cannot have."""
        faults = Faults()
        models: dict[str, Node] = {}
        head = {"name": _text(name), "target": _target(found)}
        for model in found.models.values():
            faults.add(*_unreadable(model, self.where))
            node = self.model(model)
            alone = yaml.text(_keys(head | {"models": _keys({model.name: node})}))
            for said in _refused(alone, work):
                message = f'model "{model.name}" cannot be declared in a stack file: {said.message}'
                at = Span(f"{self.where}/{model.name}/{CONFIG}")
                faults.add(Diagnostic(RULE, Severity.ERROR, at, message, said.hint))
            models[model.name] = node
        faults.stop()
        return yaml.text(_keys(head | {"models": _keys(models)}), self.comment)

    def comment(self, node: Node, name: str) -> str:
        """Return the comment that a field has in its config.pbtxt."""
        return self.comments.get((id(node), name), "")

    def model(self, model: Model) -> Keys:
        """Return the keys of a model."""
        config = to_plain(model.config)
        keys: dict[str, Node] = {each: _text(config.pop(each)) for each in ("backend", "platform") if each in config}
        if not keys:
            keys["role"] = _text("model")
        if config.get("name") == model.name:
            del config["name"]
        if signature.lacks(config) and not config.get("max_batch_size"):
            config.pop("max_batch_size", None)  # to onnxruntime's auto-complete, 0 is as if nothing was written
        numbers = sorted(filter(is_version, model.directories), key=int)
        if "version_policy" not in config and len(numbers) > 1:
            config["version_policy"] = {"specific": {"versions": [*model.served]}}
        keys |= self.files(model, numbers)
        if config:
            keys["config"] = self.config(config, model.config)
        node = _keys(keys)
        self.explain(node, model.config)
        return node

    def files(self, model: Model, numbers: Sequence[str]) -> dict[str, Node]:
        """Return the keys of a model that name its files: these versions, and what is next to them."""
        place = f"{self.base}/{model.name}"
        keys: dict[str, Node] = {}
        if numbers == ["1"]:  # a build numbers it the same
            keys["source"] = _text(f"{place}/1")
        elif numbers:
            keys["versions"] = _keys({name: _text(f"{place}/{name}") for name in numbers})
        beside = [name for name, entry in model.children.items() if name not in {*numbers, CONFIG} and _has(entry)]
        if beside:
            keys["files"] = _keys({name: _text(f"{place}/{name}") for name in sorted(beside)})
        return keys

    def config(self, config: Mapping[str, Any], message: Message) -> Keys:
        """Return the fields of a config, with the comments of those at its top."""
        node = _keys({name: _node(value) for name, value in config.items()})
        self.explain(node, message)
        return node

    def explain(self, node: Keys, message: Message) -> None:
        """Keep the comments of the fields that a mapping has."""
        said = {field.name: _said(field) for field in message.fields if field.name in node.keys}
        self.comments |= {(id(node), name): comment for name, comment in said.items() if comment}


def _said(field: Field) -> str:
    return " ".join(comment for comment in field.comments if not comment.startswith("Written by tritonrepo"))


def _has(entry: object) -> bool:
    """Return whether something below a model can be a source: files do, and directories that have files."""
    return not isinstance(entry, Directory)


def _unreadable(model: Model, where: str) -> Iterator[Diagnostic]:
    """Yield why the config of a model cannot be read."""
    for fault in model.parsed.faults if model.parsed is not None else ():
        at = Span(f"{where}/{model.name}/{CONFIG}", fault.line, fault.column)
        yield Diagnostic(RULE, Severity.ERROR, at, f"the config cannot be read: {fault.message}", fault.hint)


def _refused(text: str, work: Workspace) -> tuple[Diagnostic, ...]:
    faults = Faults()
    faults.tried(lambda: spec.read([("tritonrepo.yaml", text.encode())], {}, work.parts), None)
    return tuple(faults.found)


def _target(found: Repository) -> Node:
    """Return the target as a stack file says it; images are left out if those by default have all backends."""
    target, usual = found.target, Aimed().images
    keys: dict[str, Node] = {"release": _text(target.release.name)}
    used = {model.backend for model in found.models.values() if not model.is_ensemble}
    if target.images != usual and not (used & target.backends <= target.release.backends(usual)):
        keys["images"] = Items(NOWHERE, tuple(map(_text, target.images)))
    if target.arch != "x86_64":
        keys["arch"] = _text(target.arch)
    own = sorted(used - target.backends - {""}) if target.backends else []
    if own:  # what no Triton image has can only come from an own one
        keys["backends"] = Items(NOWHERE, tuple(map(_text, own)))
    return _keys(keys | {"gpus": _node(target.gpus)})


def _keys(values: Mapping[str, Node]) -> Keys:
    return Keys(NOWHERE, {name: (NOWHERE, value) for name, value in values.items()})


def _text(text: str) -> Scalar:
    return Scalar(NOWHERE, text, "str")


def _node(value: Any) -> Node:  # noqa: ANN401, PLR0911  plain data has any type
    """Return plain data of a config as a node."""
    if isinstance(value, Mapping):
        return _keys({str(key): _node(item) for key, item in value.items()})
    if isinstance(value, list | tuple):
        return Items(NOWHERE, tuple(map(_node, value)))
    if isinstance(value, bool):
        return Scalar(NOWHERE, str(value).lower(), "bool")
    if isinstance(value, Enum):
        return _text(str.__str__(value))
    if isinstance(value, str):
        return _text(value)
    return Scalar(NOWHERE, _number(value), "int" if isinstance(value, int) else "float")


def _number(value: float) -> str:
    """Return a number as YAML 1.2 writes it."""
    return {"inf": ".inf", "-inf": "-.inf", "nan": ".nan"}.get(repr(value), repr(value))


@reading()
def write(path: Path, text: str) -> None:
    """Write a stack file, whole or not at all; raise Stop if something is there already."""
    if path.exists() or path.is_symlink():
        raise fatal("adopt-exists", str(path), "the file already exists", "Choose another path with -o.")
    store, name = open_store(str(path))
    try:
        store.put(name, of_text(text), if_absent=True)
    finally:
        store.tidy()
