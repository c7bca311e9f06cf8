"""Checks of what has changed since a commit: the models that it touches, those that call them, and stacks."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tritonrepo.diagnostics import Diagnostic, Severity, State, Unseen, fatal
from tritonrepo.flows.paths import is_stack
from tritonrepo.flows.stack import load
from tritonrepo.flows.validate import Aim, Examined, Judgement, Shown, declared, everything, examine, validate
from tritonrepo.flows.workspace import Workspace
from tritonrepo.repository import Model
from tritonrepo.rules.ensembles.calls import all_calls
from tritonrepo.rules.judge import calls
from tritonrepo.sources.changes import Changes, changes, named, owners
from tritonrepo.spec.nodes import Items, Keys, Node, Scalar, paths
from tritonrepo.stores import is_remote
from tritonrepo.sync import record

SETTINGS = ".tritonrepo.toml"
DOWN = {State.CRASH, State.HANG}
"""Verdicts that a model shares with all others, whichever of them is the cause."""

GLOB = re.compile(r"[*?\[].*", re.DOTALL)


Judge = Callable[[frozenset[str] | None], Judgement]
"""Checks a path in another way than `validate`, and may change the files of these models; of all with None."""


class How(NamedTuple):
    """For which target is checked, the rules that are shown, and what checks in place of `validate`."""

    aim: Aim = declared
    shown: Shown = everything
    judge: Judge | None = None

    def judged(self, path: str, work: Workspace) -> Judgement:
        """Check a path, all of it."""
        return self.judge(None) if self.judge is not None else validate(path, work, self.aim, self.shown)


class Changed(NamedTuple):
    """The judgement on what has changed, and how many of how many models that is; of a stack, all or none of them."""

    judgement: Judgement
    models: int
    every: int


def changed(path: Path | str, work: Workspace, reference: str, how: How | None = None) -> Changed:
    """Check a repository or a stack, and return only what concerns the changes since HEAD left a commit.

    Of a repository, these are the models that have changed files, also deleted ones, and all that call them, with the
    verdicts that they have among the others. A stack is checked as a whole if its file, or a file that it names, has
    changed. Raise Stop if git does not say what has changed.
    """
    path = str(path)
    if is_remote(path):
        message = "changes since a commit are known only of a directory in the working tree of a git repository"
        raise fatal("changed-since-git", path, message, "Leave out --changed-since, or check the files before a push.")
    if not Path(path).exists():
        return Changed((how or How()).judged(path, work), 0, 0)
    return of_changes(path, work, changes(path, reference), how or How())


def of_changes(path: str, work: Workspace, found: Changes, how: How) -> Changed:
    """Check a repository or a stack, and return what concerns these changes."""
    if is_stack(path):
        return _stack(path, work, found, how)
    examined = examine(path, work, how.aim, how.shown)
    touched = _touched(path, examined, found)
    if how.judge is not None:
        examined = examined._replace(judgement=how.judge(touched))
    return _narrowed(path, examined, touched)


def _stack(path: str, work: Workspace, found: Changes, how: How) -> Changed:
    loaded = load(path, work)
    files = paths(loaded.stack.node)
    settings = _settings(Path(path).absolute())
    if not named([*files, str(loaded.lock_path), *settings, *_places(loaded.stack.node)], found):
        return Changed(Judgement((), (), lambda _: []), 0, len(loaded.stack.models))
    judgement = how.judged(path, work)
    return Changed(judgement, len(judgement.verdicts), len(judgement.verdicts))


def _places(node: Node) -> Iterator[str]:
    """Yield the place of everything in a stack that may be the path of a file or a directory, or begin with one."""
    if isinstance(node, Scalar) and node.text and "\0" not in node.text:
        yield os.path.join(os.path.dirname(node.at.path), GLOB.sub("", node.text))  # noqa: PTH118, PTH120
    elif isinstance(node, Items):
        for each in node.items:
            yield from _places(each)
    elif isinstance(node, Keys):
        for name, (at, value) in node.keys.items():
            yield from _places(Scalar(at, name, "str"))
            yield from _places(value)


def _settings(place: Path) -> list[str]:
    """Return where the settings of a path may be."""
    return [str(above / SETTINGS) for above in (place, *place.parents)]


def _touched(path: str, examined: Examined, found: Changes) -> frozenset[str]:
    """Return the names of the changed models, and of the models that call them; of all if the settings have changed."""
    models = examined.repository.models
    root = Path(os.path.realpath(path))
    if named([*_settings(root), str(root / record.NAME)], found):
        return frozenset(models)
    touched = {*owners(path, found)}
    callers: dict[str, set[str]] = {}
    for model in models.values():
        called = (call.model for call in all_calls(model))
        for name in (*calls(model), *called, *_beside(model, touched)):
            callers.setdefault(name, set()).add(model.name)
    left = [*touched]
    while left:
        new = callers.get(left.pop(), set()) - touched
        touched |= new
        left += new
    return frozenset(touched)


def _beside(model: Model, touched: Iterable[str]) -> list[str]:
    """Return which of these names at the repository's top a model names that looks at files next to its directory."""
    if not model.looked_beside:
        return []
    text = model.config.source.text
    return [name for name in touched if os.fsencode(name) in text]


def _narrowed(path: str, examined: Examined, touched: frozenset[str]) -> Changed:
    """Return what was found on these models, in these places, and on the repository as a whole if it cannot load."""
    judgement, places = examined.judgement, {Path(path, name) for name in touched}
    verdicts = tuple(each for each in judgement.verdicts if each.model in touched)
    causes = {each.rule for each in verdicts if each.verdict in DOWN}
    down = {each.model for each in judgement.verdicts if each.verdict in DOWN}

    def kept(each: Diagnostic) -> bool:
        if each.model:
            return each.model in touched or (each.model in down and each.rule in causes)
        at = Path(each.at.path)
        return each.severity is Severity.ERROR or not places.isdisjoint((at, *at.parents))

    unseen = (Unseen(each.what, tuple(name for name in each.models if name in touched)) for each in judgement.unseen)
    left = judgement._replace(
        diagnostics=tuple(filter(kept, judgement.diagnostics)),
        verdicts=verdicts,
        ignored=sum(map(kept, judgement.hidden)),
        unseen=tuple(each for each in unseen if each.models),
    )
    return Changed(left, len(verdicts), len(judgement.verdicts))
