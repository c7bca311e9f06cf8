"""`tritonrepo pull`: a revision in a bucket becomes a directory again."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import click

from tritonrepo.cli import COMMANDS, EXIT_CODES
from tritonrepo.cli.display import Display, displayed
from tritonrepo.cli.interrupts import interruptible
from tritonrepo.cli.output import concluded, say, talk
from tritonrepo.cli.publishing import output_options
from tritonrepo.cli.values import NAMED, record_place
from tritonrepo.diagnostics import Diagnostic
from tritonrepo.flows.events import Event
from tritonrepo.flows.pull import Pull, apply_pull, plan_pull
from tritonrepo.flows.workspace import Workspace
from tritonrepo.report import plan as report
from tritonrepo.report.published import Written
from tritonrepo.report.pulled import Pulled, document, summary
from tritonrepo.sync.telling import Sent

EPILOG = f"""\b
Examples:
  tritonrepo pull s3://models/prod model_repository
  tritonrepo pull s3://models/prod@3 model_repository
  tritonrepo pull gs://models/prod model_repository --check

{EXIT_CODES}"""


class _Run:
    """What a pull has planned, found and written so far."""

    def __init__(self, pulled: Pulled, display: Display) -> None:
        self.pulled, self.display = pulled, display
        self.warnings: Sequence[Diagnostic] = ()
        self.written = Written()

    def tell(self, event: Event) -> None:
        """Count what is written, and display progress."""
        if isinstance(event, Sent):
            objects, size, removed = self.written
            self.written = Written(objects + event.files, size + event.size, removed + event.removed)
        self.display.tell(event)

    def planned(self, pull: Pull, form: str, *, verbose: bool) -> None:
        """Print the plan of a pull, its warnings, and what is left alone."""
        source, plan, out = pull.source, pull.plan, str(pull.out)
        self.pulled = Pulled(source.uri, out, plan, source.revision, source.foreign)
        self.warnings = pull.warnings
        left = [f"{source.uri}/{name}" for name in source.foreign] + [f"{out}/{path}" for path in plan.foreign]
        with self.display.aside():
            if form == "text":
                say(*report.lines(plan.actions, out, plan.kept).split("\n"))
            for note in pull.warnings:
                say(*note.lines, err=True)
            for each in left if verbose else ():
                say(f"left alone: {each}", err=True)

    def document(self, ends: Sequence[Diagnostic]) -> str:
        """Return the JSON document, with the diagnostics that ended the command."""
        return document(self.pulled, self.written, [*self.warnings, *ends])


@click.command(epilog=EPILOG, short_help=COMMANDS["pull"])
@click.argument("uri", metavar="URI[@N]")
@click.argument("directory", type=NAMED)
@record_place
@click.option("--all", "everything", is_flag=True, help="Include models under the prefix that others have pushed.")
@click.option("--overwrite", is_flag=True, help="Replace files that were changed by hand after they were written.")
@click.option("--dry-run", is_flag=True, help="Print the plan without writing anything.")
@click.option("--check", is_flag=True, help="Write nothing, and exit 1 if anything would change.")
@output_options
@click.option("-v", "--verbose", is_flag=True, help="Also list what is left alone.")
def command(
    uri: str,
    directory: Path,
    *,
    record: str | None,
    everything: bool,
    overwrite: bool,
    dry_run: bool,
    check: bool,
    form: str,
    verbose: bool,
) -> int:
    """Download what was pushed into a directory, byte for byte.

    URI is that of a push; URI@N is its revision N. If no push has a record there, everything under URI is downloaded.
    DIRECTORY can then be pushed again, edited or served.

    The command prints its plan, then writes each file that differs, after comparing its SHA-256 with that of the push.
    A second run writes only what is missing. In DIRECTORY, files that no build or pull wrote are left alone, and files
    that were changed by hand after that are kept.
    """
    with interruptible(), displayed(f"comparing {uri}") as display:
        run = _Run(Pulled(uri, str(directory)), display)
        with concluded(form, run.document):
            work = Workspace(os.environ, tell=run.tell)
            pull = plan_pull(uri, directory, work, everything=everything, overwrite=overwrite, record=record)
            run.planned(pull, form, verbose=verbose)
            if not (dry_run or check):
                apply_pull(pull)
                talk(summary(run.pulled, run.written))
    return int(check and bool(pull.plan))
