"""Checks of Kubernetes manifests: all files that one command names are checked together."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from tritonrepo.diagnostics import Diagnostic, Faults, Severity, Span, Stop, fatal
from tritonrepo.flows import validate as repositories
from tritonrepo.flows.anchors import anchor
from tritonrepo.flows.kustomization import UNBUILT, is_patch, resources
from tritonrepo.flows.manifest_paths import kustomization
from tritonrepo.flows.manifest_stack import compared, looked
from tritonrepo.flows.manifest_uris import misread
from tritonrepo.flows.paths import DEFAULT, reading
from tritonrepo.flows.remarks import heard, remarks_in
from tritonrepo.flows.validate import Aim, Judgement, Shown, declared, everything
from tritonrepo.flows.workspace import Workspace
from tritonrepo.manifests.objects import Manifests
from tritonrepo.manifests.reading import Read, read, resource, without_secrets
from tritonrepo.rules.manifests.judge import judge
from tritonrepo.spec.nodes import MAX_BYTES
from tritonrepo.stores import is_remote
from tritonrepo.stores.links import inside

NOTHING: Mapping[str, bytes] = MappingProxyType({})


class Against(NamedTuple):
    """The stack or repository that manifests serve, and the GPUs that there are for them, None if not known.

    They are `whole` unless others, which are not given, belong to them.
    """

    stack: str | None = None
    gpus: int | None = None
    whole: bool = True


ALONE = Against()
NO_MANIFEST = "Name a file whose first object has an apiVersion, or a kustomization."


class _Part(NamedTuple):
    """What a path names: its files, what is to be said of it, and whether these are all objects that it makes."""

    files: tuple[Read, ...]
    said: tuple[Diagnostic, ...] = ()
    whole: bool = True


class Together:
    """The manifests among the paths of a command; `given` are the contents of those that are not on the disk.

    `against` is what they are checked against, besides themselves.
    """

    def __init__(
        self,
        paths: Iterable[str],
        links: Sequence[Path] = (),
        given: Mapping[str, bytes] = NOTHING,
        against: Against = ALONE,
    ) -> None:
        self._against, self._judged = against, list[tuple[Diagnostic, ...]]()
        self._parts: dict[str, _Part] = {}
        self._stops: dict[str, Stop] = {}
        seen = set[str]()
        for path in dict.fromkeys((*given, *paths)):
            try:
                part = _part(path, links, given)
            except Stop as stop:
                self._stops[path] = stop
                continue
            if part is not None:
                new = tuple(each for each in part.files if each.path not in seen)
                self._parts[path] = part._replace(files=new)
                seen.update(each.path for each in new)

    def has(self, path: str) -> bool:
        """Whether a path names manifests."""
        return path in self._parts or path in self._stops

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths that name manifests."""
        return (*self._parts, *self._stops)

    def files(self, path: str) -> tuple[str, ...]:
        """Return the paths of the files that a path names, itself among them."""
        return (path, *(each.path for each in self._parts[path].files)) if path in self._parts else (path,)

    def judged(self, path: str, work: Workspace, _aim: Aim, shown: Shown) -> Judgement:
        """Return what is found in the files of a path, all of them checked together."""
        if path in self._stops:
            raise self._stops[path]
        part = self._parts[path]
        own = {each.path for each in part.files}
        contents = {each.path: each.content for each in part.files}
        said = [*remarks_in(sorted(contents.items()))]
        found = [each for each in self._found(work) if each.at.path in own]
        sifted = heard(found, said, shown)
        faults = [*part.said, *(fault for each in part.files for fault in each.faults)]
        left = sorted([*faults, *sifted.left], key=lambda each: (each.at, each.rule))
        return Judgement(
            tuple(map(anchor(path).held, left)),
            (),
            lambda name: [line for each in part.files if each.path == name for line in without_secrets(each)],
            len(sifted.hidden),
            hidden=tuple(sifted.hidden),
            objects=sum(len(each.objects) for each in part.files),
        )

    @cached_property
    def _manifests(self) -> Manifests:
        files = [each for part in self._parts.values() for each in part.files]
        whole = self._against.whole and not self._stops and all(part.whole for part in self._parts.values())
        whole = whole and not any(each.faults for each in files)
        return Manifests(tuple(found for each in files for found in each.objects), whole)

    def _found(self, work: Workspace) -> tuple[Diagnostic, ...]:
        """Return everything that is found, which is worked out once."""
        if not self._judged:
            stack, gpus, _ = self._against
            beside = misread(self._manifests)
            beside += compared(self._manifests, partial(looked, stack, work)) if stack is not None else ()
            self._judged.append(judge(replace(self._manifests, compared=beside, gpus=gpus), everything))
        return self._judged[0]


def manifests_of(files: Iterable[str]) -> list[str]:
    """Return what changed files are checked as, if they are manifests: each alone, or the kustomization that names it.

    Templates are left out, and so is what a kustomization beside it does not name as a resource, such as a patch.
    """
    found = dict[str, None]()
    for path in files:
        above = kustomization(os.path.dirname(path) or ".")  # noqa: PTH120  which keeps `./`
        if above is None and _is_manifest(path):
            found[path] = None
        elif above is not None and Path(path).is_file() and _names(above, path):
            found[str(above)] = None
    return list(found)


def _is_manifest(path: str) -> bool:
    if not Path(path).is_file():
        return False
    with Path(path).open("rb") as stream:
        found = read(stream.read(MAX_BYTES + 1), path)
    return found is not None and not found.template


def _names(above: Path, path: str) -> bool:
    """Return whether a kustomization is the file, or names it as a resource."""
    named = (str(above), *(name for name, _ in resources(above).files))
    return any(os.path.samefile(each, path) for each in named)  # noqa: PTH121


def validate(
    path: Path | str, work: Workspace, aim: Aim = declared, shown: Shown = everything, release: str = ""
) -> Judgement:
    """Check a repository, a stack, or manifests, as `flows.validate` and `validate_manifests` do."""
    found = Together([str(path)], work.links)
    if found.has(str(path)):
        return found.judged(str(path), work, aim, shown)
    return repositories.validate(path, work, aim, shown, release)


def validate_manifests(
    paths: Iterable[Path | str], work: Workspace, against: Against = ALONE, shown: Shown = everything
) -> Judgement:
    """Check manifests and kustomizations together; raise Stop if one of the paths names none, or cannot be read."""
    given = [str(path) for path in paths]
    found, faults = Together(given, work.links, against=against), Faults()
    for path in (path for path in given if not found.has(path)):
        message = "the path names no Kubernetes manifest" if Path(path).exists() else "the path does not exist"
        faults.add(*fatal("validate-path", path, message, NO_MANIFEST).diagnostics)
    faults.stop()
    parts = [found.judged(path, work, declared, shown) for path in dict.fromkeys(given)]
    return Judgement(
        tuple(each for part in parts for each in part.diagnostics),
        (),
        lambda name: next((lines for part in parts if (lines := part.lines(name))), []),
        sum(part.ignored for part in parts),
        hidden=tuple(each for part in parts for each in part.hidden),
        objects=sum(part.objects for part in parts),
    )


@reading()
def _part(path: str, links: Sequence[Path], given: Mapping[str, bytes]) -> _Part | None:
    """Return what a path names if it names manifests, None if it does not."""
    if path in given:
        found = read(given[path], path)
        return _Part((found,)) if found is not None else None
    if is_remote(path) or (Path(path) / DEFAULT).is_file():
        return None
    above = kustomization(path)
    if above is not None:
        inside(above, above.parent, links)
        made = resources(above)
        return _Part(tuple(resource(content, name) for name, content in made.files), made.said, made.whole)
    if not Path(path).is_file():
        return None
    with inside(Path(path), Path(path).parent, links).open("rb") as stream:
        manifest = read(stream.read(MAX_BYTES + 1), path)
    return _alone(manifest) if manifest is not None else None


def _alone(manifest: Read) -> _Part:
    """Return a file as what is checked, unless it is a patch."""
    above = is_patch(manifest.path)
    if above is None:
        return _Part((manifest,))
    message = f"the file is a patch of {above}, so its objects are not whole, and are not checked"
    hint = f"Check the result: `kustomize build {above.parent} | tritonrepo validate -`."
    return _Part((), (Diagnostic(UNBUILT, Severity.INFO, Span(manifest.path), message, hint),), whole=False)
