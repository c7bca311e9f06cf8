"""What `serve` and `up` share: the options of the server, and waiting while it runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import click

from tritonrepo.cli.output import say
from tritonrepo.cli.values import NAMED, PORT, WAIT
from tritonrepo.diagnostics import Diagnostic
from tritonrepo.flows.serve import ENGINES
from tritonrepo.flows.served_release import named
from tritonrepo.server.following import Stubs
from tritonrepo.server.launch import Mode
from tritonrepo.server.ports import Ports
from tritonrepo.server.process import Server

GLANCE_S = 0.5

USUAL = Ports(8000, 8001, 8002)
"""Triton's own default ports."""


def ports_or(given: tuple[int | None, int | None, int | None], usual: Ports) -> Ports:
    """Return the ports that the options set, and the usual port for each that they do not."""
    return Ports(*(default if port is None else port for port, default in zip(given, usual, strict=True)))


def _known(_context: click.Context, _option: click.Parameter, name: str | None) -> str | None:
    """Return the name of a release; raise Stop if its server cannot run here, before anything is built or read."""
    return None if name is None else named(name).name


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that `serve` and `up` share."""
    for option in (
        click.option("-v", "--verbose", is_flag=True, help="Show the server's whole log on stderr."),
        click.option("--log", type=NAMED, metavar="FILE", help="Keep the server's whole log in FILE."),
        click.option(
            "--timeout", type=WAIT, default=120.0, metavar="SECONDS", help="Maximum wait for all models to load."
        ),
        click.option(
            "--llm-engine",
            type=click.Choice(list(ENGINES)),
            default="ort",
            help="Stand-in for vLLM: ort runs the model, script echoes the prompt.",
        ),
        click.option(
            "--release",
            metavar="YY.MM",
            callback=_known,
            help="Triton release whose server runs; others than the installed one are downloaded.",
        ),
        click.option(
            "--runtime",
            type=NAMED,
            metavar="PYTHON",
            help="Python interpreter that hosts the models, if not the current one.",
        ),
        click.option(
            "--metrics-port", type=PORT, metavar="PORT", help="Metrics port, or 0 for any free port.  [default: 8002]"
        ),
        click.option(
            "--grpc-port", type=PORT, metavar="PORT", help="gRPC port, or 0 for any free port.  [default: 8001]"
        ),
        click.option(
            "--http-port", type=PORT, metavar="PORT", help="HTTP port, or 0 for any free port.  [default: 8000]"
        ),
    ):
        command = option(command)
    return command


def tell(said: Diagnostic | str) -> None:
    """Print a line or a diagnostic on stderr."""
    say(*([said] if isinstance(said, str) else said.lines), err=True)


def urls(server: Server) -> list[str]:
    """Return the lines that show the server's addresses."""
    return [f"http     {server.http}", f"grpc     {server.grpc}", f"metrics  {server.metrics}"]


WATCH = click.option("--watch", "watched", is_flag=True, help="Reload what changes while the server runs.")


def watch(server: Server, each: Callable[[], bool] = lambda: False) -> int:
    """Show what matters in the log until the server exits by itself, which is a fault, unless `each` returns true.

    `each` is called every time, and returns whether a server that has ended may yet be started again.
    Ctrl-C and SIGTERM leave by exception.
    """
    stubs = Stubs(server.session, server.launch.place) if server.launch.mode is Mode.ONCE else None
    while each() or server.alive():
        dead = stubs.dead() if stubs else ()
        for said in (*server.news(), *(dead if server.alive() else ())):
            tell(said)
        time.sleep(GLANCE_S)
    tail = (f"  {line}" for line in server.log_tail(12).split("\n"))
    say(f"the server stopped unexpectedly with exit code {server.exit_code()}; the end of its log:", *tail, err=True)
    return 1
