"""The pipeline of `adopt`: an existing repository becomes a stack file, which builds the same repository.

Every model becomes one with its own files and its whole config: a build of the stack adds only a version_policy that
selects the versions that are served now.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tritonrepo import repository, spec
from tritonrepo.diagnostics import Diagnostic, Faults, Severity, Span, fatal
from tritonrepo.flows.adopt_models import NOWHERE, RULE, Nodes, aimed, is_model, mapping, node
from tritonrepo.flows.stack import reading
from tritonrepo.flows.target import of_record, record_of
from tritonrepo.flows.validate import Aim, declared
from tritonrepo.flows.workspace import Workspace
from tritonrepo.plain import printable
from tritonrepo.repository import NOTHING, Repository
from tritonrepo.repository.model import CONFIG
from tritonrepo.spec import yaml
from tritonrepo.spec.nodes import MAX_BYTES, Items, Keys, Node, Scalar, refuse_unwritable
from tritonrepo.stores import is_remote, open_store
from tritonrepo.stores.links import kept
from tritonrepo.tree import of_text

HERE = Path()


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
    models = {name: model for name, model in found.models.items() if is_model(model)}
    if not models:
        hint = "Use the directory or URI of a repository that contains models."
        raise fatal("adopt-repository", path, "the repository does not exist or contains no models", hint)
    nodes = Nodes(path.rstrip("/") if is_remote(path) else _relative(path, beside), path)
    whole = _stack(nodes, Repository(models, {}, target, path), work)
    if left_out := sorted(found.models.keys() - models):
        names = "\n".join(f"  {printable(name)}/" for name in left_out)
        nodes.say(whole, "models", f"left out, because they have neither a config.pbtxt nor a version:\n{names}")
    return Adopted(_text(whole, nodes), len(models))


def _relative(path: str, beside: Path) -> str:
    """Return a path as a source: relative to the stack file, and never like a URI."""
    relative = os.path.relpath(path, beside)
    return relative if relative.startswith("..") else f"./{relative}" if relative != "." else "."


def _stack(nodes: Nodes, found: Repository, work: Workspace) -> Keys:
    """Return the stack of a repository; raise Stop with every model that it cannot have."""
    faults = Faults()
    for model in found.models.values():
        faults.add(*nodes.faults(model))
    faults.stop()
    name = Path(found.root.rstrip("/")).name or "adopted"
    head = {"name": node(name), "target": aimed(found)}
    models: dict[str, Node] = {name: nodes.model(model) for name, model in found.models.items()}
    whole = mapping(head | {"models": mapping(models)})
    together = _wrong(whole, work)
    for name, each in models.items() if together else ():  # the stack does not say which of them is at fault
        for said in _wrong(mapping(head | {"models": mapping({name: each})}), work):
            message = f'model "{name}" cannot be declared in a stack file: {said.message}'
            at = Span(f"{found.root}/{name}/{CONFIG}")
            faults.add(Diagnostic(RULE, Severity.ERROR, at, message, said.hint))
    for said in () if faults.found else together:
        message = f"the models cannot be declared in one stack file: {said.message}"
        faults.add(Diagnostic(RULE, Severity.ERROR, Span(found.root), message, said.hint))
    faults.stop()
    return whole


def _wrong(whole: Keys, work: Workspace) -> Sequence[Diagnostic]:
    faults = Faults()
    faults.tried(partial(_declared, whole, work), None)
    return faults.found


def _declared(whole: Keys, work: Workspace) -> None:
    """Raise Stop with everything in a stack that its text cannot hold or its keys do not allow."""
    _writable(whole)
    spec.of_node(whole, work.parts)


def _writable(node: Node) -> None:
    match node:
        case Scalar():
            refuse_unwritable(node.text, NOWHERE)
        case Items():
            for item in node.items:
                _writable(item)
        case Keys():
            for name, (_, value) in node.keys.items():
                refuse_unwritable(name, NOWHERE)
                _writable(value)


def _text(whole: Keys, nodes: Nodes) -> str:
    text = yaml.text(whole, nodes.comment, short=True)
    size = len(text.encode())
    if size > MAX_BYTES:
        message = f"the stack file would have {size:,} bytes, but at most {MAX_BYTES:,} are allowed"
        raise fatal("adopt-repository", nodes.where, message, "Split the repository, and adopt each part.")
    return text


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
