"""What the subcommands of `deploy` share: the options that say what the server is to be."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

import click

from tritonrepo.cli.values import NAMED
from tritonrepo.deploy.service import Control

HOST_PORT = click.IntRange(1, 65535)
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
GPU = re.compile(r"[A-Za-z0-9:_/.-]+")


class Kinds(click.Group):
    """Group of the kinds of servers."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:  # noqa: ANN401  click's signature
        """Return the subcommand; a usage error names those that there are."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            kinds = ", ".join(f"`tritonrepo deploy {name}`" for name in self.commands)
            raise click.UsageError(f'unknown kind of server "{args[0]}". Use {kinds}.', ctx)
        return super().resolve_command(ctx, args)


class Address(click.ParamType[str]):
    """IP address of the host."""

    name = "address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ANN401  click's signature
        """Return the address as it is usually written; raise a usage error for anything else."""
        try:
            return str(ip_address(value))
        except ValueError:
            self.fail(f'"{value}" is not an IP address, such as 127.0.0.1 or 0.0.0.0.', param, ctx)


class Matching(click.ParamType[str]):
    """Text of a form."""

    name = "text"

    def __init__(self, form: re.Pattern[str], what: str) -> None:
        self.form, self.what = form, what

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ANN401  click's signature
        """Return the text; raise a usage error if it does not have the form."""
        if not self.form.fullmatch(value):
            self.fail(f'"{value}" is not {self.what}.', param, ctx)
        return str(value)


def variables(place: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return what adds the option for variables whose values are in a place, and never in what is written."""
    return click.option(
        "--env",
        "variables",
        multiple=True,
        type=Matching(VARIABLE, "the name of a variable"),
        metavar="NAME",
        help=f"Variable that the server reads, with its value in {place}. Repeatable.",
    )


def service_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say what the user decides about the server."""
    for option in reversed(
        (
            click.option(
                "--gpu-id",
                "gpu_ids",
                multiple=True,
                type=Matching(GPU, "the ID of a GPU, as nvidia-smi -L prints it"),
                metavar="ID",
                help="GPU of the host, or a MIG device, by its index or UUID. Repeatable.  [default: any]",
            ),
            click.option(
                "--bind", type=Address(), metavar="ADDRESS", default="127.0.0.1", help="Address that the ports are on."
            ),
            click.option("--http-port", type=HOST_PORT, metavar="PORT", default=8000, help="HTTP port of the host."),
            click.option("--grpc-port", type=HOST_PORT, metavar="PORT", default=8001, help="gRPC port of the host."),
            click.option(
                "--metrics-port", type=HOST_PORT, metavar="PORT", default=8002, help="Metrics port of the host."
            ),
            click.option("--once", is_flag=True, help="Load models once, at the start, as is usual for a directory."),
            click.option(
                "--poll",
                type=click.IntRange(1),
                metavar="SECONDS",
                help="Check the repository for changes every SECONDS seconds.  [default: 15 for a URI]",
            ),
            click.option("--explicit", is_flag=True, help="Change models only when a client requests it."),
            click.option(
                "--mount",
                "mounts",
                multiple=True,
                type=NAMED,
                metavar="DIR",
                help="Directory that the server reads. Repeatable.",
            ),
            variables(".env"),
        )
    ):
        command = option(command)
    return command


def control(*, once: bool, poll: int | None, explicit: bool) -> Control | None:
    """Return when models are loaded, None for the default; raise a usage error if several options say it."""
    if once + bool(poll) + explicit > 1:
        raise click.UsageError("--once, --poll and --explicit cannot be combined: Triton has one model control mode")
    if once:
        return Control()
    return Control("poll", poll) if poll else Control("explicit") if explicit else None
