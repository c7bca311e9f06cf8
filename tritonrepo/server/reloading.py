"""Reloading models of a running server: its private copy is brought up to date, then only what changed is loaded.

In explicit mode, a load whose model fails leaves the loaded version in service, and pipelines that name no version
follow their models (tried on Triton 24.10).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from tritonrepo.diagnostics import Diagnostic, Severity, Stop
from tritonrepo.server import loading, logs, staging
from tritonrepo.server.client import Client
from tritonrepo.server.launch import copy_path
from tritonrepo.server.process import Server
from tritonrepo.stores.beneath import Scanned
from tritonrepo.tree import Directory, File, Tree


class Reloaded(NamedTuple):
    """What became of the models that changed: names in the order of the calls, and why some were refused."""

    loaded: tuple[str, ...] = ()
    unloaded: tuple[str, ...] = ()
    refused: tuple[Diagnostic, ...] = ()


def update(server: Server, tree: Tree, paths: Iterable[str]) -> None:
    """Bring these paths of the private copy up to date; files that a start replaced stay as they are."""
    copied = copy_path(server.home)
    for path in sorted(set(paths) - server.launch.replaced.keys()):
        place, entry = copied / path, tree.get(path)
        if place.is_dir() and not isinstance(entry, Directory):
            shutil.rmtree(place)
        place.unlink(missing_ok=True) if not place.is_dir() else None
        if isinstance(entry, Directory):
            place.mkdir(parents=True, exist_ok=True)
        elif isinstance(entry, File) and isinstance(entry.place, Scanned):
            _above(place, copied)
            staging.taken(entry.place, place)
        else:
            _pruned(place.parent, copied)


def reload(server: Server, names: Iterable[str], gone: Iterable[str]) -> Reloaded:
    """Load models, callees first as given, and unload those that are gone."""
    client = Client(replace(server.endpoint, timeout_s=server.launch.deadline_s))
    loaded, unloaded, refused = [], [], []
    for name in names:
        try:
            client.load(name)
        except Stop as stop:
            refused.append(_refused(server, name, stop))
        else:
            loaded.append(name)
    for name in gone:
        with suppress(Stop):  # it never loaded
            client.unload(name)
            unloaded.append(name)
    return Reloaded(tuple(loaded), tuple(unloaded), tuple(refused))


def _refused(server: Server, name: str, stop: Stop) -> Diagnostic:
    """Return why a model was refused, as at a start."""
    said = server.as_given(stop.diagnostics[0].message.partition("load failed for model")[2].partition(" state: ")[2])
    if not said:
        said = logs.reasons(server.log()).get(name) or stop.diagnostics[0].message
    message, hint = loading.words(name, said.strip().rstrip(";").strip(), [], str(server.launch.repository))
    stays = "The version that was loaded before stays in service." if _serves(server, name) else ""
    hint = "\n".join(filter(None, [hint, stays]))
    return Diagnostic("server-model-unavailable", Severity.ERROR, server.launch.place(name), message, hint)


def _serves(server: Server, name: str) -> bool:
    try:
        return any(state.name == name and state.state == "READY" for state in Client(server.endpoint).index())
    except Stop:
        return False


def _above(place: Path, top: Path) -> None:
    """Make the directories above a file; a file in their place is one that became a directory."""
    for parent in reversed([each for each in place.parents if each.is_relative_to(top)]):
        if parent.exists() and not parent.is_dir():
            parent.unlink()
        parent.mkdir(exist_ok=True)


def _pruned(directory: Path, top: Path) -> None:
    """Remove directories that became empty, up to the top, except for what Python left in them."""
    while directory != top and directory.is_relative_to(top):
        with suppress(OSError):
            if {each.name for each in directory.iterdir()} <= {staging.WRITTEN_BY_PYTHON}:
                shutil.rmtree(directory)
        directory = directory.parent


def changed(have: Mapping[str, str], want: Mapping[str, str]) -> list[str]:
    """Return the paths whose content differs."""
    return sorted(path for path in have.keys() | want.keys() if have.get(path) != want.get(path))
