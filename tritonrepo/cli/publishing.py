"""What commands share that write to a repository which servers read: progress, plan, closing lines, JSON."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import click

from tritonrepo.cli.display import Display, displayed
from tritonrepo.cli.interrupts import interruptible
from tritonrepo.cli.output import concluded, say
from tritonrepo.diagnostics import Diagnostic, Severity
from tritonrepo.flows.events import Event
from tritonrepo.flows.workspace import Workspace
from tritonrepo.report import plan as report
from tritonrepo.report import pruning as removed
from tritonrepo.report import published
from tritonrepo.report.published import Revisions, Written
from tritonrepo.report.revisions import titled
from tritonrepo.sync.plan import Plan
from tritonrepo.sync.pruning import Pruning
from tritonrepo.sync.revision import Revision
from tritonrepo.sync.telling import Sent

PAGE = 500
"""How many lines are printed at a time: plans have thousands."""

ADVICE = (
    "servers must run with --strict-readiness=false --exit-on-error=false, as tritonrepo serve starts them: with"
    " Triton's defaults, they are not ready while a version loads; a polling server unloads every model when one"
    " listing fails"
)


def output_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option for what is printed."""
    return click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="Output format.")(
        command
    )


class Publishing:
    """One run of such a command: what it has planned, found and written so far, and how that is printed."""

    def __init__(self, uri: str, form: str, display: Display, record: str | None = None) -> None:
        self.uri, self.record, self.form, self.display = uri, record, form, display
        self.plan = Plan(())
        self.pruning: Pruning | None = None
        self.before: Revision | None = None
        self.revision: Revision | None = None
        self.restored: Revision | None = None
        self.warnings: list[Diagnostic] = []
        self.written = Written()
        self._began = time.monotonic()

    def workspace(self, links: tuple[Path, ...] = ()) -> Workspace:
        """Return the workspace of this process, whose progress is displayed and counted."""
        return Workspace(os.environ, links, self.tell)

    def tell(self, event: Event) -> None:
        """Count what is written, keep warnings for the document, and display progress."""
        if isinstance(event, Sent):
            objects, sent, removed = self.written
            self.written = Written(objects + event.files, sent + event.size, removed + event.removed)
        if isinstance(event, Diagnostic):
            self.warnings.append(event)
        self.display.tell(event)

    def planned(
        self, plan: Plan, before: Revision | None, warnings: Sequence[Diagnostic] = (), *, verbose: bool = False
    ) -> None:
        """Print a plan and its warnings; `before` is the revision that it starts from."""
        self.plan, self.before, self.revision = plan, before, before
        self.warnings += warnings
        self.display.verbose = verbose
        with self.display.aside():
            if self.form == "text" and self.restored:
                say(f"back to {titled(self.restored)}")
            if self.form == "text":
                lines = report.phases(plan, self.uri)
                while page := list(islice(lines, PAGE)):
                    say(*page)
            self._noted(plan, warnings, verbose=verbose)
            if plan and not self.display.quiet:
                say(f"note: {ADVICE}", err=True)

    def prunes(self, found: Pruning, before: Revision | None, *, verbose: bool = False) -> None:
        """Print what is going to be removed, after what was planned before it; `before` is as for a plan."""
        alone = self.before is None
        self.pruning, self.before, self.revision = found, before, before
        self.plan = replace(found.plan, actions=(*self.plan.actions, *found.plan.actions))
        self.warnings += found.plan.notes
        with self.display.aside():
            if self.form == "text":
                say(*removed.text(found, self.uri).split("\n"))
            self._noted(found.plan, found.plan.notes, verbose=verbose and alone)

    def _noted(self, plan: Plan, warnings: Sequence[Diagnostic], *, verbose: bool) -> None:
        for note in warnings:
            if not (self.display.quiet and note.severity is Severity.INFO):
                say(*note.lines, err=True)
        for name in plan.foreign if verbose else ():
            say(f"left alone: {self.uri}/{name}", err=True)

    def published(self, revision: Revision) -> None:
        """Print that the plan is carried out, and how to go back."""
        self.revision = revision
        if self.display.quiet:
            return
        with self.display.aside():
            say(published.summary(self.uri, self.written, revision, time.monotonic() - self._began), err=True)
            gone = self.pruning.revisions if self.pruning is not None else ()
            if any(self.written) and self.before and self.before.number not in {0, *gone}:
                say(published.way_back(self.uri, self.record), err=True)

    def pruned(self, revision: Revision) -> None:
        """Print that everything is removed that was to be."""
        self.revision = revision
        if self.pruning is not None and not self.display.quiet:
            with self.display.aside():
                say(removed.summary(self.pruning, self.uri), err=True)

    def document(self, ends: Sequence[Diagnostic]) -> str:
        """Return the JSON document, with the diagnostics that ended the command."""
        revisions = Revisions(self.revision, self.restored)
        more = {"pruned": removed.values(self.pruning)} if self.pruning is not None else {}
        return published.document(self.uri, self.plan, self.written, revisions, [*self.warnings, *ends], more)


@contextmanager
def publishing(uri: str, form: str, record: str | None = None) -> Iterator[Publishing]:
    """Display the progress of a command, end it on Ctrl-C without delay, and print its single document, if any.

    `record` is the place of the record if the command names one, which the command that goes back must name as well.
    """
    with interruptible(), displayed(f"comparing with {uri}") as display:
        run = Publishing(uri, form, display, record)
        with concluded(form, run.document):
            yield run
