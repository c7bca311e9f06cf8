"""Fixes of what `validate` finds: planned in memory until nothing more can be fixed, then written at once or shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tritonrepo.diagnostics import Diagnostic, Severity, Span, State, Stop, Verdict, fatal
from tritonrepo.fixes import Step, Write, changed
from tritonrepo.flows.anchors import anchor
from tritonrepo.flows.fixing_links import Linked, told_of_link
from tritonrepo.flows.paths import is_stack, reading
from tritonrepo.flows.rounds import Mended, mended
from tritonrepo.flows.validate import Aim, Judgement, Shown, examine, judgement, looked, opened, place
from tritonrepo.flows.workspace import Workspace
from tritonrepo.repository import Repository
from tritonrepo.repository.paths import is_config
from tritonrepo.rules import Judged
from tritonrepo.stores import is_remote
from tritonrepo.stores.inplace import Undone, carry_out
from tritonrepo.sync.record import NAME
from tritonrepo.tree import Entry, File, Tree, Unreadable, of_bytes, once

TEXT_BYTES = 1 << 20
"""Files up to this size, and configs, can get another text; others are only moved."""

TEXTS = (".pbtxt", ".json", ".py", ".txt", ".yaml", ".yml")
"""How the names of files end that can get another text."""

NOT_WRITTEN = "fix-not-written"
REFUSED = "fix-refused"
FOUND_NOTHING = Judgement((), (), lambda _: [])


class Fixed(NamedTuple):
    """What is left of a path's findings, which ones were fixed, and what was or would be done for that.

    The steps are for `tree`, of whose files `where` makes the paths that the user can open. `stop` is why a stack still
    cannot be loaded.
    """

    judgement: Judgement
    fixed: tuple[Diagnostic, ...]
    tree: Tree
    steps: tuple[Step, ...]
    where: Callable[[str], str] = str
    stop: Stop | None = None


Hides = Callable[[Sequence[Diagnostic]], frozenset[int]]
"""Returns the positions of the findings, with the paths that the user can open, that are hidden."""


def _nothing(_found: Sequence[Diagnostic]) -> frozenset[int]:
    return frozenset()


class Choice(NamedTuple):
    """Which fixes are applied: `unsafe` ones as well as safe ones, of what is not hidden; whether they are written."""

    unsafe: bool = False
    write: bool = True
    hides: Hides = _nothing

    def wanted(self, found: Diagnostic) -> bool:
        """Whether to apply the fix of a finding."""
        return found.fix is not None and (found.fix.safe or self.unsafe)


def fix(path: Path | str, work: Workspace, aim: Aim, shown: Shown, choice: Choice) -> Fixed:
    """Fix what is found in a repository on disk, or in the stack files that a path names.

    Raise Stop if it cannot be read, or if it must not be changed.
    """
    path = str(path)
    run = _stack if is_stack(path) else _repository
    return run(path, work, aim, shown, choice)


class _Looking:
    """What is found in a repository's tree when it is looked at; `there` is the repository that was last read."""

    def __init__(self, path: str, work: Workspace, aims: tuple[Aim, Shown], hides: Hides) -> None:
        aim, shown = aims
        self._open = partial(opened, path, work, aim)
        self._hides, self._place, self._held = hides, partial(place, path), anchor(path).held
        self.hidden = set[int]()
        self._look = partial(looked, work=work, shown=shown)
        self.here = self._open()
        self.there: Repository | None = None

    def look(self, tree: Tree) -> Judged:
        """Judge a tree."""
        judged, self.there = self._look(self.here, tree)
        placed = [self._held(each.renamed(self._place)) for each in judged.diagnostics]
        self.hidden = {id(judged.diagnostics[place]) for place in self._hides(placed)}
        return judged

    def again(self) -> tuple[Tree, Judged]:
        """Judge what is on the disk now."""
        self.here = self._open()
        return self.here.tree, self.look(self.here.tree)

    def judgement(self, tree: Tree, left: Judged) -> Judgement:
        """Return what was found last, with the paths that the user can open."""
        assert self.there is not None  # noqa: S101  it was looked at
        return judgement(self.here, tree, left, self.there)


@reading()
def _repository(path: str, work: Workspace, aim: Aim, shown: Shown, choice: Choice) -> Fixed:
    if is_remote(path):
        hint = "Fix the repository that was pushed there, then push it again."
        raise fatal(REFUSED, path, "only repositories on disk can be fixed", hint)
    looking, linked = _Looking(path, work, (aim, shown), choice.hides), Linked(path)
    before = {name: _once(name, entry) for name, entry in looking.here.tree.items()}
    if NAME in before:
        hint = "Run this command on the stack file, then build again."
        raise fatal(REFUSED, path, "this repository was built, and the next build would undo its fixes", hint)

    def wanted(found: Diagnostic) -> bool:
        return choice.wanted(found) and id(found) not in looking.hidden

    done = mended(before, looking.look, lambda each: wanted(each) and not linked.blocks(each))
    tree, left = done.tree, done.left
    undone = carry_out(Path(path), before, done.steps) if choice.write and done.steps else []
    if undone or (choice.write and done.steps and linked.met):  # what is on the disk is not what was planned
        tree, left = looking.again()
    held = (told_of_link(each) for each in left.diagnostics if wanted(each) and linked.blocks(each))
    told = [each.renamed(partial(place, path)) for each in (*map(_not_written, undone), *done.held, *held)]
    made = looking.judgement(tree, left)
    made = made._replace(diagnostics=(*made.diagnostics, *told))
    return Fixed(made, _carried_out(done, undone), before, done.steps, partial(place, path))


def _carried_out(done: Mended, undone: Sequence[Undone]) -> tuple[Diagnostic, ...]:
    """Return the findings whose fix was carried out."""
    tops = frozenset[str]().union(*(each.tops for each in undone))
    return tuple(each for each in done.fixed if each.fix is None or not tops & {*map(_top, changed(each.fix))})


def _not_written(undone: Undone) -> Diagnostic:
    message = f"the fix was not written: {undone.reason}"
    return Diagnostic(NOT_WRITTEN, Severity.ERROR, Span(undone.path), message, undone.hint, _top(undone.path))


def _top(path: str) -> str:
    return path.partition("/")[0]


def _once(name: str, entry: Entry) -> Entry:
    """Return a text that is read once, so that what is judged is what is fixed; anything else as it is."""
    small = isinstance(entry, File) and (entry.size <= TEXT_BYTES or is_config(name))
    return once(entry) if isinstance(entry, File) and small and name.endswith(TEXTS) else entry


class _Loading:
    """What is found in a stack while its files change: why it cannot be loaded, or what it would build."""

    def __init__(self, path: str, work: Workspace, aims: tuple[Aim, Shown], hides: Hides) -> None:
        self._examine = partial(examine, path, aim=aims[0], shown=aims[1])
        self._work, self._hides = work, hides
        self.made, self.stop = FOUND_NOTHING, Stop(())

    def look(self, files: Tree) -> Judged:
        """Load the stack with the contents of these files, and return the findings that are shown."""
        contents = {name: entry.content() for name, entry in files.items() if isinstance(entry, File)}
        try:
            self.made, self.stop = self._examine(work=self._work._replace(contents=contents)).judgement, Stop(())
        except Stop as stop:
            self.made, self.stop = FOUND_NOTHING, stop
        loads = Verdict("", State.REFUSED if self.stop.diagnostics else State.READY)
        gone = self._hides(self.made.diagnostics)
        left = (each for number, each in enumerate(self.made.diagnostics) if number not in gone)
        return Judged((*self.stop.diagnostics, *left), (*self.made.verdicts, loads))


def _stack(path: str, work: Workspace, aim: Aim, shown: Shown, choice: Choice) -> Fixed:
    """Fix stack files until they can be loaded, then what is found in what they build."""
    loading, there = _Loading(path, work, (aim, shown), choice.hides), dict[str, Entry]()

    def wanted(found: Diagnostic) -> bool:
        return choice.wanted(found) and found.fix is not None and not found.fix.files

    done = mended(there, loading.look, wanted)
    while new := {name for each in done.left.diagnostics if each.fix and wanted(each) for name in changed(each.fix)}:
        new -= there.keys()
        if not new:
            break
        there |= {name: _text(Path(name)) for name in new}
        done = mended(there, loading.look, wanted)
    undone = _written(there, done.steps) if choice.write else []
    linked = (each for each in done.left.diagnostics if wanted(each) and _is_linked(each, there))
    told = (*map(_not_written, undone), *done.held, *map(told_of_link, linked))
    left = loading.made._replace(diagnostics=(*loading.made.diagnostics, *map(anchor(path).held, told)))
    stop = Stop((*loading.stop.diagnostics, *told)) if loading.stop.diagnostics else None
    return Fixed(left, () if undone else done.fixed, there, done.steps, str, stop)


def _is_linked(found: Diagnostic, there: Tree) -> bool:
    return found.fix is not None and not all(isinstance(there.get(path), File) for path in changed(found.fix))


def _text(path: Path) -> Entry:
    """Return a stack file that can be fixed: a link to one is not followed."""
    if path.is_symlink() or not path.is_file():
        return Unreadable.FORBIDDEN
    return of_bytes(path.read_bytes())


def _written(there: Tree, steps: Sequence[Step]) -> list[Undone]:
    undone: list[Undone] = []
    for step in steps:
        if isinstance(step, Write):
            path = Path(step.path)
            found = carry_out(path.parent, {path.name: there[step.path]}, [Write(path.name, step.content)])
            undone += (each._replace(path=str(path.parent / each.path)) for each in found)
    return undone
