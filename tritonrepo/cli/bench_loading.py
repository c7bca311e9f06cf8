"""Options of a load: when requests are sent, how many, for how long, and how often."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from tritonrepo.cli.bench_facts import Number
from tritonrepo.cli.values import NAMED, WAIT, Form

if TYPE_CHECKING:
    from tritonrepo.bench.load import Load

MOST = 100_000
AT_ONCE = click.IntRange(1, MOST)
RATE = Number(0, 1e6, min_open=True)
RAMP = re.compile(r"([0-9]+(?:\.[0-9]+)?):([0-9]+(?:\.[0-9]+)?)")
LEAST, EACH = 100, 10
"""Requests without --requests and --duration: so many, and so many for each in flight if that is more."""


def _ramp(text: str) -> tuple[float, float]:
    found = RAMP.fullmatch(text.strip())
    if not found or not 0 < max(map(float, found.groups())) <= MOST:
        raise ValueError(f'"{text}" is not a ramp of rates per second, such as 1:20')
    return float(found[1]), float(found[2])


class WarmUp(NamedTuple):
    """What is sent before: requests, or for some seconds, or until latency is stable."""

    requests: int = 0
    seconds: float | None = None
    stable: bool = False


def _warm_up(text: str) -> WarmUp:
    said = text.strip()
    if said == "stable":
        return WarmUp(stable=True)
    if found := re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,3})?) ?s", said):
        return WarmUp(seconds=float(found[1]) or None)
    if not re.fullmatch(r"[0-9]{1,6}", said):
        raise ValueError(f'"{text}" is not a warm-up: a number of requests, seconds such as 10s, or stable')
    return WarmUp(int(said))


def option_warmup(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option for the warm-up."""
    return click.option(
        "--warmup",
        type=Form("warm-up", _warm_up),
        metavar="N|Ns|stable",
        help="Requests to send before and not to measure: a number, for some seconds such as 10s, or until latency is"
        " stable.  [default: one for each in flight]",
    )(command)


LENGTHS = (
    click.option(
        "--requests",
        type=click.IntRange(1, 100_000_000),
        metavar="N",
        help="Number of requests to measure.  [default: 100, or 10 for each in flight if that is more, without"
        " --duration]",
    ),
    click.option("--duration", type=WAIT, metavar="SECONDS", help="Send no more requests after this time."),
    option_warmup,
    click.option("--seed", type=int, default=0, metavar="N", help="Seed of random times and of prompts."),
)

SHAPES = (
    click.option(
        "--concurrency",
        type=AT_ONCE,
        metavar="N",
        help="Requests in flight: each answer is followed by the next request. With --rate, --ramp or --trace, the most"
        " that are in flight.  [default: one, or any number with those]",
    ),
    click.option("--rate", type=RATE, metavar="R", help="Send R requests per second on average, at random times."),
    click.option(
        "--ramp",
        type=Form("rates", _ramp),
        metavar="FROM:TO",
        help="Send at a rate that grows evenly, at random times.",
    ),
    click.option("--trace", type=NAMED, metavar="FILE", help="Send the requests of a JSON Lines file at its times."),
    click.option(
        "--repeats", type=click.IntRange(1, 1000), default=1, metavar="N", help="How often to measure the load."
    ),
)


def load_of(given: Mapping[str, Any]) -> Load:
    """Return the load that the options describe; raise a usage error if they contradict each other."""
    from tritonrepo.bench.load import Load, Shape  # imported here to keep `--help` quick

    concurrency, rate, ramp, trace = (given.get(name) for name in ("concurrency", "rate", "ramp", "trace"))
    shapes = [f"--{name}" for name in ("rate", "ramp", "trace") if given.get(name) is not None]
    if len(shapes) > 1:
        raise click.UsageError(f"{' and '.join(shapes)} cannot be combined: each of them says when requests are sent")
    requests, duration = given["requests"], given["duration"]
    if ramp and requests is None and duration is None:
        raise click.UsageError("--ramp requires --requests or --duration, over which the rate grows")
    at_once = 1 if concurrency is None and not shapes else concurrency
    if requests is None and duration is None and trace is None:
        requests = max(LEAST, EACH * (at_once or 1))
    warm_up = given["warmup"] or WarmUp(at_once or 1)
    shape = Shape.RAMP if ramp else Shape.POISSON if rate else Shape.TRACE if trace else Shape.CLOSED
    return Load(
        shape=shape,
        concurrency=at_once,
        rate=ramp[1] if ramp else rate,
        rate_from=ramp[0] if ramp else None,
        requests=requests,
        duration_s=duration,
        warmup=warm_up.requests,
        repeats=given.get("repeats", 1),
        seed=given["seed"],
        warmup_s=warm_up.seconds,
        until_stable=warm_up.stable,
    )
