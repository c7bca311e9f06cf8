"""What a rollback changes in the configs of a revision: later pushes left versions and models in the bucket. Pure.

A rollback removes nothing, so the versions that a config serves are named wherever

- its policy counts directories (`latest`, `all`, none): it would select a later version that is still there;
- a model that the revision lacks calls a later version: that model stays, and would fail without it.

Every other byte of a revision is restored as it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from tritonrepo.diagnostics import Diagnostic, Severity, Span
from tritonrepo.repository import Target
from tritonrepo.repository.model import CONFIG
from tritonrepo.repository.versions import selected
from tritonrepo.shared import SETTINGS, named
from tritonrepo.sync.gating import OUT, Call, Model, models, reached, serving
from tritonrepo.sync.push import uploadable
from tritonrepo.sync.wording import numbers as numbered
from tritonrepo.tree import Entry, Tree, of_bytes


class Stays(NamedTuple):
    """A revision's tree as it can be served next to what is there, and what was changed in it."""

    tree: dict[str, Entry]
    notes: tuple[Diagnostic, ...]


def beside(revision: Tree, have: Tree, where: str, server: Target) -> Stays:
    """Return a revision's tree with the policies that it needs among the models and versions of `have`."""
    wanted, had = models(uploadable(revision), server), models(uploadable(have), server)
    calls = _called(wanted, had)
    tree: dict[str, Entry] = dict(revision)
    notes: list[Diagnostic] = []
    for name, model in wanted.items():
        there = had.get(name)
        kept = {version: callers for (called, version), callers in calls.items() if called == name}
        numbers = sorted({*model.served, *kept})
        policy = model.config.message("version_policy") if model.config else None
        found = {*model.versions, *(there.versions if there else ())}
        found |= {OUT} if there and there.within(OUT) else set()
        if model.config is None or (*selected(found, policy),) == (*numbers,):
            continue
        tree[f"{name}/{CONFIG}"] = of_bytes(serving(model.text, numbers))
        if there:
            tree |= {f"{name}/{path}": file for version in kept for path, file in _needed(there, version)}
        notes.append(_note(f"{where}/{name}", model, kept))
    return Stays(tree, tuple(notes))


def _called(wanted: Mapping[str, Model], had: Mapping[str, Model]) -> dict[Call, list[str]]:
    """Return the versions that the revision does not serve and that models need which it lacks, with these models."""

    def calls(one: Call) -> list[Call]:
        name, version = one
        found = had[name].called(version) if name in had else ()
        return [(model, number) for model, number in found if model in had and number in had[model].served]

    found: dict[Call, list[str]] = {}
    for name in sorted(had.keys() - wanted.keys()):
        for called, number in reached([(name, version) for version in had[name].served], calls):
            if called in wanted and number not in wanted[called].served:
                found.setdefault((called, number), []).append(name)
    return found


def _needed(there: Model, version: int) -> Iterator[tuple[str, Entry]]:
    """Yield the files of a version, and what it shares with others."""
    own = there.within(version)
    yield from own.items()
    settings = own.get(f"{there.versions[version]}/{SETTINGS}")
    heads = tuple(f"{top}/" for top in named(settings)) if settings else ()
    yield from ((path, file) for path, file in there.files.items() if path.startswith(heads))


def _note(where: str, model: Model, kept: Mapping[int, list[str]]) -> Diagnostic:
    if kept:
        one, callers = len(kept) == 1, ", ".join(sorted({f'"{name}"' for names in kept.values() for name in names}))
        stay, them = ("stays", "it") if one else ("stay", "them")
        message = f"{numbered(kept)} {stay} in service, because {callers} calls {them}"
        hint = "Remove what later revisions added with `tritonrepo prune` once no client uses it."
    else:
        message = f"version_policy is set to {numbered(model.served)}, because the bucket also has later versions"
        hint = "Every other byte of the config is that of the revision."
    return Diagnostic("rollback-policy", Severity.WARNING, Span(where), message, hint)
