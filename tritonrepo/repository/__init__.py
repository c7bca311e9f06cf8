"""Turns a tree into models with positions, as a server would see them; nothing is executed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tritonrepo.pbtxt import parse
from tritonrepo.pbtxt.parser import Parsed
from tritonrepo.pbtxt.root import Root
from tritonrepo.repository.counting import Told, told_each, untold
from tritonrepo.repository.gpus import counted, listed
from tritonrepo.repository.inference import infer
from tritonrepo.repository.model import CONFIG, Model, Repository
from tritonrepo.repository.target import NOTHING, Said, Target, target
from tritonrepo.repository.versions import selected, versions
from tritonrepo.tree import Directory, Entry, File, Tree, Unreadable, in_bytes, in_order, is_directory

__all__ = [
    "CONFIG_BYTES",
    "NOTHING",
    "Model",
    "Repository",
    "Said",
    "Target",
    "Tops",
    "model",
    "read",
    "target",
    "tops",
]

CONFIG_BYTES = 64 << 20
"""A larger file is not read as a config. Protobuf's own limit is 2 GiB."""

KEPT = 10_000
"""The configs of more models are kept as texts, to save memory, and read again when they are judged."""


class Tops(NamedTuple):
    """What is at the top of a tree: the entries of each model, which directories cannot be read, and everything else.

    Every directory is a model, whatever its name; so is one that cannot be read. They are in byte order.
    """

    models: Mapping[str, Mapping[str, Entry]]
    closed: Mapping[str, Entry]
    strays: Mapping[str, Entry]


def tops(tree: Tree) -> Tops:
    """Return what is at the top of a tree."""
    models: dict[str, dict[str, Entry]] = {}
    strays: dict[str, Entry] = {}
    closed: dict[str, Entry] = {}
    shared: dict[str, str] = {}  # models have files of the same names
    for path, entry in in_order(tree):
        top, slash, rest = path.partition("/")
        if slash:
            models.setdefault(top, {})[shared.setdefault(rest, rest)] = entry
        elif is_directory(entry):
            models.setdefault(top, {})
            if not isinstance(entry, Directory):
                closed[top] = entry
        else:
            strays[path] = entry
    return Tops({name: models[name] for name in sorted(models, key=in_bytes)}, closed, strays)


def read(tree: Tree, server: Target, root: str = "", told: Told = untold, there: Tops | None = None) -> Repository:
    """Return the repository that a server of this target would see; `root` is its path in the server's messages.

    `there` is what is at the top of the tree, if that is known.
    """
    models, closed, strays = there or tops(tree)
    made, same, gpus = dict[str, Model](), dict[frozenset[str], frozenset[str]](), 0
    for name in told_each(models, len(models), told):
        each = made[name] = model(name, models[name], server, root, closed.get(name))
        each.share(same)
        gpus = max(gpus, listed(each))
        if len(models) > KEPT:
            each.brief = True
            each.drop()
    server = counted(gpus, server)
    for each in made.values():
        each.beside, each.target = tree, server
    return Repository(made, strays, server, root)


def _children(entries: Mapping[str, Entry], below: str = "") -> dict[str, Entry | None]:
    """Return the names directly in a directory; a directory that is not empty is None."""
    children: dict[str, Entry | None] = {}
    for path, entry in entries.items():
        if path.startswith(below):
            name, slash, _ = path[len(below) :].partition("/")
            children[name] = None if slash else entry
    return children


def model(
    name: str, entries: Mapping[str, Entry], server: Target, root: str = "", closed: Entry | None = None
) -> Model:
    """Return the model of these entries, whose paths are relative to its directory.

    `closed` is what the directory is if it cannot be read.
    """
    children = _children(entries)
    parsed = _config(children.get(CONFIG), server)
    config = parsed.root if parsed is not None else _empty(server)
    directories = tuple(
        sorted((child for child, entry in children.items() if child and is_directory(entry)), key=in_bytes)
    )
    first = _children(entries, f"{directories[0]}/") if directories else {}
    found = versions(directories, config_names=server.release.has("configs-by-name"))
    odd = [(path, entry) for path, entry in entries.items() if not isinstance(entry, File | Directory)]
    unreadable = parsed is None and children.get(CONFIG, Unreadable.DANGLING) is not Unreadable.DANGLING
    return Model(
        name,
        entries,
        children,
        config,
        parsed,
        server,
        infer(name, config, first, server, bare=parsed is None),
        found,
        selected(found.found, config.message("version_policy")),
        directories,
        odd=(*odd, ("", closed)) if closed is not None else tuple(odd),
        hidden=closed is not None or unreadable,
        root=root,
    )


def _config(entry: Entry | None, server: Target) -> Parsed | None:
    if not isinstance(entry, File) or entry.size > CONFIG_BYTES:
        return None
    return parse(entry.content(), server.release.name)


def _empty(server: Target) -> Root:
    return parse(b"", server.release.name).root
