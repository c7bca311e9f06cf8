"""`tritonrepo rollback`: an earlier revision serves again, and no request fails."""

from __future__ import annotations

import click

from tritonrepo.cli import COMMANDS, EXIT_CODES
from tritonrepo.cli.publishing import output_options, publishing
from tritonrepo.cli.pushing import push_options, servers_at
from tritonrepo.flows.prepared import Accepted
from tritonrepo.flows.push import apply_push, paced
from tritonrepo.flows.rollback import plan_rollback
from tritonrepo.sync.place import open_place

EPILOG = f"""\b
Examples:
  tritonrepo rollback s3://models/prod
  tritonrepo rollback s3://models/prod 12 --server http://127.0.0.1:8000
  tritonrepo rollback gs://models/prod --dry-run

{EXIT_CODES}"""


@click.command(epilog=EPILOG, short_help=COMMANDS["rollback"])
@click.argument("uri")
@click.argument("number", type=click.IntRange(1), metavar="[N]", required=False)
@push_options
@output_options
@click.option("-v", "--verbose", is_flag=True, help="Also list what is left alone.")
def command(
    uri: str,
    number: int | None,
    *,
    dry_run: bool,
    servers: tuple[str, ...],
    settle: float | None,
    timeout: float,
    mixable: tuple[str, ...],
    downtime: tuple[str, ...],
    no_lock: bool,
    record: str | None,
    form: str,
    verbose: bool,
) -> int:
    """Restore an earlier revision of the repository at URI, from what the bucket still holds.

    N is the number of a revision, as `tritonrepo status` lists them; without it, the one before the last is restored.
    After an interrupted push, that is the last one that was finished; after an interrupted rollback, the one that it
    was to restore.

    The rollback is carried out like a push: old and new versions serve side by side until each pipeline has switched.
    It is a revision with a number of its own, so the next rollback takes it back. Nothing is removed.
    """
    with publishing(uri, form, record) as run:
        place, accepted = open_place(uri, record), Accepted(mixable, downtime)
        push = plan_rollback(place, number, run.workspace(), servers_at(servers, timeout), accepted)
        run.restored = push.back
        run.planned(push.plan, push.before, push.warnings, verbose=verbose)
        if not dry_run:
            run.published(apply_push(push, paced(settle), no_lock=no_lock))
    return 0
