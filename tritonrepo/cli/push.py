"""`tritonrepo push`: a model repository into a bucket that servers read, without a request failing."""

from __future__ import annotations

import click

from tritonrepo.cli import COMMANDS, EXIT_CODES
from tritonrepo.cli.pushing import carry_out, prepare
from tritonrepo.report import plan as report

EPILOG = f"""\b
Examples:
  tritonrepo push model_repository s3://models/prod
  tritonrepo push model_repository s3://http://127.0.0.1:9000/models/prod --settle 10
  tritonrepo push model_repository s3://models/prod --dry-run

{EXIT_CODES}"""

ADVICE = (
    "servers must run with --strict-readiness=false --exit-on-error=false, as tritonrepo serve does: with Triton's"
    " defaults they are not ready while a version loads; a polling server unloads all when one listing fails"
)


@click.command(epilog=EPILOG, short_help=COMMANDS["push"])
@click.argument("directory")
@click.argument("uri")
@click.option("--dry-run", is_flag=True, help="Print the plan and send nothing.")
@click.option(
    "--settle",
    type=click.FloatRange(0),
    default=30.0,
    metavar="SECONDS",
    help="How long servers get between phases to see and load what was written.",
)
@click.option("-v", "verbose", is_flag=True, help="Also name what is left alone.")
def command(directory: str, uri: str, *, dry_run: bool, settle: float, verbose: bool) -> int:
    """Bring a model repository into a bucket from which servers serve, so that no request fails and none sees a mix.

    DIRECTORY is a model repository, URI the very string that Triton is started with. The plan is printed, then carried
    out: files of new versions first, which nothing names yet; then old and new versions side by side; then each
    pipeline by one write; then the old versions end. A second push sends nothing; a killed one is finished by the next.
    """
    prepared = prepare(directory, uri)
    click.echo(report.phases(prepared.plan, uri))
    for note in prepared.plan.notes:
        click.echo(str(note), err=True)
    if verbose:
        for name in prepared.plan.foreign:
            click.echo(f"left alone: {uri}/{name}", err=True)
    if prepared.plan:
        click.echo(f"note: {ADVICE}", err=True)
    if not dry_run:
        carry_out(prepared, settle, lambda line: click.echo(line, err=True))
    return 0
