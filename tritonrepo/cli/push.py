"""`tritonrepo push`: a model repository goes to a bucket that servers read, and no request fails."""

from __future__ import annotations

from pathlib import Path

import click

from tritonrepo.cli import COMMANDS, EXIT_CODES
from tritonrepo.cli.accepting import accepting
from tritonrepo.cli.publishing import output_options, publishing
from tritonrepo.cli.values import PAUSE, WAIT, allow_links, record_place
from tritonrepo.flows.prepared import Accepted
from tritonrepo.flows.push import DRAIN_S, SETTLE_S, Servers, apply_push, paced, plan_push
from tritonrepo.server.endpoint import Endpoint
from tritonrepo.sync.place import open_place

EPILOG = f"""\b
Examples:
  tritonrepo push model_repository s3://models/prod
  tritonrepo push model_repository s3://models/prod --server http://127.0.0.1:8000
  tritonrepo push model_repository s3://http://127.0.0.1:9000/models/prod --settle 10
  tritonrepo push model_repository gs://models/prod --dry-run
  tritonrepo push model_repository s3://models --record s3://records/models

{EXIT_CODES}"""

ANSWER_S = 10
"""Maximum wait for one response about health, index or config, in seconds."""


@click.command(epilog=EPILOG, short_help=COMMANDS["push"])
@click.argument("directory")
@click.argument("uri")
@click.option(
    "--dry-run",
    is_flag=True,
    help="Print the plan without sending anything; with --server, the servers are queried for it.",
)
@click.option(
    "--server",
    "servers",
    multiple=True,
    metavar="URL",
    help="Server that reads URI. Each phase waits until the server serves what was written. Versions that do not load"
    " even before the push are reported and not kept. Repeatable.",
)
@click.option(
    "--settle",
    type=PAUSE,
    metavar="SECONDS",
    help="Pause between phases, for servers to load what was written; with --server, for running requests to finish."
    f"  [default: {SETTLE_S:g}, or {DRAIN_S:g} with --server]",
)
@click.option(
    "--timeout",
    type=WAIT,
    default=600.0,
    metavar="SECONDS",
    help="Maximum wait for a --server to load what a phase wrote.",
)
@accepting
@click.option(
    "--no-lock",
    is_flag=True,
    help="Push without a lock, to a store that ignores conditional writes. Make sure that nobody else pushes to URI.",
)
@record_place
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
    record: str | None,
    links: tuple[Path, ...],
    form: str,
    quiet: bool,
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
    with publishing(uri, form, quiet=quiet) as run:
        endpoints = [Endpoint(url, ANSWER_S, ANSWER_S) for url in servers]
        accepted = Accepted(mixable, downtime)
        place = open_place(uri, record)
        push = plan_push(directory, place, run.workspace(links), Servers(endpoints, timeout), accepted)
        run.planned(push.plan, push.before, push.warnings, verbose=verbose)
        if not dry_run:
            run.published(apply_push(push, paced(settle), no_lock=no_lock))
    return 0
