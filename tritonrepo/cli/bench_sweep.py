"""`tritonrepo bench sweep`: a load at one concurrency after the other, up to the knee."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from tritonrepo.cli import EXIT_CODES
from tritonrepo.cli.bench_facts import Number
from tritonrepo.cli.bench_live import loading
from tritonrepo.cli.bench_loading import MOST, load_of
from tritonrepo.cli.bench_options import benching, cut, ended, finished, options_of, printed, targets_of
from tritonrepo.cli.output import concluded
from tritonrepo.cli.values import Form

if TYPE_CHECKING:
    from tritonrepo.flows.bench import Benched

USUAL = 256

EPILOG = f"""\b
Examples:
  tritonrepo bench sweep grpc://127.0.0.1:8001/rag --slo ttft=500,itl=50
  tritonrepo bench sweep http://127.0.0.1:8000/v1 --concurrency 1,8,32,64 --whole --format json

{EXIT_CODES}"""


def _ladder(text: str) -> tuple[int, ...]:
    """Return concurrencies, each higher than the one before."""
    words = [each.strip() for each in text.split(",")]
    found = tuple(int(each) for each in words if each.isdecimal() and len(each) < len(str(MOST * 10)))
    if len(found) != len(words) or sorted({*found}) != [*found] or not 0 < found[0] <= found[-1] <= MOST:
        raise ValueError(f'"{text}" is not a list of concurrencies that grow, such as 1,2,4,8')
    return found


OPTIONS = (
    click.option(
        "--concurrency",
        type=Form("numbers", _ladder),
        metavar="N,N,...",
        help=f"Requests in flight at each step.  [default: `1,2,4` and so on up to {USUAL}]",
    ),
    click.option(
        "--least-gain",
        type=Number(0, 1),
        default=0.1,
        metavar="SHARE",
        help="Stop where throughput grows by less than this share for each doubling, while latency grows by more.",
    ),
    click.option("--whole", is_flag=True, help="Measure every step, also after the knee."),
    click.option(
        "--at",
        type=click.Choice(("mean", "p50", "p90", "p95", "p99")),
        default="p95",
        help="What must keep the SLO: the mean of all requests, or a percentile.",
    ),
)


@click.command("sweep", epilog=EPILOG, short_help="Measure at growing concurrency, up to the knee.")
@click.argument("target", metavar="TARGET")
@benching(*OPTIONS)
def command(target: str, *, given: Mapping[str, Any]) -> int:
    """Measure a served model at growing concurrency, up to the knee, and recommend where to operate it.

    TARGET is as for `tritonrepo bench run`. The knee is where throughput stops growing and more requests in flight
    only wait for longer. With --slo, the highest concurrency is named that keeps it, and the one with the most goodput
    is recommended; without it, the knee is. Each step has prompts of its own.
    """
    from tritonrepo.bench.sweeping import doubled
    from tritonrepo.flows.bench_sweep import SweepOptions, marks, sweep
    from tritonrepo.flows.bench_sweep import concluded as conclusions

    options = options_of(given, load_of({**given, "concurrency": None}))
    how = SweepOptions(
        given["concurrency"] or doubled(USUAL),
        lambda concurrency: load_of({**given, "concurrency": concurrency}),
        given["least_gain"],
        given["whole"],
        given["at"],
    )
    done: list[Benched] = []
    cuts: list[BaseException] = []
    form = given["form"]
    with concluded(form, lambda ends: printed(form, done, [*conclusions(done, how, options.slo), *ends])):
        try:
            (chosen,) = targets_of(given, [target])
            with cut(done, cuts), loading(chosen.text) as hear:
                done.extend(sweep(chosen, options, how, hear))
        finally:
            found = [*conclusions(done, how, options.slo)]
            finished(given, done, found, marks(done, how, options.slo))
    return ended(done, found, cuts)
