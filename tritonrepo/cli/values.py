"""Types of options that several commands have."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

PORT = click.IntRange(0, 65535)


def allow_links(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option that says where links may lead."""
    return click.option(
        "--allow-links",
        "links",
        multiple=True,
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        metavar="DIR",
        help="Directory that links may lead into, such as a hub's cache. Repeatable.",
    )(command)


class Seconds(click.FloatRange):
    """A number of seconds; a plain FloatRange lets nan and inf pass."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401  click's signature
        """Return the seconds; a usage error for what is no time."""
        seconds: float = super().convert(value, param, ctx)
        if not math.isfinite(seconds):
            self.fail(f"{value} is no number of seconds.", param, ctx)
        return seconds


WAIT = Seconds(0, min_open=True)
PAUSE = Seconds(0)
