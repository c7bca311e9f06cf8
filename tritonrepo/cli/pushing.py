"""Options that push and rollback share, and what they become."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from tritonrepo.cli.accepting import accepting
from tritonrepo.cli.values import PAUSE, WAIT, record_place
from tritonrepo.flows.push import DRAIN_S, SETTLE_S, Servers

ANSWER_S = 10
"""Maximum wait for one response about health, index or config, in seconds."""

OPTIONS = (
    click.option(
        "--dry-run",
        is_flag=True,
        help="Print the plan without sending anything; with --server, the servers are queried for it.",
    ),
    click.option(
        "--server",
        "servers",
        multiple=True,
        metavar="URL",
        help="Server that reads URI. Each phase waits until the server serves what was written. Versions that do not"
        " load even before are reported and not kept. Repeatable.",
    ),
    click.option(
        "--settle",
        type=PAUSE,
        metavar="SECONDS",
        help="Pause between phases, for servers to load what was written; with --server, for running requests to"
        f" finish.  [default: {SETTLE_S:g}, or {DRAIN_S:g} with --server]",
    ),
    click.option(
        "--timeout",
        type=WAIT,
        default=600.0,
        metavar="SECONDS",
        help="Maximum wait for a --server to load what a phase wrote.",
    ),
    accepting,
    click.option(
        "--no-lock",
        is_flag=True,
        help="Take no lock, for a store that ignores conditional writes. Make sure that nobody else pushes to URI.",
    ),
    record_place,
)


def push_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of what writes to a repository that servers read."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def servers_at(urls: Sequence[str], timeout_s: float) -> Servers:
    """Return the servers at these URLs."""
    if not urls:
        return Servers(timeout_s=timeout_s)
    from tritonrepo.server.endpoint import Endpoint

    return Servers([Endpoint(url, ANSWER_S, ANSWER_S) for url in urls], timeout_s)
