"""`tritonrepo smoke`: test requests to every model on a running server."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from tritonrepo.cli import COMMANDS, EXIT_CODES
from tritonrepo.cli.connecting import Reach, connecting
from tritonrepo.cli.output import concluded, say
from tritonrepo.cli.results import HEAD, gaps, junit_rows, rows, summary, texts
from tritonrepo.cli.stack import workspace
from tritonrepo.cli.values import NAMED, WAIT, allow_links
from tritonrepo.diagnostics import Diagnostic
from tritonrepo.flows.smoke import NOTHING, known, smoke
from tritonrepo.report import json as report_json
from tritonrepo.report.junit import junit
from tritonrepo.report.table import table
from tritonrepo.smoke.case import Outcome, Result
from tritonrepo.stores import open_store
from tritonrepo.tree import of_text

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
@click.option("--only", multiple=True, metavar="MODEL", help="Test only this model. Repeatable.")
@click.option(
    "--timeout",
    type=WAIT,
    default=30.0,
    metavar="SECONDS",
    help="Maximum wait for each complete response, including streams.",
)
@allow_links
@click.option(
    "--junit",
    "junit_file",
    type=NAMED,
    metavar="FILE",
    help="Also write the results to FILE as JUnit XML.",
)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="Output format.")
def command(
    url: str,
    stack: str | None,
    *,
    reach: Reach,
    repository: str | None,
    only: tuple[str, ...],
    timeout: float,
    links: tuple[Path, ...],
    junit_file: Path | None,
    form: str,
) -> int:
    """Send a test request to every model on a running server, over gRPC and HTTP, and check the responses.

    URL is the server's HTTP address. STACK (a stack file or its directory), or the DIR or URI of a repository, defines
    what should be served: versions, configs, embeddings, search results and prompts must match it, concurrent
    requests must each get their own response, and the stack's smoke cases are run. With --repository, the files that
    the server reads must match as well. Whatever was not checked is listed.
    """
    if repository is not None and stack is None:
        raise click.UsageError("--repository requires STACK, DIR or URI to compare with")
    results: list[Result] = []
    with concluded(form, lambda ends: report_json.checked(rows(results), [*_found(results), *ends])):
        about = NOTHING if stack is None else known(stack, workspace(links), repository)
        server = reach.endpoint(url, timeout, timeout)
        results += sorted(smoke(server, about, only), key=lambda result: result.model)
        if form == "text":
            _tell(results)
        if junit_file is not None:
            store, name = open_store(str(junit_file))
            store.put(name, of_text(junit(url, junit_rows(results))))
            store.tidy()
    return 1 if any(result.outcome is Outcome.FAILED for result in results) else 0


def _found(results: Sequence[Result]) -> list[Diagnostic]:
    return [diagnostic for result in results for diagnostic in result.diagnostics]


def _tell(results: Sequence[Result]) -> None:
    say(*table(HEAD, texts(results)).split("\n"))
    for diagnostic in _found(results):
        say("", *diagnostic.lines)
    for line in gaps(results):
        say("", line)
    say("", summary(results))
