"""`tritonrepo push`: a model repository into a bucket that servers read, without a request failing."""

from __future__ import annotations

import time

import click

from tritonrepo.cli import COMMANDS, EXIT_CODES
from tritonrepo.cli.pushing import carry_out, prepare
from tritonrepo.cli.values import PAUSE, WAIT
from tritonrepo.cli.watching import watch
from tritonrepo.report import plan as report
from tritonrepo.stores.directory import awake
from tritonrepo.sync.pace import Pace

EPILOG = f"""\b
Examples:
  tritonrepo push model_repository s3://models/prod
  tritonrepo push model_repository s3://models/prod --server http://127.0.0.1:8000
  tritonrepo push model_repository s3://http://127.0.0.1:9000/models/prod --settle 10
  tritonrepo push model_repository s3://models/prod --dry-run

{EXIT_CODES}"""

ADVICE = (
    "servers must run with --strict-readiness=false --exit-on-error=false, as tritonrepo serve does: with Triton's"
    " defaults they are not ready while a version loads; a polling server unloads all when one listing fails"
)
SETTLE_S = 30.0
DRAIN_S = 5.0


@click.command(epilog=EPILOG, short_help=COMMANDS["push"])
@click.argument("directory")
@click.argument("uri")
@click.option("--dry-run", is_flag=True, help="Print the plan and send nothing.")
@click.option(
    "--server",
    "servers",
    multiple=True,
    metavar="URL",
    help="A server of that repository: each phase waits until it serves what was written; several: name each.",
)
@click.option(
    "--settle",
    type=PAUSE,
    metavar="SECONDS",
    help="How long servers get between phases to see and load what was written; once --server serves it, to end the"
    f" requests that began before.  [default: {SETTLE_S:g}, or {DRAIN_S:g} once --server serves it]",
)
@click.option(
    "--timeout",
    type=WAIT,
    default=600.0,
    metavar="SECONDS",
    help="Longest wait for a server of --server to load what a phase wrote.",
)
@click.option(
    "--no-lock",
    is_flag=True,
    help="Push without a lock, to a store that ignores conditional writes: see to it that nobody else pushes there.",
)
@click.option("-v", "--verbose", is_flag=True, help="Also name what is left alone.")
def command(
    directory: str,
    uri: str,
    *,
    dry_run: bool,
    servers: tuple[str, ...],
    settle: float | None,
    timeout: float,
    no_lock: bool,
    verbose: bool,
) -> int:
    """Bring a model repository into a bucket from which servers serve, so that no request fails and none sees a mix.

    DIRECTORY is a model repository, URI the very string that Triton is started with. The plan is printed, then carried
    out: files of new versions first, which nothing names yet; then old and new versions side by side; then each
    pipeline by one write; then the old versions end. A second push sends nothing; a killed one is finished by the next.
    """

    def tell(line: str) -> None:
        click.echo(line, err=True)

    prepared = prepare(directory, uri)
    click.echo(report.phases(prepared.plan, uri))
    for note in prepared.plan.notes:
        tell(str(note))
    if verbose:
        for name in prepared.plan.foreign:
            tell(f"left alone: {uri}/{name}")
    if prepared.plan:
        tell(f"note: {ADVICE}")
    if not dry_run:
        look = watch(servers, prepared, uri, timeout, tell) if servers else None
        settle_s, drain_s = (SETTLE_S, DRAIN_S) if settle is None else (settle, settle)
        carry_out(prepared, Pace(settle_s, awake, time.sleep, drain_s, look), tell, no_lock=no_lock)
    return 0
