"""A build of proposed parts and pipelines in memory, compared with the repository that they are to describe."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tritonrepo import repository
from tritonrepo.diagnostics import Span, Stop
from tritonrepo.generate import generate
from tritonrepo.generate.draft import Draft
from tritonrepo.generate.inputs import Inputs
from tritonrepo.indexing.files import digested
from tritonrepo.indexing.vectors import EMBEDDINGS, PASSAGES
from tritonrepo.parts.model import is_version
from tritonrepo.parts.recognition import Found
from tritonrepo.pbtxt.convert import to_plain
from tritonrepo.repository import Model
from tritonrepo.repository.model import CONFIG
from tritonrepo.shared import is_shared
from tritonrepo.sources.gather import Gathering
from tritonrepo.sources.resolve import Resolved
from tritonrepo.spec.lock import Index, Lock, Pin, Version, numbered
from tritonrepo.spec.source import Bucket, Local, Source
from tritonrepo.spec.stack import Stack
from tritonrepo.tree import Directory, Entry, File, below, digest, files, of_bytes

KEEP = ".keep"


class Reading(Gathering):
    """Reads sources in a repository from its tree: nothing of a bucket is downloaded but what is looked at."""

    tree: Mapping[str, Entry]
    base: str
    copies: Mapping[str, str]
    """Files next to the stack file, each with its path in the repository."""

    def resolved(self, source: Source, at: Span, only: Sequence[str] = ()) -> Resolved:
        """Return the files of a source as a build would, without their pins."""
        path = self._inside(source.text) if isinstance(source, Local | Bucket) else None
        if path is None:
            return super().resolved(source, at, only)
        entry = self.tree.get(path)
        if isinstance(entry, File):
            return Resolved({path.rpartition("/")[2]: entry}, Pin(), single=True)
        return Resolved(files(below(self.tree, path)), Pin())

    def file(self, path: Path, at: Span) -> File | None:
        """Return a file that the stack file names; None if it does not exist."""
        inner = self.copies.get(f"./{path}", self._inside(str(path)))
        entry = self.tree.get(inner) if inner is not None else None
        return entry if isinstance(entry, File) else super().file(path, at)

    def _inside(self, text: str) -> str | None:
        """Return the path in the repository that a path or URI stands for; None if it is elsewhere."""
        base, path = self.base, text
        if "://" not in base:
            base, path = os.path.normpath(base), os.path.normpath(text)
        head = "" if base == "." else f"{base}/"
        return path.removeprefix(head) if path.startswith(head) else None


class Trial(NamedTuple):
    """What a build makes of a stack: the draft, the lock, and why the files of some models cannot be gathered."""

    draft: Draft
    lock: Lock
    wrong: Mapping[str, str]


def tried(stack: Stack, reading: Reading, found: Found) -> Trial:
    """Return what a build would make of a stack of parts; raise Stop if their packages cannot be obtained."""
    lock = Lock(models=dict(_numbers(stack, found)))
    reading.lock = lock
    packages = reading.vendored()
    wrong: dict[str, str] = {}
    gathered: dict[str, Any] = {}
    for name, model in stack.models.items():
        try:
            if (index := stack.part(name).index) is not None:
                reading.lock = lock = _indexed(lock, name, index(model).embed_with, reading, found)
            gathered[name] = reading.files(name)
        except Stop as stop:
            wrong[name] = stop.diagnostics[0].message
            gathered[name] = stack.part(name).stand_in(model)
    draft = generate(Inputs(stack, gathered, packages), lock.models)
    pinned = Lock(lock.pinned(reading.pins), lock.indexes, lock.models)
    return Trial(draft, pinned, wrong)


def _numbers(stack: Stack, found: Found) -> Iterator[tuple[str, Version]]:
    """Yield the version of each model of a part and each pipeline, as the repository has it."""
    own = {name for name in stack.models if not stack.part(name).steps}
    for name in sorted({*stack.built(), *stack.ensembles} - own):
        model, number = found.models[name], found.version(name)
        assert number is not None  # noqa: S101  others are not proposed
        content = found.files(name) or {KEEP: of_bytes(b"")}
        others = dict.fromkeys(map(int, filter(is_version, model.directories)), "")
        yield name, numbered({**others, number: digest(content)}, number)


def _indexed(lock: Lock, name: str, maker: str, reading: Reading, found: Found) -> Lock:
    """Return the lock with the pin of an index, which was built with the embedder that the repository has."""
    own = found.files(name)
    made_from = digested([(PASSAGES, own[PASSAGES].sha256)])
    pin = Index(made_from, reading.embeds(maker).identity, own[EMBEDDINGS].sha256, own[PASSAGES].sha256)
    return Lock(lock.sources, {**lock.indexes, name: pin}, lock.models)


def different(model: Model, draft: Draft) -> str:
    """Return a file of a model besides its config that a build would not write so; "" if there is none.

    Versions that are not served are not looked at, nor is what only they share.
    """
    number, served = draft.pinned(model.name), model.served[0]
    made = {_numbered(path, number, served): file for path, file in below(draft.tree, model.name).items()}
    made.pop(CONFIG)
    for path, file in made.items():
        if not isinstance(file, File) or not _equal(model, path, file):
            return path
    tops = {path.partition("/")[0] for path in made}
    for path, entry in model.entries.items():
        top = path.partition("/")[0]
        dead = top not in tops and (is_version(top) or is_shared(top))
        if path not in {*made, CONFIG} and not dead and not (isinstance(entry, Directory) and top in tops):
            return path
    return ""


def _numbered(path: str, number: int, served: int) -> str:
    """Return the path of a file in the version that is served: other content would get the next number."""
    return f"{served}{path.removeprefix(str(number))}" if path.startswith(f"{number}/") else path


def _equal(model: Model, path: str, file: File) -> bool:
    have = model.entries.get(path)
    if isinstance(have, File):
        return (have.size, have.sha256) == (file.size, file.sha256)
    return path.endswith(f"/{KEEP}") and isinstance(model.entries.get(path.removesuffix(f"/{KEEP}")), Directory)


def configs(model: Model, draft: Draft) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return the config of a model that a build would write, and the one that it has."""
    made = repository.model(model.name, {CONFIG: draft.tree[f"{model.name}/{CONFIG}"]}, model.target)
    return to_plain(made.config), to_plain(model.config)


def overlay(made: Mapping[str, Any], have: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that, laid over one config, make it the other; null for one that is to be removed."""
    fields: dict[str, Any] = {name: None for name in made if name not in have}
    for name, value in have.items():
        before = made.get(name)
        if name in made and before == value:
            continue
        both = isinstance(before, Mapping) and isinstance(value, Mapping)
        fields[name] = overlay(before, value) if both and isinstance(before, Mapping) else value
    return fields
