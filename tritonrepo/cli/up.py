"""`tritonrepo up`: from a stack file to a running, answering server in one command."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import click

from tritonrepo.cli import COMMANDS, EXIT_CODES
from tritonrepo.cli.asking import ask
from tritonrepo.cli.interrupts import stoppable
from tritonrepo.cli.output import say, talk
from tritonrepo.cli.proving import proven, rebuilding
from tritonrepo.cli.serving import options, urls, watch
from tritonrepo.cli.stack import workspace
from tritonrepo.cli.values import NAMED, allow_links
from tritonrepo.flows.build import directory
from tritonrepo.flows.serve import ServeOptions, banner
from tritonrepo.flows.stack import load
from tritonrepo.flows.up import prove, up
from tritonrepo.ui.serving import needed
from tritonrepo.ui.serving import ui as page

EPILOG = f"""\b
Examples:
  tritonrepo up examples/models/rag
  tritonrepo up examples/models/rag --ask "How do I roll a model back?"
  tritonrepo up examples/models/rag --ui
  tritonrepo up examples/models/rag --llm-engine script --http-port 0
  tritonrepo up examples/models/rag --llm-engine vllm

{EXIT_CODES}"""


@click.command(epilog=EPILOG, short_help=COMMANDS["up"])
@click.argument("stack", type=NAMED, default=Path())
@click.option("--ask", "question", metavar="TEXT", help="Ask this question, stream the answer, and exit.")
@click.option(
    "-o",
    "--output",
    "out",
    type=NAMED,
    default=Path("model_repository"),
    help="Directory of the model repository.",
)
@click.option("--ui", is_flag=True, help="Also serve a page that asks the server, on any free port.")
@allow_links
@options
def command(
    stack: Path,
    *,
    question: str | None,
    ui: bool,
    out: Path,
    links: tuple[Path, ...],
    chosen: ServeOptions,
) -> int:
    """Go from a stack file to a running server in one command.

    The command builds missing indexes and the repository, serves it on the CPU, and tests every model. STACK is a stack
    file or its directory. The server's URLs are printed unless a test fails, and the server runs until Ctrl-C. With
    --watch, changes of the stack and its files are built, tested and reloaded in the meantime. With --ask, nothing is
    tested: the command prints the sources on stderr, streams the answer to stdout, and exits. The server then uses any
    free ports by default. With --ui, the URL of a page in the browser is printed as well.
    """
    if (chosen.watched or ui) and question is not None:
        other = "--watch" if chosen.watched else "--ui"
        raise click.UsageError(f"{other} and --ask cannot be combined: --ask ends with the answer")
    if ui:
        needed()
    out = directory(out)
    loaded = load([stack], workspace(links))
    with stoppable(), up(loaded, out, chosen, asked=question is not None) as running:
        server, names = running.server, running.pipelines
        talk(*banner(server, running.build.record, chosen.engine))
        if question is not None:
            return ask(server.http, names, question)
        if not proven(prove(running)) and not chosen.watched:
            return 1
        say(*urls(server))
        if names.answer:
            body = '{"query": "…", "stream": true}'
            say(f"try it   curl -N {server.http}/v2/models/{names.answer}/generate_stream -d '{body}'")
        with page(server.endpoint, out, loaded.work) if ui else nullcontext() as shown:
            if shown is not None:
                say(f"page     {shown.url}")
            return watch(server, rebuilding(running, chosen) if chosen.watched else lambda: False)
