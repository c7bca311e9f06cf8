"""What of a repository is still needed: by its configs, by the revisions that stay, by what is not this stack's. Pure.

Needed is everything that the current revision or a kept one has, every version that a config in the bucket names (as
served, in a step of any model, or in the calls.json of a version that stays), and each model that no revision of this
stack has published. Of a model whose config no server accepts, everything is: servers may serve an earlier one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from tritonrepo.repository import Target
from tritonrepo.repository.model import CONFIG
from tritonrepo.shared import SETTINGS, named
from tritonrepo.sync.gating import LATEST, Call, Model, models, name_gate, reached
from tritonrepo.sync.push import uploadable
from tritonrepo.sync.revision import Revision, versions
from tritonrepo.tree import File, Tree, files

STEPS = 0
"""Stands for the version of a model whose steps are called whatever its versions are; no version has this number."""


class Past(NamedTuple):
    """The revisions of a repository: the current one, earlier ones that stay restorable, and others with a record.

    Each from the newest to the oldest. `copies` are the contents that pushes have overwritten, by their digest.
    """

    current: Revision
    kept: Sequence[Revision] = ()
    former: Sequence[Revision] = ()
    copies: Mapping[str, File] = {}

    @property
    def staying(self) -> tuple[Revision, ...]:
        """The revisions that can be restored afterwards."""
        return (self.current, *self.kept)


class Bucket(NamedTuple):
    """What a bucket has of a repository: its files; its models, as a server sees them; its revisions.

    `held` are the paths of the revisions that stay. `ours` are the models in it that revisions have published: of
    these, `dropped` ones are in no revision that stays, and of those, nothing needs the ones that are `leaving`.
    `unclear` are models of which nothing can be removed, because it is not known what servers serve of them, or whose
    they are by now. `stays` are model and version of all that is needed.
    """

    own: Mapping[str, File]
    had: Mapping[str, Model]
    past: Past
    held: Collection[str]
    ours: Collection[str]
    dropped: Collection[str]
    leaving: Collection[str]
    unclear: Collection[str]
    stays: Collection[Call]

    def directories(self, model: Model) -> set[str]:
        """Return the directories that versions of a model share and that are needed."""
        tops = {path.split("/")[1] for path in self.held if path.startswith(f"{model.name}/")}
        for number, top in model.versions.items():
            settings = model.files.get(f"{top}/{SETTINGS}")
            if settings and (model.name, number) in self.stays:
                tops |= named(settings)
        return tops


def bucket(have: Tree, past: Past, server: Target) -> Bucket:
    """Return what there is, and what of it is needed, read as this server reads it."""
    had = models(uploadable(have), server)
    held = {path for revision in past.staying for path in revision.files}
    former = names(path for revision in past.former for path in revision.files)
    ours = (names(held) | former) & had.keys()
    dropped = ours - names(held)
    odd = names(path for path, entry in have.items() if not isinstance(entry, File))
    proven = {name for name in dropped - odd if _is_published(had[name], past.former)}
    clear = {name for name in ours if _is_clear(had[name])}
    stays = _stays(had, had.keys() - proven, clear, past)
    leaving = proven - {name for name, _ in stays}
    unclear = (dropped - proven) | (ours - leaving - clear)
    return Bucket(files(have), had, past, held, ours, dropped, leaving, unclear, stays)


def names(paths: Iterable[str]) -> set[str]:
    """Return the models that these paths belong to."""
    return {path.partition("/")[0] for path in paths}


def hidden(name: str) -> bytes:
    """Return the config that hides a model while its files are deleted."""
    return f'# The model is being removed.\nname: "{name}.removed"\n'.encode()


def _is_clear(model: Model) -> bool:
    """Whether a config says what servers serve."""
    return not model.gated and CONFIG in model.files


def _is_published(model: Model, revisions: Iterable[Revision]) -> bool:
    """Whether a config is one that a revision published, or stands for it while files arrive or go."""
    file, path = model.files.get(CONFIG), f"{model.name}/{CONFIG}"
    if file is None or model.text in {b"", hidden(model.name), name_gate(model.name)}:
        return True
    return any(path in each.files and each.files[path].sha256 == file.sha256 for each in revisions)


def _stays(had: Mapping[str, Model], start: Iterable[str], clear: Collection[str], past: Past) -> set[Call]:
    """Return model and version of what these models need: all that they call, and what stays of themselves.

    Of the clear ones, that is what is served and what revisions need, and of the others everything.
    """
    held = {
        (name, number)
        for revision in past.staying
        for name, numbers in versions(revision).items()
        for number in numbers
    }
    first = [
        (name, number)
        for name in start
        for number in (STEPS, *(had[name].served if name in clear else had[name].versions))
    ]

    def calls(one: Call) -> Iterator[Call]:
        name, number = one
        for called, asked in had[name].called(number) if name in had else ():
            yield from ((called, each) for each in (STEPS, asked) if each != LATEST)
            # what stays because it is called is served on as it is
            yield from ((called, each) for each in (had[called].served if called in had else ()))

    return reached([*first, *held], calls)
