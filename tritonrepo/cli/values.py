"""Types of options that several commands have."""

from __future__ import annotations

import math
from typing import Any

import click

PORT = click.IntRange(0, 65535)


class Seconds(click.FloatRange):
    """A number of seconds; a plain FloatRange lets nan and inf pass."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401  click's signature
        """Give the seconds; a usage error for what is no time."""
        seconds: float = super().convert(value, param, ctx)
        if not math.isfinite(seconds):
            self.fail(f"{value} is no number of seconds.", param, ctx)
        return seconds


WAIT = Seconds(0, min_open=True)
PAUSE = Seconds(0)
