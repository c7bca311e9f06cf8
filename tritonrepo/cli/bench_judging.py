"""Options of what a load is judged by: the objective of its users, and what is known of the server's hardware."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from tritonrepo.cli.bench_facts import BANDWIDTH, Number
from tritonrepo.cli.values import Form, GpuMemory, GpuModel

if TYPE_CHECKING:
    from tritonrepo.bench.figures import Slo
    from tritonrepo.bench.result import Hardware

COUNT = click.IntRange(1, 1_000_000)


def _slo(text: str) -> Slo:
    from tritonrepo.bench.slo import slo  # imported here to keep `--help` quick

    return slo(text)


SLO = Form("slo", _slo)

OPTIONS = (
    click.option(
        "--slo",
        type=SLO,
        metavar="METRIC=MS,...",
        help="What a good request keeps, such as `ttft=500,itl=50`: milliseconds of ttft, itl, tpot or latency.",
    ),
    click.option("--gpu", type=GpuModel(), metavar="NAME", help="Model of the server's GPUs, such as A100-80GB."),
    click.option("--gpus", type=COUNT, metavar="N", help="GPUs of each replica, if there are several."),
    click.option("--weights", type=GpuMemory(), metavar="SIZE", help="Weights that each step reads, such as 141GB."),
    click.option(
        "--bandwidth", type=BANDWIDTH, metavar="GB/S", help="Memory bandwidth of each GPU, if --gpu does not tell it."
    ),
    click.option("--max-num-seqs", type=COUNT, metavar="N", help="Most sequences that a replica decodes at once."),
    click.option("--replicas", type=COUNT, metavar="N", help="Replicas of the server behind the target."),
    click.option(
        "--tokens-per-step",
        type=Number(1, 1000),
        metavar="N",
        help="Mean tokens of a sequence for each step, above one with speculative decoding.",
    ),
)


def hardware_of(given: Mapping[str, Any]) -> Hardware:
    """Return what is known of the server's hardware; raise a usage error for what says nothing alone."""
    from tritonrepo.bench.result import Hardware  # imported here to keep `--help` quick

    model, gpus, bandwidth = given["gpu"], given["gpus"], given["bandwidth"]
    if gpus is not None and model is None and bandwidth is None:
        raise click.UsageError("--gpus requires --gpu or --bandwidth, which say of what there are so many")
    many = gpus or 1
    if bandwidth is None and model is not None:
        bandwidth = model.bandwidth
    return Hardware(
        "" if model is None else f"{many} x {model.name}",
        given["weights"],
        None if bandwidth is None else bandwidth * many,
        given["tokens_per_step"],
        given["max_num_seqs"],
        given["replicas"],
    )
