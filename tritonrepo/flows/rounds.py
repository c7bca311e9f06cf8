"""Fixes of what is found in a tree, round by round until nothing more can be fixed. Nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from tritonrepo.diagnostics import Diagnostic, Move, Severity, State, Verdict
from tritonrepo.fixes import Step, Write, after, applied, changed, paths
from tritonrepo.rules.judge import Judged
from tritonrepo.tree import Entry, File, Tree, meet

ROUNDS = 100
"""After so many rounds, fixes are taken for endless; each round fixes at least one finding of each model."""

SINGLES = 3
"""So many rules are suspected one by one of having made a model worse, then all of them."""

HELD = "fix-held-back"
WORSE = "the server's verdict would be worse with it"
ENDLESS = "fixes would be repeated forever"
NEXT = {
    WORSE: "Fix what else is found on the model first, then run this command again.",
    ENDLESS: "Make the change by hand, and report this as a bug in tritonrepo.",
}
"""The next step by reason. A refusal may hide what crashes or hangs the server."""

RANKS = {State.READY: 0, State.NOT_JUDGED: 1, State.REFUSED: 2, State.HANG: 3, State.CRASH: 4}

Look = Callable[[Tree], Judged]
"""Judges a tree; its diagnostics are those that are shown, with paths of the tree."""

Wanted = Callable[[Diagnostic], bool]
"""Whether to apply the fix of a diagnostic that has one."""


class Fault(NamedTuple):
    """What fixes are held back by: a rule and a model."""

    rule: str
    model: str


class Mended(NamedTuple):
    """What is done to the tree, in order; what is fixed by that, what is held back, and what is found afterwards."""

    tree: Tree
    steps: tuple[Step, ...]
    fixed: tuple[Diagnostic, ...]
    held: tuple[Diagnostic, ...]
    left: Judged


class _Tried(NamedTuple):
    """The outcome of rounds; `endless` has the faults whose fixes go round in a circle."""

    tree: Tree
    steps: tuple[Step, ...]
    fixed: tuple[Diagnostic, ...]
    left: Judged
    endless: frozenset[Fault] = frozenset()


def mended(tree: Tree, look: Look, wanted: Wanted) -> Mended:
    """Fix what is found until nothing more can be fixed, and judge the result.

    No verdict gets worse by that: fixes that would make a model worse, or that undo each other, are held back, as if
    their findings had none.
    """
    first = look(tree)
    suspects, endless = _Suspects(), set[Fault]()

    def free(found: Diagnostic) -> bool:
        return wanted(found) and fault(found) not in suspects.barred | endless

    tried = _rounds(tree, first, look, free)
    while tried.endless or (worse := _worse(first.verdicts, tried)):
        if tried.endless:
            endless |= tried.endless
        else:
            suspects.add(worse, tried.fixed)
        tried = _rounds(tree, first, look, free)
    reasons = dict.fromkeys(suspects.barred, WORSE) | dict.fromkeys(endless, ENDLESS)
    left = [each for each in tried.left.diagnostics if each.fix is not None and wanted(each)]
    found = ((each, reasons[fault(each)]) for each in left if fault(each) in reasons)
    held = (held_back(each, why, NEXT[why]) for each, why in found)
    return Mended(tried.tree, squashed(tried.steps), tried.fixed, tuple(held), tried.left)


def fault(found: Diagnostic) -> Fault:
    """Return what the fix of a diagnostic is held back by."""
    return Fault(found.rule, found.model)


def held_back(found: Diagnostic, why: str, hint: str) -> Diagnostic:
    """Return the diagnostic that says why a fix is not applied."""
    message = f"the fix for {found.rule} was not applied: {why}"
    return Diagnostic(HELD, Severity.WARNING, found.at, message, hint, found.model)


def _rounds(tree: Tree, first: Judged, look: Look, wanted: Wanted) -> _Tried:
    now, seen, steps, fixed = tree, first, list[Step](), list[Diagnostic]()
    states, begun = {_state(tree, tree): 0}, [0]
    for number in range(1, ROUNDS + 1):
        offered = [each for each in seen.diagnostics if each.fix is not None and wanted(each)]
        found = applied(now, (each.fix for each in offered if each.fix is not None))
        if not found.steps:
            return _Tried(now, tuple(steps), tuple(fixed), seen)
        done = {id(fix) for fix in found.done}
        fixed += [each for each in offered if id(each.fix) in done]
        now = after(now, found.steps)
        steps += found.steps
        since = states.setdefault(_state(tree, now), number)
        if since < number:
            circle = frozenset(map(fault, fixed[begun[since] :]))
            return _Tried(now, tuple(steps), tuple(fixed), seen, circle)
        begun.append(len(fixed))
        seen = look(now)
    return _Tried(now, tuple(steps), tuple(fixed), seen, frozenset(map(fault, fixed[begun[-2] :])))


def _state(tree: Tree, now: Tree) -> frozenset[tuple[str, object]]:
    """Return in what a tree differs from the original one."""
    own = {id(entry) for entry in tree.values()}
    new = ((path, _known(entry, own)) for path, entry in now.items() if tree.get(path) is not entry)
    return frozenset(new) | frozenset((path, None) for path in tree.keys() - now.keys())


def _known(entry: Entry, own: set[int]) -> object:
    """Return what tells an entry from others; an original file, which may be large, is not read for that."""
    if isinstance(entry, File):
        return id(entry) if id(entry) in own else entry.content()
    return repr(entry)


def _worse(before: Iterable[Verdict], tried: _Tried) -> list[str]:
    """Return the models, by their names before, whose verdict is worse than it was."""
    now = {each.model: each.verdict for each in tried.left.verdicts}
    moved = {step.path: step.to for step in tried.steps if isinstance(step, Move) and "/" not in step.path + step.to}
    names = ((each, moved.get(each.model, each.model)) for each in before)
    return [each.model for each, name in names if name in now and RANKS[now[name]] > RANKS[each.verdict]]


class _Suspects:
    """The rules whose fixes have perhaps made a model worse, until the model is no longer worse without them."""

    def __init__(self) -> None:
        self._tries: dict[str, Iterator[frozenset[Fault]]] = {}
        self._barred: dict[str, frozenset[Fault]] = {}
        self._rest: frozenset[Fault] = frozenset()

    @property
    def barred(self) -> frozenset[Fault]:
        """The faults that are not to be fixed."""
        return self._rest.union(*self._barred.values())

    def add(self, worse: Sequence[str], fixed: Sequence[Diagnostic]) -> None:
        """Suspect the next fixes of models that are worse; if theirs are innocent, all fixes."""
        for model in worse:
            if model not in self._tries:
                own = [*dict.fromkeys(fault(each) for each in fixed if model in _models(each))]
                singles = [frozenset([each]) for each in reversed(own[-SINGLES:])]
                self._tries[model] = iter([*singles, frozenset(own)] if own else [])
            others = frozenset(fault(each) for each in fixed)
            self._barred[model] = next(self._tries[model], self._barred.get(model, frozenset()) | others)


def _models(found: Diagnostic) -> set[str]:
    """Return the models that a finding is about, or that its fix changes."""
    fix = found.fix
    assert fix is not None  # noqa: S101  it was applied
    return {found.model, *(path.partition("/")[0] for path in changed(fix))}


def squashed(steps: Sequence[Step]) -> tuple[Step, ...]:
    """Return the steps without writes to a file that a later one writes again, if it is not moved in between.

    So no file is written in the state between two rounds.
    """
    kept: list[Step] = []
    later: set[str] = set()
    for step in reversed(steps):
        if not isinstance(step, Write):
            later = {path for path in later if not any(meet(path, other) for other in paths(step))}
        elif step.path in later:
            continue
        else:
            later.add(step.path)
        kept.append(step)
    return tuple(reversed(kept))
