"""`tritonrepo ui`: a page in the browser that asks a running server."""

from __future__ import annotations

from pathlib import Path

import click

from tritonrepo.cli import COMMANDS, EXIT_CODES
from tritonrepo.cli.connecting import Reach, over_http
from tritonrepo.cli.interrupts import interruptible
from tritonrepo.cli.output import say
from tritonrepo.cli.stack import workspace
from tritonrepo.cli.values import PORT, WAIT, allow_links
from tritonrepo.server.client import Client
from tritonrepo.ui.serving import WHOLE_S, needed, ui

GLANCE_S = 0.5

EPILOG = f"""\b
Examples:
  tritonrepo ui http://127.0.0.1:8000
  tritonrepo ui http://127.0.0.1:8000 examples/models/rag --port 8080
  tritonrepo ui https://triton.example.org --token-env TRITON_TOKEN

{EXIT_CODES}"""


@click.command(epilog=EPILOG, short_help=COMMANDS["ui"])
@click.argument("url")
@click.argument("stack", metavar="[STACK|DIR|URI]", required=False)
@click.option("--port", type=PORT, default=0, metavar="PORT", help="Port of the page, or 0 for any free port.")
@over_http
@click.option("--timeout", type=WAIT, default=WHOLE_S, metavar="SECONDS", help="Maximum wait for each whole answer.")
@allow_links
def command(url: str, stack: str | None, *, port: int, reach: Reach, timeout: float, links: tuple[Path, ...]) -> int:
    """Serve a page on this machine that asks a running server, until Ctrl-C.

    URL is the server's HTTP address. The page streams answers with their sources, draws pipelines, runs their steps one
    after the other, and compares two pipelines. STACK, DIR or URI is what the server serves: it has the steps of those
    pipelines that are Python models. The page's URL holds a token: only a browser that has it is answered.
    """
    needed()
    server = reach.endpoint(url, timeout, timeout)
    with interruptible():
        Client(server).index()
        with ui(server, stack, workspace(links), port) as opened:
            say(f"page     {opened.url}")
            while opened.alive():
                opened.thread.join(GLANCE_S)
    say("the page ended unexpectedly", err=True)
    return 1
