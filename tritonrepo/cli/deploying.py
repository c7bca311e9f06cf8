"""What the subcommands of `deploy` share: the options that say what the server is to be."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

import click

from tritonrepo.cli.values import NAMED, Form
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


def _address(text: str) -> str:
    """Return the IP address of a host as it is usually written."""
    try:
        return str(ip_address(text))
    except ValueError:
        raise ValueError(f'"{text}" is not an IP address, such as 127.0.0.1 or 0.0.0.0') from None


def matching(form: re.Pattern[str], what: str) -> Form:
    """Return the type of a text that has a form."""

    def read(text: str) -> str:
        if not form.fullmatch(text):
            raise ValueError(f'"{text}" is not {what}')
        return text

    return Form("text", read)


def variables(place: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return what adds the option for variables whose values are in a place, and never in what is written."""
    return click.option(
        "--env",
        "variables",
        multiple=True,
        type=matching(VARIABLE, "the name of a variable"),
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
                type=matching(GPU, "the ID of a GPU, as nvidia-smi -L prints it"),
                metavar="ID",
                help="GPU of the host, or a MIG device, by its index or UUID. Repeatable.  [default: any]",
            ),
            click.option(
                "--bind",
                type=Form("address", _address),
                metavar="ADDRESS",
                default="127.0.0.1",
                help="Address that the ports are on.",
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
