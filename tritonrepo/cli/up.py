"""`tritonrepo up`: from a stack file to a running, answering server in one command."""

from __future__ import annotations

from pathlib import Path

import click

from tritonrepo.cli import COMMANDS, EXIT_CODES
from tritonrepo.cli.asking import ask, pipelines
from tritonrepo.cli.building import carry_out, directory, prepare
from tritonrepo.cli.indexes import make, missing
from tritonrepo.cli.serving import USUAL, Options, banner, options, ports_or, serve, urls, watch
from tritonrepo.cli.smoking import connected, of_stack, summary
from tritonrepo.cli.stack import Loaded, load, reading, write_lock
from tritonrepo.cli.values import allow_links
from tritonrepo.server.ports import Ports
from tritonrepo.server.process import Server
from tritonrepo.smoke.case import Outcome
from tritonrepo.smoke.run import run
from tritonrepo.stores import open_store

SMOKE_S = 60.0
"""Longest wait for each answer of the smoke test: a model's first one may take longer than its later ones."""

EPILOG = f"""\b
Examples:
  tritonrepo up examples/models/rag
  tritonrepo up examples/models/rag --ask "How do I roll a model back?"
  tritonrepo up examples/models/rag --llm-engine script --http-port 0

{EXIT_CODES}"""


@click.command(epilog=EPILOG, short_help=COMMANDS["up"])
@click.argument("stack", type=click.Path(path_type=Path), default=Path())
@click.option("--ask", "question", metavar="TEXT", help="Ask this, print the answer as it comes, and end.")
@click.option(
    "-o",
    "--output",
    "out",
    type=click.Path(path_type=Path),
    default=Path("model_repository"),
    help="Directory of the model repository.",
)
@allow_links
@options
def command(
    stack: Path,
    *,
    question: str | None,
    out: Path,
    links: tuple[Path, ...],
    http_port: int | None,
    grpc_port: int | None,
    metrics_port: int | None,
    runtime: Path | None,
    llm_engine: str,
    timeout: float,
) -> int:
    """Make the index where it is missing, build, serve on the CPU, ask every model, and stay up with URLs.

    STACK is a stack file or its directory. With --ask, sources go to stderr, the answer is streamed to stdout, and
    everything ends; the ports are then any free ones.
    """
    out = directory(out)
    loaded = _indexed(load([stack], links))
    names = pipelines(loaded.stack, needed=question is not None)
    prepared = prepare(loaded, out)
    for warning in prepared.warnings:
        click.echo(str(warning), err=True)
    carry_out(prepared, loaded)
    click.echo(
        f"{out}: {len(prepared.plan.actions)} files written" if prepared.plan else f"{out}: up to date", err=True
    )
    usual = Ports(0, 0, 0) if question is not None else USUAL
    ports = ports_or((http_port, grpc_port, metrics_port), usual)
    chosen = Options(ports, runtime, llm_engine, timeout, links=links)
    with serve(out, prepared.record, loaded.lock_path.parent, loaded.cache, chosen) as server:
        for line in banner(server, prepared.record, llm_engine):
            click.echo(line, err=True)
        if question is not None:
            return ask(server.http, names, question)
        if not _proven(server, loaded, out):
            return 1
        click.echo("\n".join(urls(server)))
        if names.answer:
            body = '{"query": "…", "stream": true}'
            click.echo(f"ask it   curl -N {server.http}/v2/models/{names.answer}/generate_stream -d '{body}'")
        return watch(server)


def _proven(server: Server, loaded: Loaded, out: Path) -> bool:
    """Ask every model as `smoke` does and tell how that ended; False where one failed."""
    store, prefix = open_store(str(out), loaded.links)
    with connected(server.http, server.grpc, SMOKE_S) as connection:
        results = list(run(connection, of_stack(loaded, store.scan(prefix)), frozenset()))
    for diagnostic in (diagnostic for result in results for diagnostic in result.diagnostics):
        click.echo(str(diagnostic), err=True)
    click.echo(f"smoke: {summary(results)}", err=True)
    return all(result.outcome is not Outcome.FAILED for result in results)


@reading()
def _indexed(loaded: Loaded) -> Loaded:
    """Make the indexes that are missing."""
    if not list(missing(loaded)):
        return loaded
    made, lock = make(loaded, None)
    write_lock(loaded, lock)
    for index in made:
        click.echo(f"{index.name}: {index.place} holds {index.passages} passages", err=True)
    return loaded._replace(lock=lock)
