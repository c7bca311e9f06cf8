"""The pipeline of `adopt`: an existing repository becomes a stack file, which builds the same repository.

What a build wrote becomes parts and pipelines, if a build would write the same again. Every other model becomes one
with its own files and its whole config: a build of the stack adds only a version_policy that selects the versions that
are served now.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from tritonrepo import repository, spec
from tritonrepo.diagnostics import Diagnostic, Faults, Severity, Span, Stop, fatal
from tritonrepo.flows.adopt_models import RULE, Nodes, aimed, is_model, mapping, node, writable
from tritonrepo.flows.adopt_parts import NONE, Recognized, Search
from tritonrepo.flows.paths import reading
from tritonrepo.flows.target import of_record, record_of
from tritonrepo.flows.validate import Aim, declared
from tritonrepo.flows.workspace import Workspace
from tritonrepo.parts.recognition import Found
from tritonrepo.plain import printable
from tritonrepo.repository import NOTHING, Repository
from tritonrepo.repository.model import CONFIG
from tritonrepo.spec import lock_text, yaml
from tritonrepo.spec.lock import Lock
from tritonrepo.spec.nodes import MAX_BYTES, Keys, Node
from tritonrepo.stores import is_remote, open_store
from tritonrepo.stores.links import kept
from tritonrepo.stores.store import Conflict
from tritonrepo.sync import revision as revisions
from tritonrepo.sync.record import Record
from tritonrepo.tree import File, Tree, files, of_text

HERE = Path()


class Adopted(NamedTuple):
    """The text of a stack file, and the number of its models.

    `lock` and `files`, by their path relative to it, are what the stack file needs besides.
    """

    text: str
    models: int
    lock: Lock = Lock()
    files: Mapping[str, File] = MappingProxyType({})


@reading()
def adopt(path: Path | str, work: Workspace, aim: Aim = declared, beside: Path = HERE) -> Adopted:
    """Return the stack file of a repository; its sources are relative to the directory `beside`.

    Raise Stop with every model that a stack file cannot declare, such as one whose config cannot be read.
    """
    path = str(path)
    written = _read(path, work)
    target = aim(of_record(written.record, path), NOTHING)
    found = repository.read(written.tree, target, path)
    models = {name: model for name, model in found.models.items() if is_model(model)}
    if not models:
        hint = "Use the directory or URI of a repository that contains models."
        raise fatal("adopt-repository", path, "the repository does not exist or contains no models", hint)
    nodes = Nodes(path.rstrip("/") if is_remote(path) else _relative(path, beside), path)
    whole, recognized = _stack(nodes, Repository(models, {}, found.target, path), written, work)
    if left_out := sorted(found.models.keys() - models):
        names = "\n".join(f"  {printable(name)}/" for name in left_out)
        nodes.say(whole, "models", f"left out, because they have neither a config.pbtxt nor a version:\n{names}")
    tree = files(written.tree)
    copies = {path: tree[inner] for path, inner in recognized.copies.items()}
    return Adopted(_text(whole, nodes), len(models), recognized.lock, copies)


class _Written(NamedTuple):
    """A repository's tree, its record, and whether a file is as the record says."""

    tree: Tree
    record: Record
    unchanged: Callable[[str, File], bool]


def _read(path: str, work: Workspace) -> _Written:
    store, prefix = open_store(path, work.links)
    tree = kept(store.scan(prefix), path)
    record = record_of(store, prefix, tree, path)
    if not is_remote(path):
        digests = record.written()
        return _Written(tree, record, lambda name, file: name in digests and file.sha256 in digests[name])
    revision = revisions.read(store, prefix, path)[0] if prefix else None
    known = revisions.known(tree, revision)
    return _Written(known, record, lambda _, file: file.known_sha256 is not None)


def _relative(path: str, beside: Path) -> str:
    """Return a path as a source: relative to the stack file, and never like a URI."""
    relative = os.path.relpath(path, beside)
    return relative if relative.startswith("..") else f"./{relative}" if relative != "." else "."


def _name(path: str) -> str:
    """Return the last name of a path or URI."""
    return path.rstrip("/").rpartition("/")[2] if is_remote(path) else Path(path).resolve().name


def _stack(nodes: Nodes, found: Repository, written: _Written, work: Workspace) -> tuple[Keys, Recognized]:
    """Return the stack of a repository; raise Stop with every model that it cannot have."""
    faults = Faults()
    for model in found.models.values():
        faults.add(*nodes.faults(model))
    faults.stop()
    name = written.record.name or _name(found.root) or "adopted"
    head = {"name": node(name), "target": aimed(found, written.record)}
    recognized = _recognized(nodes, found, written, (work, head))
    models: dict[str, Node] = {
        name: recognized.models[name] if name in recognized.models else nodes.model(model, recognized.why.get(name, ""))
        for name, model in found.models.items()
        if name in recognized.models or name not in recognized.members
    }
    pipelines = {"ensembles": mapping(dict(recognized.pipelines))} if recognized.pipelines else {}
    whole = mapping({**head, "models": mapping(models), **pipelines})
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
    return whole, recognized


def _recognized(
    nodes: Nodes, found: Repository, written: _Written, using: tuple[Workspace, Mapping[str, Node]]
) -> Recognized:
    """Return the parts and pipelines that a build wrote."""
    known = Found(found.models, nodes.base, is_remote(found.root), written.record.local)
    ours = [model for name in found.models if (model := known.ours(name)) is not None]
    entries = {f"{model.name}/{path}": file for model in ours for path, file in files(model.entries).items()}
    trusted = frozenset(path for path, file in entries.items() if written.unchanged(path, file))
    return Search(known, nodes, using[0], trusted, using[1]).run() if ours else NONE


def _wrong(whole: Keys, work: Workspace) -> Sequence[Diagnostic]:
    faults = Faults()
    faults.tried(partial(_declared, whole, work), None)
    return faults.found


def _declared(whole: Keys, work: Workspace) -> None:
    """Raise Stop with everything in a stack that its text cannot hold or its keys do not allow."""
    writable(whole)
    spec.of_node(whole, work.parts)


def _text(whole: Keys, nodes: Nodes) -> str:
    text = yaml.text(whole, nodes.comment, short=True)
    size = len(text.encode())
    if size > MAX_BYTES:
        message = f"the stack file would have {size:,} bytes, but at most {MAX_BYTES:,} are allowed"
        raise fatal("adopt-repository", nodes.where, message, "Split the repository, and adopt each part.")
    return text


@reading()
def write(path: Path, adopted: Adopted) -> tuple[Path, ...]:
    """Write a stack file and what it needs, and return their paths; raise Stop if one of them is there already."""
    made = {path.parent / name: file for name, file in adopted.files.items()}
    made |= {path.with_suffix(".lock"): of_text(lock_text.dump(adopted.lock))} if adopted.lock != Lock() else {}
    made[path] = of_text(adopted.text)
    for each in made:
        if each.exists() or each.is_symlink():
            raise _exists(each)
    for each, file in made.items():
        store, name = open_store(str(each))
        try:
            store.put(name, file, if_absent=True)
        except Conflict:
            raise _exists(each) from None
        finally:
            store.tidy()
    return tuple(reversed(made))


def _exists(path: Path) -> Stop:
    return fatal("adopt-exists", str(path), "the file already exists", "Choose another path with -o.")
