"""`tritonrepo up`: from a stack file to a running, answering server in one command."""

from __future__ import annotations

from pathlib import Path

import click

from tritonrepo.cli import COMMANDS, EXIT_CODES
from tritonrepo.cli.asking import Pipelines, ask, pipelines
from tritonrepo.cli.output import say
from tritonrepo.cli.serving import USUAL, options, ports_or, watch
from tritonrepo.cli.stack import workspace
from tritonrepo.cli.values import allow_links
from tritonrepo.diagnostics import Faults
from tritonrepo.flows.build import Prepared, carry_out, directory, prepare
from tritonrepo.flows.index import make, missing
from tritonrepo.flows.serve import Options, banner, serve, urls
from tritonrepo.flows.smoke import connected, gaps, of_stack, reading_from, summary
from tritonrepo.flows.stack import Loaded, load, reading, write_lock
from tritonrepo.server.ports import Ports
from tritonrepo.server.process import Server
from tritonrepo.smoke.case import Outcome
from tritonrepo.smoke.run import run
from tritonrepo.sources.gather import MISSING
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
    loaded, names, prepared = _prepared(load([stack], workspace(links)), out, asked=question is not None)
    for warning in prepared.warnings:
        say(*warning.lines, err=True)
    carry_out(prepared, loaded)
    up_to_date = "nothing written" if prepared.plan.kept else "up to date"
    say(f"{out}: {f'{len(prepared.plan.actions)} files written' if prepared.plan else up_to_date}", err=True)
    usual = Ports(0, 0, 0) if question is not None else USUAL
    ports = ports_or((http_port, grpc_port, metrics_port), usual)
    chosen = Options(ports, runtime, llm_engine, timeout, links=links)
    with serve(out, prepared.record, loaded.lock_path.parent, loaded.work.cache, chosen) as server:
        say(*banner(server, prepared.record, llm_engine), err=True)
        if question is not None:
            return ask(server.http, names, question)
        if not _proven(server, loaded, out):
            return 1
        say(*urls(server))
        if names.answer:
            body = '{"query": "…", "stream": true}'
            say(f"ask it   curl -N {server.http}/v2/models/{names.answer}/generate_stream -d '{body}'")
        return watch(server)


def _proven(server: Server, loaded: Loaded, out: Path) -> bool:
    """Ask every model as `smoke` does and tell how that ended; False where one failed."""
    store, prefix = open_store(str(out), loaded.work.links)
    about = reading_from(of_stack(loaded, store.scan(prefix)), str(out), loaded.work.links)
    with connected(server.http, server.grpc, SMOKE_S) as connection:
        results = list(run(connection, about, frozenset()))
    for diagnostic in (diagnostic for result in results for diagnostic in result.diagnostics):
        say(*diagnostic.lines, err=True)
    for line in gaps(results):
        say(line, err=True)
    say(f"smoke: {summary(results)}", err=True)
    return all(result.outcome is not Outcome.FAILED for result in results)


def _prepared(loaded: Loaded, out: Path, *, asked: bool) -> tuple[Loaded, Pipelines, Prepared]:
    """Return the stack with its indexes, its pipelines and its build; raise Stop with all that is wrong of them."""
    faults = Faults()
    names = faults.tried(lambda: pipelines(loaded.stack, needed=asked), Pipelines(None, None))
    indexed = faults.tried(lambda: _indexed(loaded), None)
    prepared = faults.tried(lambda: prepare(indexed or loaded, out), None)
    if indexed is None:  # why it cannot be made is told already
        faults.found = [each for each in faults.found if each.rule != MISSING]
    faults.stop()
    assert indexed is not None  # noqa: S101  nothing was found
    assert prepared is not None  # noqa: S101
    return indexed, names, prepared


@reading()
def _indexed(loaded: Loaded) -> Loaded:
    """Make the indexes that are missing."""
    if not list(missing(loaded)):
        return loaded
    made, lock = make(loaded, None)
    write_lock(loaded, lock)
    for index in made:
        say(f"{index.name}: {index.place} holds {index.passages} passages", err=True)
    return loaded._replace(lock=lock)
