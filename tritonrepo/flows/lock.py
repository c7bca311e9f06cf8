"""The lock alone: resolved as a build would resolve it, with pins forgotten, or numbers from a bucket."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import NamedTuple

from tritonrepo.diagnostics import Diagnostic, Faults, Severity, closest, fatal
from tritonrepo.flows.lock_changes import Change, changes
from tritonrepo.flows.numbers import served
from tritonrepo.flows.paths import reading
from tritonrepo.flows.stack import Loaded, drafted, load, write_lock
from tritonrepo.flows.workspace import Workspace
from tritonrepo.spec import lock_text
from tritonrepo.spec.lock import Lock, Version, numbered
from tritonrepo.spec.source import Source
from tritonrepo.spec.stack import Stack
from tritonrepo.sync.place import Place

INDEX = ("index-changed", "index-embedder", "index-missing")
"""What a new embedder leads to: `tritonrepo index` needs its pin first, and ends these."""


class Locked(NamedTuple):
    """A stack's next lock, and what is left to do before a build can finish it."""

    loaded: Loaded
    lock: Lock
    warnings: tuple[Diagnostic, ...] = ()

    @property
    def changes(self) -> tuple[Change, ...]:
        """What the lock will say that it does not say now."""
        before = self.loaded.lock
        resolved = [Change("~", self.loaded.lock_path.name, "merge conflict resolved")] if before.schema == 0 else []
        return (*changes(before, self.lock), *resolved)


@reading()
def plan_lock(
    paths: Path | str | Sequence[Path | str],
    work: Workspace,
    *,
    upgrade: Collection[str] = (),
    renumber: Collection[str] = (),
    uri: Place | str | None = None,
) -> Locked:
    """Return the lock that a build of these stack files would write; nothing is written.

    The pins of the models and sources in `upgrade` are forgotten; the models in `renumber` get the next free number;
    the repository at `uri` decides which numbers are taken. A merge conflict in the lock is resolved. Raise Stop with
    every wrong name and every source that cannot be resolved. If only indexes are behind a change of sources, the
    numbers of models stay as they are, and a warning says so.
    """
    loaded = load(paths, work, lock_text.merged)
    stack, faults, models = loaded.stack, Faults(), dict(loaded.lock.models)
    forgotten: frozenset[str] = faults.tried(lambda: _forgotten(upgrade, loaded), frozenset())
    faults.tried(lambda: _known(renumber, loaded), None)
    faults.stop()
    if uri is not None:
        models |= {
            name: _learned(models.get(name), there) for name, there in served(uri, loaded, _names(stack)).items()
        }
    sources = {name: pins for name, pins in loaded.lock.sources.items() if name not in forgotten}
    base = replace(loaded.lock, sources=sources, models=models)
    gathering = loaded._replace(lock=base).gathering()
    asked = {name: models[name].forgetting() for name in renumber if name in models}
    draft = drafted(gathering, {**models, **asked}, faults)
    pinned = base.pinned(gathering.pins)
    if faults.found and (forgotten or base.schema == 0) and not renumber and _behind(faults):
        notes = tuple(replace(each, severity=Severity.WARNING) for each in faults.found)
        return Locked(loaded, replace(base, sources={**base.sources, **pinned}), notes)
    faults.stop()
    kept = {name: draft.versions[name].remembering(models[name]) for name in asked}
    return Locked(loaded, replace(base, sources=pinned, models={**models, **draft.versions, **kept}))


def apply_lock(locked: Locked) -> None:
    """Write the lock; raise Stop if somebody else has changed it since."""
    write_lock(locked.loaded, locked.lock)


def _behind(faults: Faults) -> bool:
    return all(each.rule in INDEX for each in faults.found)


def _learned(before: Version | None, there: Mapping[int, str]) -> Version:
    return before.learning(there) if before else numbered(there, max(there))


def _known(names: Collection[str], loaded: Loaded) -> None:
    """Raise Stop if one of these is not a model of the stack, or has its numbers in the stack file."""
    built = _names(loaded.stack)
    faults = Faults()
    for name in names:
        model = loaded.stack.models.get(name)
        if model is not None and getattr(model, "versions", False):
            message = f'the stack file itself sets the version numbers of "{name}"'
            faults.add(*fatal("lock-model", model.places["versions"], message, "Change them there.").diagnostics)
        elif name not in built:
            message = f'unknown model "{name}" in --renumber'
            faults.add(*fatal("lock-model", name, message, closest(name, sorted(built))).diagnostics)
    faults.stop()


def _names(stack: Stack) -> set[str]:
    """Return the names of everything that a stack builds."""
    return {*stack.built(), *stack.ensembles}


def _forgotten(names: Collection[str], loaded: Loaded) -> frozenset[str]:
    """Return the sources of the lock whose pins these names mean: a model's, one source, or all of one package.

    Raise Stop for a name that means none.
    """
    stack, lock, faults = loaded.stack, loaded.lock, Faults()
    of_models = {name: {source.text for source in _sources(model)} for name, model in stack.models.items()}
    texts = {*lock.sources, *(text for of_model in of_models.values() for text in of_model)}
    found: set[str] = set()
    for name in names:
        meant = of_models.get(stack.built().get(name, name))
        meant = {text for text in texts if f"{text}/".startswith(f"{name}/")} if meant is None else meant
        found |= meant
        if not meant:
            message = f'"{name}" in --upgrade is neither a model with sources nor a source'
            choices = sorted({*texts, *(each for each, of_model in of_models.items() if of_model)})
            faults.add(*fatal("lock-model", name, message, closest(name, choices)).diagnostics)
    faults.stop()
    return frozenset(found)


def _sources(value: object) -> Iterator[Source]:
    """Yield all sources within a value of a stack."""
    if isinstance(value, Source):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _sources(inner)
    elif is_dataclass(value) and not isinstance(value, type):
        for each in fields(value):
            yield from _sources(getattr(value, each.name))
