"""Options that state what a table of figures does not: how it was measured, and on what."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from tritonrepo.cli.values import Form, GpuMemory, GpuModel

if TYPE_CHECKING:
    from tritonrepo.flows.bench_check import Facts
    from tritonrepo.llm.gpus import Gpu

SPEED = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?) ?([GT])B(?:/s|ps)?", re.IGNORECASE)


class Number(click.FloatRange):
    """Number above 0; a plain FloatRange accepts nan and inf."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401  click's signature
        """Return the number; raise a usage error for one that is not finite."""
        found: float = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"{value} is not a number above 0.", param, ctx)
        return found


def _bandwidth(text: str) -> float:
    """Return the bandwidth of a memory in bytes per second."""
    found = SPEED.fullmatch(text.strip())
    if found is None or not float(found[1]):
        raise ValueError(f'"{text}" is not a bandwidth, such as 2039GB/s or 3.35TB/s')
    return float(found[1]) * {"g": 1e9, "t": 1e12}[found[2].lower()]


BANDWIDTH = Form("bandwidth", _bandwidth)
ABOVE_0 = Number(0, min_open=True)
COUNT = click.IntRange(1)
SHARE = click.FloatRange(0, 1, min_open=True)


def facts_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; `facts` turns their values into one."""
    for option in reversed(
        (
            click.option("--concurrency", type=ABOVE_0, metavar="N", help="Requests in flight at most."),
            click.option("--input-tokens", type=ABOVE_0, metavar="N", help="Mean tokens of a prompt."),
            click.option("--output-tokens", type=ABOVE_0, metavar="N", help="Mean tokens of an answer."),
            click.option("--max-num-seqs", type=COUNT, metavar="N", help="Sequences that an engine decodes at most."),
            click.option("--replicas", type=COUNT, metavar="N", help="Engines that answered, if several."),
            click.option("--gpu", type=GpuModel(), metavar="NAME", help="Model of the GPUs, such as A100-80GB."),
            click.option("--gpus", type=COUNT, metavar="N", help="GPUs of each engine, if several."),
            click.option("--bandwidth", type=BANDWIDTH, metavar="GB/S", help="Bandwidth of a GPU's memory, not --gpu."),
            click.option("--weights", type=GpuMemory(), metavar="SIZE", help="Weights read per step, such as 141GB."),
            click.option(
                "--tokens-per-step",
                type=ABOVE_0,
                metavar="N",
                help="Mean tokens of a sequence per step, if several, as with speculative decoding.",
            ),
            click.option("--kv-tokens", type=ABOVE_0, metavar="N", help="Tokens for which the KV cache has room."),
            click.option("--gpu-memory-utilization", type=SHARE, metavar="X", help="vLLM's share of the GPUs' memory."),
        )
    ):
        command = option(command)
    return command


def facts(*, gpu: Gpu | None, gpus: int | None, bandwidth: float | None, weights: int | None, **others: Any) -> Facts:  # noqa: ANN401  fields of Facts
    """Return what the options state; raise a usage error for those that contradict each other."""
    from tritonrepo.flows.bench_check import Facts  # imported here to keep `--help` quick

    if gpu is not None and bandwidth is not None:
        raise click.UsageError("--gpu and --bandwidth cannot be combined: each states the bandwidth of the memory")
    if gpu is not None and gpu.bandwidth is None:
        raise click.UsageError(f"the memory bandwidth of GPU {gpu.name} is not known. Use --bandwidth.")
    if gpus is not None and gpu is None and bandwidth is None:
        raise click.UsageError("--gpus needs --gpu or --bandwidth")
    each = bandwidth if gpu is None else gpu.bandwidth
    utilization = others.pop("gpu_memory_utilization")
    whole = None if each is None else each * (gpus or 1)
    return Facts(weights_bytes=weights, bandwidth=whole, memory_utilization=utilization, **others)
