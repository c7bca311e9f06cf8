"""What commands share that remove something from a repository: what is kept, and who agrees to it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import click

from tritonrepo.cli.display import Display
from tritonrepo.cli.output import say
from tritonrepo.flows.prune import KEEP as KEPT

KEEP = click.IntRange(min=1)

yes_option = click.option(
    "--yes", is_flag=True, help="Remove without asking. Needed if standard input is not a terminal."
)


def prune_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a push that removes something when it is complete."""
    prune = click.option(
        "--prune",
        is_flag=True,
        help="After the push, remove what neither a config nor one of the --keep newest revisions needs, as prune"
        " does.",
    )
    keep = click.option(
        "--keep",
        type=KEEP,
        metavar="N",
        help=f"With --prune, the number of revisions that can still be restored afterwards.  [default: {KEPT}]",
    )
    return prune(keep(yes_option(command)))


def usable(keep: int | None, *, prune: bool, yes: bool) -> None:
    """Raise a usage error for options of a push that have no effect, or if nobody can be asked."""
    if keep and not prune:
        raise click.UsageError("--keep has no effect without --prune.")
    if prune:
        answerable(yes=yes)


def answerable(*, yes: bool) -> None:
    """Raise a usage error if nobody can be asked, before anything else is done."""
    if not yes and not _is_terminal():
        raise click.UsageError("standard input is not a terminal, so nobody can agree to the removal. Add --yes.")


def agreed(display: Display, *, yes: bool) -> bool:
    """Whether what was shown may be removed; on a terminal, its user is asked."""
    if yes:
        return True
    with display.aside():
        if click.confirm("Remove this?", err=True):
            return True
        say("nothing was changed", err=True)
    return False


def _is_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()
