"""`tritonrepo push`: a model repository goes to a bucket that servers read, and no request fails."""

from __future__ import annotations

from pathlib import Path

import click

from tritonrepo.cli import COMMANDS, EXIT_CODES
from tritonrepo.cli.collecting import uncollected
from tritonrepo.cli.publishing import output_options, publishing
from tritonrepo.cli.pushing import push_options, servers_at
from tritonrepo.cli.removing import agreed, prune_options, usable
from tritonrepo.cli.values import allow_links
from tritonrepo.flows.prepared import Accepted
from tritonrepo.flows.prune import KEEP as KEPT
from tritonrepo.flows.prune import apply_after, plan_after
from tritonrepo.flows.push import apply_push, paced, plan_push
from tritonrepo.sync.place import open_place

EPILOG = f"""\b
Examples:
  tritonrepo push model_repository s3://models/prod
  tritonrepo push model_repository s3://models/prod --server http://127.0.0.1:8000
  tritonrepo push model_repository s3://http://127.0.0.1:9000/models/prod --settle 10
  tritonrepo push model_repository gs://models/prod --dry-run
  tritonrepo push model_repository s3://models --record s3://records/models

{EXIT_CODES}"""


@click.command(epilog=EPILOG, short_help=COMMANDS["push"])
@click.argument("directory")
@click.argument("uri")
@push_options
@click.option(
    "--pin-versions",
    "pin",
    is_flag=True,
    help="Let each config that names no versions name those that it serves, so that servers load no others. DIRECTORY"
    " stays as it is.",
)
@click.option(
    "--rehash",
    is_flag=True,
    help="Read every file and check the repository, whatever is known of them from earlier runs.",
)
@prune_options
@allow_links
@output_options
@click.option("-v", "--verbose", is_flag=True, help="Also list what is left alone.")
def command(
    directory: str,
    uri: str,
    *,
    dry_run: bool,
    servers: tuple[str, ...],
    settle: float | None,
    timeout: float,
    mixable: tuple[str, ...],
    downtime: tuple[str, ...],
    no_lock: bool,
    pin: bool,
    rehash: bool,
    record: str | None,
    prune: bool,
    keep: int | None,
    yes: bool,
    links: tuple[Path, ...],
    form: str,
    verbose: bool,
) -> int:
    """Upload a model repository to a bucket that running servers read.

    No request fails, and none sees a half-updated release. DIRECTORY is a model repository. URI is the exact string
    that Triton was started with.

    The command prints its plan, then holds new versions back, uploads their files, serves old and new versions side by
    side, switches each pipeline with one write, and retires the old versions. A model of which two versions do not fit
    in memory, such as one of vLLM, is replaced instead, if --allow-downtime permits it. A repeated push sends nothing,
    and the next push completes an interrupted one.
    """
    usable(keep, prune=prune, yes=yes or dry_run)
    with publishing(uri, form, record) as run:
        place, accepted = open_place(uri, record), Accepted(mixable, downtime)
        work = run.workspace(links)._replace(rehash=rehash)
        with uncollected():
            push = plan_push(directory, place, work, servers_at(servers, timeout), accepted, pin=pin)
        run.planned(push.plan, push.before, push.warnings, verbose=verbose)
        after = plan_after(push, keep or KEPT) if prune else None
        if after is not None:
            run.prunes(after, push.before)
        if after and not dry_run and not agreed(run.display, yes=yes):
            return 1
        if not dry_run:
            run.published(apply_push(push, paced(settle), no_lock=no_lock))
        if after and not dry_run:
            run.pruned(apply_after(push, after, paced(settle), keep=keep or KEPT, no_lock=no_lock))
    return 0
