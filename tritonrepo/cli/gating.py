"""Options of `gateway`: where it listens, who may ask, what is offered, and its limits."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from tritonrepo.cli.values import PAUSE, WAIT

if TYPE_CHECKING:
    from tritonrepo.gateway.gate import GatewayOptions

KEY = re.compile(r"[!-~]+")
LARGEST = 256
"""The largest limit of a body, in MiB."""

USUAL_PORT = 9000


class Port(click.IntRange):
    """A port; what Kubernetes sets is none.

    In each pod, it sets TRITONREPO_GATEWAY_PORT to `tcp://IP:PORT` if the namespace has a Service that is named
    `tritonrepo-gateway` (https://kubernetes.io/docs/concepts/services-networking/service/, environment variables).
    """

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ANN401  click's signature
        """Return the port; raise a usage error for what is none."""
        linked = isinstance(value, str) and value.startswith("tcp://")
        port: int = super().convert(USUAL_PORT if linked else value, param, ctx)
        return port


COUNT = click.IntRange(1, 100_000)

OPTIONS = (
    click.option("--host", default="127.0.0.1", metavar="ADDRESS", help="Address to listen on."),
    click.option(
        "--port",
        type=Port(0, 65535),
        default=USUAL_PORT,
        metavar="PORT",
        help="Port to listen on, or 0 for any free port.",
    ),
    click.option(
        "--api-key-env",
        metavar="VARIABLE",
        help="Environment variable with the keys that clients send, separated by spaces or commas.",
    ),
    click.option("--no-api-key", is_flag=True, help="Let other machines ask without a key."),
    click.option(
        "--expose", multiple=True, metavar="MODEL", help="Offer only this model. Repeatable.  [default: all that fit]"
    ),
    click.option(
        "--input-type",
        type=click.Choice(["query", "passage"]),
        help="Type of texts to embed whose request names none.  [default: the embedder's own, query]",
    ),
    click.option(
        "--concurrency", type=COUNT, default=64, metavar="N", help="Maximum number of requests that run at once."
    ),
    click.option(
        "--queue",
        type=click.IntRange(0, 100_000),
        default=64,
        metavar="N",
        help="Maximum number of requests that wait for others to end. More are refused.",
    ),
    click.option(
        "--timeout", type=WAIT, default=120.0, metavar="SECONDS", help="Maximum time for each complete response."
    ),
    click.option(
        "--max-tokens", type=COUNT, metavar="N", help="Largest max_tokens that a request may have.  [default: any]"
    ),
    click.option(
        "--max-body",
        type=click.IntRange(1, LARGEST),
        default=4,
        metavar="MIB",
        help="Maximum size of the body of a request, in MiB.",
    ),
    click.option(
        "--drain",
        type=PAUSE,
        default=30.0,
        metavar="SECONDS",
        help="How long running requests may take to end after SIGTERM or Ctrl-C.",
    ),
)


def gating(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options; the command receives them as `options`."""

    @functools.wraps(command)
    def with_options(*args: Any, **given: Any) -> int:  # noqa: ANN401  click's
        from tritonrepo.gateway.gate import GatewayOptions  # imported here to keep `--help` quick

        variable, unlocked = given.pop("api_key_env"), given.pop("no_api_key")
        keys = None if variable is None else _keys(variable, os.environ)
        expose = given.pop("expose")
        options = GatewayOptions(
            keys=keys,
            expose=frozenset(expose) or None,
            input_type=given.pop("input_type") or "",
            timeout_s=given.pop("timeout"),
            max_body=given.pop("max_body") << 20,
            drain_s=given.pop("drain"),
            **{name: given.pop(name) for name in ("host", "port", "concurrency", "queue", "max_tokens")},
        )
        _guarded(options, unlocked=unlocked)
        return command(*args, options=options, **given)

    for option in reversed(OPTIONS):
        with_options = option(with_options)
    return with_options


def _guarded(options: GatewayOptions, *, unlocked: bool) -> None:
    from tritonrepo.server.hosts import loopback

    if unlocked and options.keys is not None:
        raise click.UsageError("--no-api-key and --api-key-env cannot be combined")
    if options.keys is None and not unlocked and not loopback(options.host):
        raise click.UsageError(
            f"--host {options.host} lets other machines ask: name the keys with --api-key-env, or allow it with "
            "--no-api-key"
        )


def _keys(variable: str, environment: Mapping[str, str]) -> frozenset[str]:
    found = environment.get(variable, "").replace(",", " ").split()
    if not found:
        raise click.UsageError(f"--api-key-env: the environment variable {variable} is not set, or empty")
    if not all(map(KEY.fullmatch, found)):
        raise click.UsageError(f"--api-key-env {variable}: a key has characters that a header cannot have")
    return frozenset(found)
