"""Checks of Kubernetes manifests: all files that one command names are checked together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from tritonrepo.diagnostics import Diagnostic, Stop
from tritonrepo.flows.anchors import anchor
from tritonrepo.flows.kustomization import kustomization, resources
from tritonrepo.flows.manifest_stack import compared, looked
from tritonrepo.flows.manifest_uris import misread
from tritonrepo.flows.remarks import heard, remarks_in
from tritonrepo.flows.stack import DEFAULT, reading
from tritonrepo.flows.validate import Aim, Judgement, Shown, everything
from tritonrepo.flows.workspace import Workspace
from tritonrepo.manifests.objects import Manifests
from tritonrepo.manifests.reading import Read, read, resource, without_secrets
from tritonrepo.rules.manifests.judge import judge
from tritonrepo.spec.nodes import MAX_BYTES
from tritonrepo.stores import is_remote
from tritonrepo.stores.links import inside

NOTHING: Mapping[str, bytes] = MappingProxyType({})


class Against(NamedTuple):
    """The stack or repository that manifests serve, and the GPUs that there are for them, None if not known."""

    stack: str | None = None
    gpus: int | None = None


ALONE = Against()


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
        whole = not self._stops and all(part.whole for part in self._parts.values())
        whole = whole and not any(each.faults for each in files)
        return Manifests(tuple(found for each in files for found in each.objects), whole)

    def _found(self, work: Workspace) -> tuple[Diagnostic, ...]:
        """Return everything that is found, which is worked out once."""
        if not self._judged:
            stack, gpus = self._against
            beside = misread(self._manifests)
            beside += compared(self._manifests, partial(looked, stack, work)) if stack is not None else ()
            self._judged.append(judge(replace(self._manifests, compared=beside, gpus=gpus), everything))
        return self._judged[0]


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
        content = stream.read(MAX_BYTES + 1)
    manifest = read(content, path)
    return _Part((manifest,)) if manifest is not None else None
