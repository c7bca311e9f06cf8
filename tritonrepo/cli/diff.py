"""`tritonrepo diff`: what differs between a directory and a bucket, or between two revisions."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence

import click

from tritonrepo.cli import COMMANDS, EXIT_CODES
from tritonrepo.cli.display import displayed
from tritonrepo.cli.interrupts import interruptible
from tritonrepo.cli.output import colour, concluded, painted
from tritonrepo.cli.publishing import output_options
from tritonrepo.cli.values import record_place
from tritonrepo.diagnostics import Diagnostic
from tritonrepo.flows.differences import Compared, diff
from tritonrepo.flows.workspace import Workspace
from tritonrepo.report import differences as report

EPILOG = f"""\b
Examples:
  tritonrepo diff model_repository s3://models/prod
  tritonrepo diff s3://models/prod 3
  tritonrepo diff s3://models/prod 2 3 --check

{EXIT_CODES}"""

NUMBER = re.compile(r"[1-9][0-9]{0,17}")


def _sides(places: Sequence[str]) -> tuple[str, str]:
    """Return what is compared, the old one first."""
    match places:
        case [uri, str(old), str(new)] if NUMBER.fullmatch(old) and NUMBER.fullmatch(new):
            return f"{uri}/@{old}", f"{uri}/@{new}"
        case [uri, str(number)] if NUMBER.fullmatch(number):
            return f"{uri}/@{number}", uri
        case [new, old]:
            return old, new
        case _:
            raise click.UsageError("name a directory and a URI, or a URI and one or two numbers of revisions")


@click.command(epilog=EPILOG, short_help=COMMANDS["diff"])
@click.argument("places", nargs=-1, required=True, metavar="DIR URI | URI N [M]")
@record_place
@click.option("--check", is_flag=True, help="Exit 1 if anything differs.")
@output_options
def command(places: tuple[str, ...], *, record: str | None, check: bool, form: str) -> int:
    """Print what differs between a repository and what is published, or between two revisions.

    DIR URI compares what is at URI with DIR: what a push would change. URI N compares revision N with what is there
    now, and URI N M revision N with revision M.

    Configs are compared field by field: order, layout and comments make no difference. Of other small texts, a unified
    diff is printed, and of other files their sizes and digests. A new version is compared with the one before it.
    """
    old, new = _sides(places)
    found = Compared(old, new, ())

    def document(ends: Sequence[Diagnostic]) -> str:
        return report.document(found.models, found.old, found.new, ends)

    with interruptible(), displayed("comparing") as display, concluded(form, document):
        found = diff(old, new, Workspace(os.environ, tell=display.tell), record)
        if form == "text":
            colours = colour(sys.stdout)
            painted(report.lines(found.models, found.old, found.new, colour=colours), colours=colours)
    return int(check and bool(found.models))
