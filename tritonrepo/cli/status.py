"""`tritonrepo status`: what a bucket holds of a repository, or what a server serves."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from tritonrepo.cli import COMMANDS, EXIT_CODES
from tritonrepo.cli.connecting import Reach, over_http
from tritonrepo.cli.output import concluded, say
from tritonrepo.cli.values import WAIT, metrics_address, record_place
from tritonrepo.diagnostics import Severity
from tritonrepo.flows.status import SHOWN, status
from tritonrepo.report import status as report
from tritonrepo.sync.place import open_place
from tritonrepo.sync.status import Status

if TYPE_CHECKING:
    from tritonrepo.server.endpoint import Endpoint

EPILOG = f"""\b
Examples:
  tritonrepo status s3://models/prod
  tritonrepo status s3://models/prod --all -v
  tritonrepo status gs://models/prod --format json
  tritonrepo status http://127.0.0.1:8000
  tritonrepo status http://127.0.0.1:8000 --watch

{EXIT_CODES}"""

PAUSE_S = 2
"""How long a watch waits between two looks unless told otherwise."""

FOR_SERVERS = {
    "metrics": "--metrics",
    "watch": "--watch",
    "ca": "--ca",
    "cert": "--cert",
    "key": "--key",
    "header": "--header",
    "header_env": "--header-env",
    "token_env": "--token-env",
}
FOR_BUCKETS = {"record": "--record", "whole": "--all"}


@click.command(epilog=EPILOG, short_help=COMMANDS["status"])
@click.argument("uri", metavar="URI|URL")
@record_place
@click.option("--last", type=click.IntRange(1), default=SHOWN, metavar="N", help="How many revisions to show.")
@click.option("--all", "whole", is_flag=True, help="Show all revisions.")
@over_http
@metrics_address
@click.option(
    "--watch",
    type=WAIT,
    is_flag=False,
    flag_value=float(PAUSE_S),
    metavar="[SECONDS]",
    help=f"Look at the server again every SECONDS, by default {PAUSE_S}, until Ctrl-C.",
)
@click.option(
    "--timeout", type=WAIT, default=30.0, metavar="SECONDS", help="Maximum wait for each response of a server."
)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="Output format.")
@click.option("-v", "--verbose", is_flag=True, help="Also list each version, or a server's extensions.")
@click.pass_context
def command(
    context: click.Context,
    uri: str,
    *,
    record: str | None,
    last: int,
    whole: bool,
    reach: Reach,
    metrics: str | None,
    watch: float | None,
    timeout: float,
    form: str,
    verbose: bool,
) -> int:
    """Show the revisions of the repository at URI, or what the server at URL serves, and whether anything is wrong.

    Of a bucket or directory: A revision is restorable if each of its files still exists. A model serves the versions
    that its config names; the others are kept for `tritonrepo rollback`. The exit code is 1 if a push was interrupted,
    or if files are missing or were changed by something else than a push. Nothing is written, and no server is queried.

    Of a server (http:// or https://): its release; each version with its state, backend and instances, the requests
    and failures since it was loaded, the mean time of a request and of its parts, and the sizes of its batches; GPUs
    and memory from the metrics. With --watch, the numbers are those of a second. The exit code is 1 if a version is
    not available, if all requests to one failed, or if the server stops responding during a watch.
    """
    of_server = re.match("https?://", uri, re.IGNORECASE) is not None
    for name, option in (FOR_BUCKETS if of_server else FOR_SERVERS).items():
        if context.params[name]:
            raise click.UsageError(
                f"{option} is for {'a bucket, not a server' if of_server else 'a server, by its URL'}"
            )
    if of_server:
        from tritonrepo.cli import status_server

        def server() -> Endpoint:
            return replace(reach.endpoint(uri, timeout, timeout), metrics=metrics)

        if watch:
            return status_server.watch(server(), form, watch, verbose=verbose)
        return status_server.once(uri, server, form, verbose=verbose)
    seen: Status | None = None
    with concluded(form, lambda ends: report.document(seen, uri, ends)):
        seen = status(uri if record is None else open_place(uri, record), None if whole else last)
        if form == "text":
            say(*report.text(seen, verbose=verbose))
    return int(any(diagnostic.severity is Severity.ERROR for diagnostic in seen.found))
