"""The options of `plan`: what is asked, and what it is computed from."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from tritonrepo.cli.bench_judging import SLO
from tritonrepo.cli.values import NAMED, Form

if TYPE_CHECKING:
    from tritonrepo.bench.rates import Rate

LEAST, MOST = 50.0, 99.9
"""Percent of requests for which an SLO can be set: all of them cannot be promised for random arrivals."""

SPARE = 1000


def _rate(text: str) -> Rate:
    from tritonrepo.bench.rates import rate  # imported here to keep `--help` quick

    return rate(text)


def _percent(text: str) -> float:
    try:
        percent = float(text.removesuffix("%"))
    except ValueError:
        percent = 0.0
    if not LEAST <= percent <= MOST:
        raise ValueError(f'"{text}" is not a percentage from {LEAST:g} to {MOST:g}, such as 95 or 99%')
    return percent


RATE = Form("rate", _rate)

ASKED = (
    click.option("--peak", type=RATE, required=True, metavar="RATE", help="Requests at the peak, such as `12/s`."),
    click.option(
        "--slo",
        type=SLO,
        required=True,
        metavar="LIMITS",
        help="Limits that a good request keeps: ttft, itl, tpot or latency in milliseconds or with a unit, as in"
        " `ttft=500,itl=50` or `latency=2s`.",
    ),
    click.option(
        "--share",
        type=Form("percent", _percent),
        default=95.0,
        metavar="PERCENT",
        help="Percentage of requests that must be good.",
    ),
    click.option(
        "--spare",
        type=click.IntRange(0, SPARE),
        default=1,
        metavar="N",
        help="Replicas more than the peak needs, for one that is lost or restarts.",
    ),
    click.option("--mean", type=RATE, metavar="RATE", help="Mean requests of a month, for costs, such as `3/s`."),
)

FROM = (
    click.option(
        "--bench",
        "results",
        multiple=True,
        type=NAMED,
        metavar="RESULT",
        help="Result of `tritonrepo bench`, a file that --output has written. Repeatable.",
    ),
    click.option(
        "--target",
        metavar="TARGET",
        default="",
        show_default=False,
        help="Target in the results, if they have several.",
    ),
    click.option(
        "--input-tokens",
        type=click.IntRange(1, 10_000_000),
        metavar="N",
        help="Tokens of a request.  [default: as measured]",
    ),
    click.option(
        "--output-tokens",
        type=click.IntRange(1, 10_000_000),
        metavar="N",
        help="Tokens of an answer.  [default: as measured]",
    ),
    click.option(
        "--cost", type=NAMED, metavar="FILE", help="File of prices, as `tritonrepo cost init` creates it: adds costs."
    ),
    click.option(
        "--option",
        metavar="NAME",
        default="",
        show_default=False,
        help="Option of that file, if it has several.  [default: the only one, or the one with the name of the GPUs]",
    ),
    click.option(
        "--accept-mismatch",
        is_flag=True,
        help="Use results of another model, other GPUs or shorter requests than the plan is for.",
    ),
)


def plan_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say what is planned for and from what."""
    for option in reversed((*ASKED, *FROM)):
        command = option(command)
    return command


def checked(peak: Any, mean: Any) -> None:  # noqa: ANN401  rates, imported late
    """Raise a usage error if the mean is above the peak."""
    if mean is not None and mean.per_s > peak.per_s:
        raise click.UsageError(f"--mean {mean.text} is above --peak {peak.text}")
