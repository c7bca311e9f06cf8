"""What `serve` and `up` share: the options of the server, and waiting while it runs."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

import click

from tritonrepo.cli.output import say
from tritonrepo.cli.values import NAMED, PORT, WAIT
from tritonrepo.diagnostics import Diagnostic
from tritonrepo.flows.serve import ENGINES, ServeOptions
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


def patience(timeout: float | None, engine: str) -> float:
    """Return how long models may take to load, in seconds: vLLM itself starts several processes."""
    return timeout if timeout is not None else 360 if engine == "vllm" else 120


NAMES = ("runtime", "release", "llm_environment", "log", "verbose", "watched")


def options(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options that `serve` and `up` share; the command receives them as `chosen`.

    With a `question`, which needs no ports that anyone knows, the default is any free one.
    """

    @functools.wraps(command)
    def with_chosen(*args: Any, **given: Any) -> int:  # noqa: ANN401  click's
        usual = USUAL if given.get("question") is None else Ports(0, 0, 0)
        ports = ports_or((given.pop("http_port"), given.pop("grpc_port"), given.pop("metrics_port")), usual)
        engine, timeout = given.pop("llm_engine"), given.pop("timeout")
        same = {name: given.pop(name) for name in NAMES}
        chosen = ServeOptions(ports, engine=engine, deadline_s=patience(timeout, engine), **same)
        return command(*args, chosen=chosen, **given)

    for option in (
        click.option("--watch", "watched", is_flag=True, help="Reload what changes while the server runs."),
        click.option("-v", "--verbose", is_flag=True, help="Show the server's whole log on stderr."),
        click.option("--log", type=NAMED, metavar="FILE", help="Keep the server's whole log in FILE."),
        click.option(
            "--timeout",
            type=WAIT,
            metavar="SECONDS",
            help="Maximum wait for all models to load.  [default: 120, or 360 with --llm-engine vllm]",
        ),
        click.option(
            "--llm-environment",
            type=NAMED,
            metavar="DIR",
            help="Environment of the real vLLM.  [default: TRITONREPO_VLLM, or vllm in the cache]",
        ),
        click.option(
            "--llm-engine",
            type=click.Choice(list(ENGINES)),
            default="ort",
            help="Engine of generators: ort runs the model in place of vLLM, script echoes the prompt, vllm is vLLM"
            " itself.",
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
        with_chosen = option(with_chosen)
    return with_chosen


def tell(said: Diagnostic | str) -> None:
    """Print a line or a diagnostic on stderr."""
    say(*([said] if isinstance(said, str) else said.lines), err=True)


def urls(server: Server) -> list[str]:
    """Return the lines that show the server's addresses."""
    return [f"http     {server.http}", f"grpc     {server.grpc}", f"metrics  {server.metrics}"]


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
