"""The options with which `validate` fixes what it finds, or shows how it would."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from tritonrepo.cli.changes import Scope
from tritonrepo.cli.checking import Checking
from tritonrepo.cli.collecting import uncollected
from tritonrepo.cli.output import colour, exactly, painted, say, talk
from tritonrepo.diagnostics import Diagnostic, Faults
from tritonrepo.flows.settled import Judge, Settled
from tritonrepo.flows.validate import Aim, Judgement, Shown
from tritonrepo.flows.workspace import Workspace
from tritonrepo.report import fixed as report

if TYPE_CHECKING:
    from tritonrepo.flows.fixing import Fixed, Hides

Models = frozenset[str] | None
"""The models whose files may be changed; None for all."""


class Fixing(NamedTuple):
    """Whether findings are fixed, and unsafe fixes applied as well; or whether only the changes are shown."""

    fix: bool
    unsafe: bool
    diff: bool

    @property
    def option(self) -> str | None:
        """The option by which something is fixed or shown, if there is one."""
        return "--fix" if self.fix else "--diff" if self.diff else None

    def alone(self, other: str) -> None:
        """Raise a usage error if an option is used that cannot be combined with another one."""
        for name, used in (("--fix", self.fix), ("--diff", self.diff)):
            if used:
                raise click.UsageError(f"{name} and {other} cannot be combined")

    def check(self, scope: Scope, settled: Settled, checking: Checking) -> Judge:
        """Return what checks a path, and fixes what it finds if that is wanted."""
        if not self.fix:
            return scope.judged
        from tritonrepo.flows.changed import How
        from tritonrepo.flows.fixing import Choice, fix

        def mended(path: str, work: Workspace, aim: Aim, shown: Shown, only: Models) -> Judgement:
            choice = Choice(self.unsafe, hides=_beside(only, settled.hides(path)))
            found = fix(path, work, aim, shown, choice)
            checking.fixed = (checking.fixed or 0) + len(found.fixed)
            if found.stop is not None:
                raise found.stop
            return found.judgement

        def fixed(path: str, work: Workspace, aim: Aim, shown: Shown) -> Judgement:
            return scope.concerned(path, work, How(aim, shown, partial(mended, path, work, aim, shown)))

        return fixed

    def end(self, checking: Checking, form: str) -> None:
        """Say in text what was fixed; if nothing was to be, say on stderr what can be."""
        left = (*checking.diagnostics, *checking.faults.found)
        if form == "text" and checking.fixed is not None:
            say(report.outcome(checking.fixed, left, unsafe=self.unsafe))
        elif form == "text" and not self.fix and (line := report.prospect(left)):
            talk(line)

    def show(self, scope: Scope, paths: Sequence[str], settled: Settled) -> int:
        """Print the changes that fixes would make; return the exit code, 1 if there are any."""
        from tritonrepo.flows.changed import How

        faults, unread, total, left = Faults(), 0, 0, list[Diagnostic]()

        def planned(path: str, only: Models) -> Judgement:
            nonlocal total
            found = self._planned(path, settled, only)
            _print(_patch(found))
            total += len(found.fixed)
            faults.add(*(found.stop.diagnostics if found.stop is not None else ()))
            return found.judgement

        def shown(path: str) -> Sequence[Diagnostic]:
            terms = settled.terms(path)
            how = How(terms.aim, terms.shown, partial(planned, path))
            found = scope.concerned(path, terms.work, how).diagnostics
            gone = settled.hides(path)(found)
            return [each for place, each in enumerate(found) if place not in gone]

        for path in paths:
            with uncollected():
                found = faults.tried(partial(shown, path), None)
            unread += found is None
            left += found or ()
        if len(paths) > unread and (total or left):
            talk(report.planned(total, left, unsafe=self.unsafe))
        faults.stop()
        return int(total > 0)

    def _planned(self, path: str, settled: Settled, only: Models) -> Fixed:
        from tritonrepo.flows.fixing import Choice, fix

        terms = settled.terms(path)
        choice = Choice(self.unsafe, write=False, hides=_beside(only, settled.hides(path)))
        return fix(path, terms.work, terms.aim, terms.shown, choice)


def _beside(only: Models, hides: Hides) -> Hides:
    """Return what hides findings on other models as well."""

    def hidden(found: Sequence[Diagnostic]) -> frozenset[int]:
        others = (place for place, each in enumerate(found) if only is not None and each.model not in only)
        return hides(found).union(others)

    return hidden


def _patch(found: Fixed) -> Iterable[str]:
    """Return the lines of the patch, with paths relative to the working directory, or to the root if not below it."""
    from tritonrepo.fixes import renamed
    from tritonrepo.flows.patching import changes
    from tritonrepo.report import patch

    def short(name: str) -> str:
        path = os.path.abspath(found.where(name))  # noqa: PTH100  which follows no link
        here = os.path.join(Path.cwd(), "")  # noqa: PTH118
        return path.removeprefix(here).lstrip("/")

    tree = {short(name): entry for name, entry in found.tree.items()}
    return patch.lines(changes(tree, [renamed(step, short) for step in found.steps]))


def _print(lines: Iterable[str]) -> None:
    """Print a patch; on a terminal as text that cannot drive it, elsewhere with every byte of the files."""
    if sys.stdout.isatty():
        from tritonrepo.report.diff import coloured

        colours = colour(sys.stdout)
        painted(coloured(lines, colour=colours), colours=colours)
        return
    exactly(lines)


def fixing_options(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options; the command receives them as `fixing`."""

    @functools.wraps(command)
    def with_fixing(*args: Any, fix: bool, unsafe_fixes: bool, diff: bool, **given: Any) -> int:  # noqa: ANN401
        if fix and diff:
            raise click.UsageError("--fix and --diff cannot be combined: --diff shows what --fix would change")
        if unsafe_fixes and not (fix or diff):
            raise click.UsageError("--unsafe-fixes needs --fix or --diff")
        return command(*args, fixing=Fixing(fix, unsafe_fixes, diff), **given)

    for option in (
        click.option("--diff", is_flag=True, help="Show what --fix would change as a patch, and change nothing."),
        click.option("--unsafe-fixes", is_flag=True, help="With --fix or --diff: include fixes that need a review."),
        click.option("--fix", is_flag=True, help="Fix what can be fixed safely, and show what is left."),
    ):
        with_fixing = option(with_fixing)
    return with_fixing
