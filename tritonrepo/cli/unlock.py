"""`tritonrepo unlock`: who holds the lock of a prefix, and the removal of one that nobody needs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import click

from tritonrepo.cli import COMMANDS, EXIT_CODES
from tritonrepo.cli.display import displayed
from tritonrepo.cli.interrupts import interruptible
from tritonrepo.cli.output import concluded, say
from tritonrepo.cli.publishing import output_options
from tritonrepo.cli.values import record_place
from tritonrepo.diagnostics import Diagnostic
from tritonrepo.flows.unlock import apply_unlock, plan_unlock
from tritonrepo.flows.workspace import Workspace
from tritonrepo.report import unlocked as report
from tritonrepo.sync.place import open_place

EPILOG = f"""\b
Examples:
  tritonrepo unlock s3://models/prod
  tritonrepo unlock gs://models/prod --force

{EXIT_CODES}"""


class _Run:
    """What is known so far: who held the lock, how many writes were left prepared, and what became of them."""

    holder: Mapping[str, str] | None = None
    prepared = 0
    state = "unknown"


@click.command(epilog=EPILOG, short_help=COMMANDS["unlock"])
@click.argument("uri")
@record_place
@click.option("--force", is_flag=True, help="Remove the lock even if its push still runs, which then stops.")
@output_options
def command(uri: str, *, record: str | None, force: bool, form: str) -> int:
    """Remove the lock that a killed push left at a prefix.

    The command says who holds the lock, on which machine, and since when. It watches the lock for up to a minute, or
    looks up the process if the lock is from this machine, and removes the lock only if the push no longer runs. It also
    removes writes that the push had prepared. The next push does the same; it needs no unlock.

    With --force, a running push loses its lock. It stops before it writes to a config again, and servers keep what they
    have.
    """
    run = _Run()

    def document(ends: Sequence[Diagnostic]) -> str:
        return report.document(uri, run.holder, run.prepared, run.state, ends)

    with interruptible(), displayed(f"reading the lock of {uri}") as display, concluded(form, document):
        found = plan_unlock(open_place(uri, record), Workspace(os.environ, tell=display.tell))
        run.holder, run.prepared, run.state = found.holder, found.prepared, "held" if found else "free"
        if form == "text":
            with display.aside():
                say(f"{uri}: {found.described}")
        apply_unlock(found, force=force)
        run.state = "removed" if found else "free"
        if form == "text" and found:
            left = f"{found.prepared} prepared write{'' if found.prepared == 1 else 's'}"
            what = [*(["the lock"] if found.holder is not None else []), *([left] if found.prepared else [])]
            with display.aside():
                say(f"{uri}: removed {' and '.join(what)}")
    return 0
