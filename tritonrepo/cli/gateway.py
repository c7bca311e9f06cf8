"""`tritonrepo gateway`: an OpenAI front end of a running server."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from tritonrepo.cli import COMMANDS, EXIT_CODES
from tritonrepo.cli.connecting import Reach, connecting
from tritonrepo.cli.gating import gating
from tritonrepo.cli.interrupts import drainable
from tritonrepo.cli.output import say, talk
from tritonrepo.cli.stack import workspace
from tritonrepo.cli.values import NAMED, allow_links
from tritonrepo.gateway.gate import GatewayOptions
from tritonrepo.gateway.serving import declared, gateway, needed

GLANCE_S = 0.5
RPC = ("grpc://", "grpcs://")

EPILOG = f"""\b
Examples:
  tritonrepo gateway http://127.0.0.1:8000 --port 9000
  tritonrepo gateway grpc://triton:8001 --host 0.0.0.0 --api-key-env GATEWAY_KEYS --expose rag --expose embedder
  tritonrepo gateway https://triton.example.org examples/models/rag --token-env TRITON_TOKEN

{EXIT_CODES}"""


@click.command(epilog=EPILOG, short_help=COMMANDS["gateway"])
@click.argument("url")
@click.argument("stack", type=NAMED, required=False)
@gating
@connecting
@allow_links
def command(url: str, stack: Path | None, *, options: GatewayOptions, reach: Reach, links: tuple[Path, ...]) -> int:
    """Serve OpenAI's API over the models of a running server, until Ctrl-C or SIGTERM.

    URL is the server's HTTP address, or its gRPC address with grpc:// or grpcs:// before it; only gRPC is used. Chat
    completions, embeddings and reranking are answered by those models whose inputs and outputs fit, under their own
    names. With STACK, a stack file or its directory, only the models and pipelines of the stack are offered. The
    environment variable of --api-key-env has the keys that clients send. SIGTERM ends the gateway in order: /ready
    fails, and what runs is finished.
    """
    needed()
    if url.startswith(RPC):
        if reach.grpc is not None:
            raise click.UsageError("--grpc cannot be combined with a URL that is a gRPC address already")
        secure, _, address = url.partition("://")
        reach, url = reach._replace(grpc=url), f"http{'s' if secure == 'grpcs' else ''}://{address}"
    endpoint = reach.endpoint(url, options.timeout_s)
    if stack is not None:
        options = replace(options, expose=declared(stack, workspace(links), options.expose))
    with drainable(options.drain_s), gateway(endpoint, options) as opened:
        say(f"gateway  {opened.url}/v1")
        if options.keys is None:
            talk("no API key is needed: set keys with --api-key-env")
        while opened.alive():
            opened.thread.join(GLANCE_S)
    say("the gateway ended unexpectedly", err=True)
    return 1
