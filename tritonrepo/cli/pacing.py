"""Options that say how a smoke test proceeds: at once, again, and until when."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from tritonrepo.cli.values import WAIT

MOST_AT_ONCE = 64
MOST_TIMES = 1000

OPTIONS = (
    click.option(
        "--parallel",
        type=click.IntRange(1, MOST_AT_ONCE),
        default=1,
        metavar="N",
        help="Number of models to test at the same time, so that one that hangs does not hold up the others.",
    ),
    click.option(
        "--repeat",
        type=click.IntRange(1, MOST_TIMES),
        default=1,
        metavar="N",
        help="How often to make each check. One that fails sometimes says how often.",
    ),
    click.option(
        "--timeout",
        type=WAIT,
        default=30.0,
        metavar="SECONDS",
        help="Maximum wait for each complete response, including streams.",
    ),
    click.option(
        "--deadline",
        type=WAIT,
        metavar="SECONDS",
        help="Maximum duration of the whole test. What was not tested by then is listed, and fails.",
    ),
)


def pacing(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options; the command receives `timeout` as it is, and the others as `pace`."""

    @functools.wraps(command)
    def with_pace(*args: Any, **given: Any) -> int:  # noqa: ANN401  click's
        from tritonrepo.smoke.pace import Pace  # imported here to keep `--help` quick

        pace = Pace(given.pop("parallel"), given.pop("repeat"), given.pop("deadline"))
        return command(*args, pace=pace, **given)

    for option in reversed(OPTIONS):
        with_pace = option(with_pace)
    return with_pace
