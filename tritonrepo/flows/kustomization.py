"""The files that a kustomization names as its resources, as far as they are below one directory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tritonrepo.diagnostics import Diagnostic, Severity, Stop
from tritonrepo.flows.anchors import directory, work_tree
from tritonrepo.flows.manifest_paths import NAMES, kustomization
from tritonrepo.manifests.objects import find, items, text
from tritonrepo.spec.nodes import MAX_BYTES, Keys, Scalar, documents
from tritonrepo.stores.walk import is_in

MOST_FILES = 1_000
UNBUILT = "kustomization-not-built"
RESOURCE = "kustomization-resource"
CHANGING = (
    *("patches", "patchesStrategicMerge", "patchesJson6902", "replacements", "components", "transformers"),
    *("configMapGenerator", "secretGenerator", "generators", "helmCharts", "images", "replicas", "namespace"),
    *("namePrefix", "nameSuffix", "labels", "commonLabels", "commonAnnotations"),
)
"""Fields that change the resources or add some. Source: kustomize, api/types/kustomization.go."""


class Resources(NamedTuple):
    """The files of a kustomization with their contents, what is to be said of it, and whether these are all objects."""

    files: tuple[tuple[str, bytes], ...]
    said: tuple[Diagnostic, ...] = ()
    whole: bool = True


def is_patch(path: str) -> Path | None:
    """Return the kustomization beside a file that applies it as a patch, None if none does that can be read."""
    above = kustomization(os.path.dirname(path) or ".")  # noqa: PTH120  which keeps `./`
    if above is None:
        return None
    try:
        found = documents(_bytes(above), str(above))
    except (Stop, OSError):
        return None
    named = {os.path.normpath(above.parent / each) for node in found[:1] for each in _patches(node)}
    return above if os.path.normpath(path) in named else None


def _patches(node: Keys) -> Iterator[str]:
    """Yield the files that a kustomization applies as patches; a name with line breaks is the patch itself."""
    for key in ("patches", "patchesStrategicMerge", "patchesJson6902"):
        for each in items(node, key):
            name = each.text if isinstance(each, Scalar) else text(each, "path")
            if name and "\n" not in name and "\0" not in name:
                yield name


def resources(path: Path) -> Resources:
    """Return the resources of a kustomization and of those that it names, each once."""
    home = directory(str(path))
    here = Path.cwd()
    root = work_tree(home) or (here if is_in(str(home), str(here)) else home)
    walk = _Walk(os.path.realpath(root))
    walk.kustomization(path)
    return Resources(tuple(walk.files.items()), tuple(walk.said), walk.whole)


class _Walk:
    """A walk over kustomizations, which reads nothing outside a directory."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.files: dict[str, bytes] = {}
        self.said: list[Diagnostic] = []
        self.whole = True
        self._seen: set[str] = set()

    def kustomization(self, path: Path) -> None:
        """Read a kustomization, and what it names."""
        there = os.path.realpath(path)
        if there in self._seen or len(self._seen) > MOST_FILES:
            return
        self._seen.add(there)
        try:
            found = documents(_bytes(path), str(path))
        except Stop as stop:
            self.said += stop.of(Severity.ERROR).diagnostics
            self.whole = False
            return
        for node in found[:1]:
            self._changed(node, path)
            for each in _named(node):
                self._resource(each, path.parent)

    def _changed(self, node: Keys, path: Path) -> None:
        found = [name for name in CHANGING if find(node, name) is not None]
        if found:
            self.whole = False
            hint = f"Check the result: `kustomize build {path.parent} | tritonrepo validate -`."
            message = f"the resources are checked without the {', '.join(found)} of this kustomization"
            self.said.append(Diagnostic(UNBUILT, Severity.INFO, node.keys[found[0]][0], message, hint))

    def _resource(self, named: Scalar, above: Path) -> None:
        if "://" in named.text or named.text.startswith(("github.com", "git@")) or "?ref=" in named.text:
            self._left(named, f"{named.text} is not checked, since it is remote")
            return
        path = Path(os.path.normpath(above / named.text))
        if not is_in(os.path.realpath(path), self.root):
            self._left(named, f"{path} is not checked, since it is outside {self.root}")
        elif path.is_dir():
            below = kustomization(str(path))
            if below is None:
                self._missing(named, f"the directory {path} has no {NAMES[0]}")
            else:
                self.kustomization(below)
        elif not path.is_file():
            self._missing(
                named, f"the resource {path} {'is not a regular file' if path.exists() else 'does not exist'}"
            )
        elif len(self.files) >= MOST_FILES:
            self._left(named, f"{path} is not checked, since {MOST_FILES:,} files are checked at most")
        else:
            self.files.setdefault(str(path), _bytes(path))

    def _left(self, named: Scalar, message: str) -> None:
        self.whole = False
        self.said.append(Diagnostic(UNBUILT, Severity.INFO, named.at, message))

    def _missing(self, named: Scalar, message: str) -> None:
        self.whole = False
        hint = "Use a path relative to this file."
        self.said.append(Diagnostic(RESOURCE, Severity.ERROR, named.at, message, hint))


def _named(node: Keys) -> Iterator[Scalar]:
    for key in ("resources", "bases"):
        yield from (each for each in items(node, key) if isinstance(each, Scalar) and each.text)


def _bytes(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(MAX_BYTES + 1)
