"""The options of commands that change what servers serve: what may happen to requests meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click


def accepting(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that accept mixed responses and downtime, each for a model."""
    for option in (_downtime, _mixed):
        command = option(command)
    return command


_mixed = click.option(
    "--allow-mixed",
    "mixable",
    multiple=True,
    metavar="MODEL",
    help="Continue even if responses of this pipeline can mix the old and the new release for a while. Repeatable.",
)

_downtime = click.option(
    "--allow-downtime",
    "downtime",
    multiple=True,
    metavar="MODEL",
    help="Continue even if requests to this model, and to pipelines that call it, fail while its new version loads,"
    " because two versions do not fit in memory. Repeatable.",
)
