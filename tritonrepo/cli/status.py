"""`tritonrepo status`: what a bucket holds of a repository."""

from __future__ import annotations

import click

from tritonrepo.cli import COMMANDS, EXIT_CODES
from tritonrepo.cli.output import concluded, say
from tritonrepo.cli.values import record_place
from tritonrepo.diagnostics import Severity
from tritonrepo.flows.status import SHOWN, status
from tritonrepo.report import status as report
from tritonrepo.sync.place import open_place
from tritonrepo.sync.status import Status

EPILOG = f"""\b
Examples:
  tritonrepo status s3://models/prod
  tritonrepo status s3://models/prod --all -v
  tritonrepo status gs://models/prod --format json

{EXIT_CODES}"""


@click.command(epilog=EPILOG, short_help=COMMANDS["status"])
@click.argument("uri")
@record_place
@click.option("--last", type=click.IntRange(1), default=SHOWN, metavar="N", help="How many revisions to show.")
@click.option("--all", "whole", is_flag=True, help="Show all revisions.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="Output format.")
@click.option("-v", "--verbose", is_flag=True, help="Also list each version.")
def command(uri: str, *, record: str | None, last: int, whole: bool, form: str, verbose: bool) -> int:
    """Show the revisions of the repository at URI, what serves, what is kept, and whether anything is wrong.

    A revision is restorable if each of its files still exists. A model serves the versions that its config names; the
    others are kept for `tritonrepo rollback`. The exit code is 1 if a push was interrupted, or if files are missing or
    were changed by something else than a push. Nothing is written, and no server is queried.
    """
    seen: Status | None = None
    with concluded(form, lambda ends: report.document(seen, uri, ends)):
        seen = status(uri if record is None else open_place(uri, record), None if whole else last)
        if form == "text":
            say(*report.text(seen, verbose=verbose))
    return int(any(diagnostic.severity is Severity.ERROR for diagnostic in seen.found))
