"""`tritonrepo prune`: versions, models and revisions that nothing needs are removed from a bucket."""

from __future__ import annotations

import click

from tritonrepo.cli import COMMANDS, EXIT_CODES
from tritonrepo.cli.publishing import output_options, publishing
from tritonrepo.cli.removing import KEEP, agreed, answerable, yes_option
from tritonrepo.cli.values import PAUSE, record_place
from tritonrepo.flows.prune import KEEP as KEPT
from tritonrepo.flows.prune import apply_prune, plan_prune
from tritonrepo.flows.push import SETTLE_S, paced
from tritonrepo.sync.place import open_place

EPILOG = f"""\b
Examples:
  tritonrepo prune s3://models/prod --dry-run
  tritonrepo prune s3://models/prod --keep 2 --yes
  tritonrepo prune s3://http://127.0.0.1:9000/models/prod

{EXIT_CODES}"""


@click.command(epilog=EPILOG, short_help=COMMANDS["prune"])
@click.argument("uri")
@click.option(
    "--keep",
    type=KEEP,
    default=KEPT,
    metavar="N",
    help="Number of revisions that can still be restored afterwards: the current one and the ones before it.",
)
@click.option("--dry-run", is_flag=True, help="Print what would be removed without removing anything.")
@yes_option
@click.option(
    "--settle",
    type=PAUSE,
    default=SETTLE_S,
    metavar="SECONDS",
    help="Pause before files are deleted that servers may have used a moment ago.",
)
@click.option(
    "--no-lock",
    is_flag=True,
    help="Take no lock, for a store that ignores conditional writes. Make sure that nobody else pushes to URI.",
)
@record_place
@output_options
@click.option("-v", "--verbose", is_flag=True, help="Also list what is left alone.")
def command(
    uri: str,
    *,
    keep: int,
    dry_run: bool,
    yes: bool,
    settle: float,
    no_lock: bool,
    record: str | None,
    form: str,
    verbose: bool,
) -> int:
    """Remove what neither a config in a bucket nor one of its recent revisions needs.

    URI is where `tritonrepo push` published a repository. The command removes versions that no config names, models
    that the stack no longer has and nothing calls, and what versions shared. It keeps everything that the newest
    revisions need, so that `tritonrepo rollback` can bring them back. Models that no push published are left alone.

    No request fails, except those to a model that is removed. The next run completes an interrupted one.
    """
    answerable(yes=yes or dry_run)
    with publishing(uri, form, record) as run:
        found = plan_prune(open_place(uri, record), run.workspace(), keep)
        run.prunes(found.pruning, found.before, verbose=verbose)
        if found.pruning and not dry_run:
            if not agreed(run.display, yes=yes):
                return 1
            run.pruned(apply_prune(found, paced(settle), no_lock=no_lock))
    return 0
