"""Checks of what a path names: a repository, or that of a stack file, generated but not written."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tritonrepo import repository
from tritonrepo.diagnostics import Diagnostic, Faults, Span, Unseen, Verdict, fatal
from tritonrepo.flows.anchors import anchor
from tritonrepo.flows.paths import is_stack, reading
from tritonrepo.flows.target import of_record, of_stack, record_of
from tritonrepo.flows.workspace import Workspace
from tritonrepo.repository import CONFIG_BYTES, NOTHING, Repository, Said, Target
from tritonrepo.repository.paths import is_config
from tritonrepo.repository.target import unknown
from tritonrepo.rules import Rule, judge
from tritonrepo.rules.ahead import NOT_AHEAD, ahead
from tritonrepo.rules.judge import Judged
from tritonrepo.rules.unseen import unseen
from tritonrepo.sources.clean import FEW, is_known, remembered
from tritonrepo.stores import is_remote, open_store
from tritonrepo.stores.store import Store
from tritonrepo.tree import File, Tree

EXCERPT_BYTES = 1 << 20

Shown = Callable[[Rule], bool]
Aim = Callable[[Said, Said], Target]
"""Makes the target from what a record and a stack say."""


class Judgement(NamedTuple):
    """Result for one path: diagnostics, verdicts, a reader of source lines, and the number of hidden findings.

    The paths of diagnostics are those that the user can open. `unseen` is what no rule looks into; `hidden` are the
    findings that comments hide. `settings` is the file by which a number of findings is hidden; a baseline holds
    others, and findings that are resolved. With `strict`, a warning is a failure. `objects` is the number of Kubernetes
    objects.
    """

    diagnostics: tuple[Diagnostic, ...]
    verdicts: tuple[Verdict, ...]
    lines: Callable[[str], list[str]]
    ignored: int = 0
    unseen: tuple[Unseen, ...] = ()
    hidden: tuple[Diagnostic, ...] = ()
    by_settings: int = 0
    baselined: int = 0
    resolved: tuple[Diagnostic, ...] = ()
    settings: str = ""
    strict: bool = False
    objects: int = 0

    @property
    def none(self) -> Judgement:
        """A judgement on nothing, of the same files."""
        return Judgement((), (), self.lines)


class Scanned(NamedTuple):
    """A repository in a store, as a path names it: what is in it, and when the scan began, in ns."""

    path: str
    store: Store
    prefix: str
    tree: Tree
    began: int


class Examined(NamedTuple):
    """A repository that was read and judged."""

    judgement: Judgement
    repository: Repository


def declared(record: Said, stack: Said) -> Target:
    """Return the target that a record or a stack names, or the default target."""
    return repository.target(record=record, stack=stack)


def everything(rule: Rule) -> bool:  # noqa: ARG001  the signature of Shown
    """Return True: show the findings of every rule."""
    return True


def validate(
    path: Path | str, work: Workspace, aim: Aim = declared, shown: Shown = everything, release: str = ""
) -> Judgement:
    """Check the repository of a directory or URI, or what `build` would write for a stack file or its directory.

    With `release`, a stack is built for that release in place of its own. Raise Stop if it does not exist or cannot be
    read.
    """
    return examine(path, work, aim, shown, release).judgement


def examine(
    path: Path | str, work: Workspace, aim: Aim = declared, shown: Shown = everything, release: str = ""
) -> Examined:
    """Check it as `validate` does, and return the repository as well, for who needs more of it."""
    path = str(path)
    return _stack(path, work, aim, shown, release) if is_stack(path) else _repository(path, work, aim, shown)


@reading()
def _stack(path: str, work: Workspace, aim: Aim, shown: Shown, release: str) -> Examined:
    """Check what `build` would write; findings point into the stack file.

    What a stack needs is imported here: it takes longer than checking a small repository.
    """
    from tritonrepo.flows.remarks import heard, remarks
    from tritonrepo.flows.stack import drafted, load
    from tritonrepo.generate.origins import moved
    from tritonrepo.rules.ignores import Sifted
    from tritonrepo.spec.nodes import paths

    loaded = load(path, work, release=release)
    faults = Faults()
    draft = drafted(loaded.gathering(), loaded.lock.models, faults)
    target = aim(NOTHING, of_stack(loaded.stack, complete=draft.complete))
    made = repository.read(draft.tree, target, told=work.counting(f"reading {path}", "models"))
    said = [*remarks(paths(loaded.stack.node))]
    decided = judge(made, everything if said else shown, told=work.counting(f"checking {path}", "models"))
    placed, before = (
        [moved(each, draft.origins, draft.tree) for each in some] for some in (decided.diagnostics, decided.hidden)
    )
    sifted = heard(placed, said, shown) if said else Sifted(placed, [])
    found, hidden = sorted(sifted.left, key=lambda each: (each.at, each.rule)), (*before, *sifted.hidden)
    if faults.found:
        faults.add(*found)
        faults.stop()
    notes = unknown(target, Span(path))
    left, lines = unseen(made, decided.verdicts), _lines_of(paths(loaded.stack.node))
    shown_here = tuple(map(anchor(path).held, (*notes, *found)))
    return Examined(Judgement(shown_here, decided.verdicts, lines, len(hidden), left, hidden), made)


class Opened(NamedTuple):
    """A repository on disk or in a bucket: its path as the user gave it, its files, and the target of its record."""

    path: str
    tree: Tree
    target: Target
    began_ns: int


def opened(path: str, work: Workspace, aim: Aim) -> Opened:
    """Return what a directory or URI holds; raise Stop if it does not exist, or if a config is too large to be read."""
    store, prefix = open_store(path, work.links)
    began = time.time_ns()
    tree = store.scan(prefix)
    if not tree and (is_remote(path) or not Path(path).is_dir()):
        raise fatal(
            "validate-path", path, "the repository does not exist", "Use its directory, or the URI of its prefix."
        )
    return aimed(Scanned(path, store, prefix, tree, began), aim)


def aimed(scanned: Scanned, aim: Aim) -> Opened:
    """Return a scanned repository with its target; raise Stop if a config is too large to be read."""
    path, store, prefix, tree, began = scanned
    for name, entry in tree.items():
        if isinstance(entry, File) and entry.size > CONFIG_BYTES and is_config(name):
            size = f"the config has {entry.size:,} bytes, but at most {CONFIG_BYTES:,} are read"
            raise fatal("config-too-large", f"{path}/{name}", size, "Check that it is the right file.")
    return Opened(path, tree, aim(of_record(record_of(store, prefix, tree, path), path), NOTHING), began)


def looked(here: Opened, tree: Tree, work: Workspace, shown: Shown) -> tuple[Judged, Repository]:
    """Judge a tree as that of an opened repository."""
    cache, tops = work.cache.root if work.remember else None, repository.tops(tree)
    known = cache is not None and len(tops.models) >= FEW and is_known(cache, here.path)
    with nullcontext(NOT_AHEAD) if known else ahead(tree, tops, here.target, here.path) as before:
        there = repository.read(tree, here.target, here.path, work.counting(f"reading {here.path}", "models"), tops)
        with remembered(cache, there, here.began_ns) as clean:
            return judge(there, shown, clean, work.counting(f"checking {here.path}", "models"), before), there


def judgement(here: Opened, tree: Tree, decided: Judged, there: Repository) -> Judgement:
    """Return what was found in the tree of a repository, with the paths that the user can open."""
    path, to_user = here.path, partial(place, here.path)
    found, hidden = (tuple(each.renamed(to_user) for each in some) for some in (decided.diagnostics, decided.hidden))
    names = {place(path, each.at.path): each.at.path for each in decided.diagnostics}
    lines, left = (lambda at: _tree_lines(tree, names.get(at, ""))), unseen(there, decided.verdicts)
    shown_here = tuple(map(anchor(path).held, (*unknown(here.target, Span(path)), *found)))
    return Judgement(shown_here, decided.verdicts, lines, len(hidden), left, hidden)


@reading()
def _repository(path: str, work: Workspace, aim: Aim, shown: Shown) -> Examined:
    """Check a repository on disk or in a bucket, for the target of its record."""
    return examined(opened(path, work, aim), work, shown)


def examined(here: Opened, work: Workspace, shown: Shown) -> Examined:
    """Judge an opened repository."""
    decided, there = looked(here, here.tree, work, shown)
    return Examined(judgement(here, here.tree, decided, there), there)


def place(path: str, name: str) -> str:
    """Return the path of a repository's file as the user would write it."""
    return f"{path.rstrip('/')}/{name}" if is_remote(path) else str(Path(path, name))


def _tree_lines(tree: Tree, name: str) -> list[str]:
    entry = tree.get(name)
    if not isinstance(entry, File) or entry.size > EXCERPT_BYTES:
        return []
    return entry.content().decode("utf-8", "replace").split("\n")


def _lines_of(files: Collection[str]) -> Callable[[str], list[str]]:
    """Return the function that reads the lines of these stack files, and of no other file."""
    return lambda name: Path(name).read_text("utf-8", "replace").split("\n") if name in files else []
