"""`tritonrepo smoke`: test requests to every model on a running server."""

from __future__ import annotations

from bisect import insort
from dataclasses import replace
from pathlib import Path

import click

from tritonrepo.cli import COMMANDS, EXIT_CODES
from tritonrepo.cli.connecting import Reach, connecting
from tritonrepo.cli.files import WRITTEN
from tritonrepo.cli.output import concluded
from tritonrepo.cli.pacing import pacing
from tritonrepo.cli.plans import Plans, planning
from tritonrepo.cli.smoked import FORMS, Output
from tritonrepo.cli.stack import workspace
from tritonrepo.cli.values import allow_links, metrics_address
from tritonrepo.flows.smoke import NOTHING, known, recording, replay, smoke
from tritonrepo.smoke.case import Outcome, Result
from tritonrepo.smoke.pace import Pace

EPILOG = f"""\b
Examples:
  tritonrepo smoke http://127.0.0.1:8000
  tritonrepo smoke http://127.0.0.1:8000 examples/models/rag --junit smoke.xml
  tritonrepo smoke http://127.0.0.1:8000 model_repository --repository s3://http://127.0.0.1:9000/models/prod
  tritonrepo smoke https://triton.example.org /srv/models --grpc triton.example.org:8001 --only rag

{EXIT_CODES}"""


@click.command(epilog=EPILOG, short_help=COMMANDS["smoke"])
@click.argument("url")
@click.argument("stack", metavar="[STACK|DIR|URI]", required=False)
@connecting
@click.option(
    "--repository",
    metavar="DIR|URI",
    help="Directory or URI that the server reads. Its files must match those of [STACK|DIR|URI].",
)
@click.option(
    "--only", multiple=True, metavar="MODEL", help="Test only this model, or those that match a pattern. Repeatable."
)
@metrics_address
@pacing
@planning
@allow_links
@click.option(
    "--junit", "junit_file", type=WRITTEN, metavar="FILE", help="Also write the results to FILE as JUnit XML."
)
@click.option("--format", "form", type=click.Choice(FORMS), default="text", help="Output format.")
def command(
    url: str,
    stack: str | None,
    *,
    reach: Reach,
    repository: str | None,
    only: tuple[str, ...],
    timeout: float,
    metrics: str | None,
    pace: Pace,
    plans: Plans,
    links: tuple[Path, ...],
    junit_file: Path | None,
    form: str,
) -> int:
    """Send a test request to every model on a running server, over gRPC and HTTP, and check the responses.

    URL is the server's HTTP address. STACK (a stack file or its directory), or the DIR or URI of a repository, defines
    what should be served: versions, configs, embeddings, search results and prompts must match it, concurrent
    requests must each get their own response, and the stack's smoke cases are run. With --repository, the files that
    the server reads must match as well. The server's own counts and metrics show whether it formed batches, and on
    which CPU or GPU each model ran. Whatever was not checked is listed.
    """
    if repository is not None and stack is None:
        raise click.UsageError("--repository requires STACK, DIR or URI to compare with")
    results: list[Result] = []
    output = Output(url, form, junit_file)
    with concluded(form, lambda ends: output.made(results, ends)):
        server = replace(reach.endpoint(url, timeout, timeout), metrics=metrics)
        recorder = None if plans.record is None else recording(server)
        if plans.replay is not None:
            found = replay(server, plans.replay, only, pace, plans.tolerance)
        else:
            about = NOTHING if stack is None else known(stack, workspace(links), repository)
            found = smoke(server, about, only, pace, recorder)
        try:
            for result in found:
                insort(results, result, key=lambda each: each.model)
        except KeyboardInterrupt:
            output.interrupted(results)
            raise
        output.tell(results)
        if recorder is not None:
            plans.keep(recorder, server)
    return 1 if any(result.outcome is Outcome.FAILED for result in results) else 0
