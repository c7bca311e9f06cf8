"""`tritonrepo push`: a model repository into a bucket that servers read, without a request failing."""

from __future__ import annotations

from pathlib import Path

import click

from tritonrepo.cli import COMMANDS, EXIT_CODES
from tritonrepo.cli.output import say
from tritonrepo.cli.stack import workspace
from tritonrepo.cli.values import PAUSE, WAIT, allow_links
from tritonrepo.flows.push import DRAIN_S, SETTLE_S, Servers, apply_push, paced, plan_push
from tritonrepo.report import plan as report
from tritonrepo.server.endpoint import Endpoint

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

ANSWER_S = 10
"""Longest wait for one answer about health, index or config."""


@click.command(epilog=EPILOG, short_help=COMMANDS["push"])
@click.argument("directory")
@click.argument("uri")
@click.option("--dry-run", is_flag=True, help="Print the plan and send nothing; with --server, ask what serves.")
@click.option(
    "--server",
    "servers",
    multiple=True,
    metavar="URL",
    help="A server of that repository: each phase waits until it serves what was written; several: name each. What does"
    " not load before the push is named, and not kept.",
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
    "--allow-mixed",
    "mixable",
    multiple=True,
    metavar="MODEL",
    help="Push although responses of this pipeline can mix both releases for a while. Repeatable.",
)
@click.option(
    "--no-lock",
    is_flag=True,
    help="Push without a lock, to a store that ignores conditional writes: see to it that nobody else pushes there.",
)
@allow_links
@click.option("-v", "--verbose", is_flag=True, help="Also name what is left alone.")
def command(
    directory: str,
    uri: str,
    *,
    dry_run: bool,
    servers: tuple[str, ...],
    settle: float | None,
    timeout: float,
    mixable: tuple[str, ...],
    no_lock: bool,
    links: tuple[Path, ...],
    verbose: bool,
) -> int:
    """Bring a model repository into a bucket from which servers serve, so that no request fails and none sees a mix.

    DIRECTORY is a model repository, URI the very string that Triton is started with. The plan is printed, then carried
    out: files of new versions first, which nothing names yet; then old and new versions side by side; then each
    pipeline by one write; then the old versions end. A second push sends nothing; a killed one is finished by the next.
    """
    endpoints = [Endpoint(url, ANSWER_S, ANSWER_S) for url in servers]
    push = plan_push(directory, uri, workspace(links), Servers(endpoints, timeout), mixable)
    say(*report.phases(push.plan, uri).split("\n"))
    for note in push.warnings:
        say(*note.lines, err=True)
    if verbose:
        for name in push.plan.foreign:
            say(f"left alone: {uri}/{name}", err=True)
    if push.plan:
        say(f"note: {ADVICE}", err=True)
    if not dry_run:
        apply_push(push, paced(settle), no_lock=no_lock)
    return 0
