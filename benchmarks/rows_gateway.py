"""The rows of the gateway: what OpenAI's API costs over Triton's own, for the example with the engine `script`.

Both are asked by `tritonrepo bench`, in turns, with the same texts; the example, the gateway and the load share the
cores.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from benchmarks.benched import Load, bench
from benchmarks.pairs import Row, Taken, command, cpu_s, in_turns, rate
from benchmarks.questions import PLACE
from benchmarks.streams import built
from tritonrepo import api
from tritonrepo.bench.result import Result

TOKENS, TOKEN_MS = 32, "5"
LONG = ("--max-tokens", str(TOKENS))
ROUNDS = 3
EMBEDDED, STREAMED, FIRST_MS, EVENT_MS = 0.8, 0.9, 5.0, 0.5
"""The goals: requests/s and tokens/s over Triton's own; a first token's delay; processor time of a token."""


ITS_OWN = (
    "the gateway is a process of its own on the cores that Triton and the load share: 1.6 ms of a processor for an "
    "embedding, half a millisecond for a token. gRPC's client for asyncio takes a fourth of that, the kernel's writes "
    "a fifth, and 384 numbers as JSON a tenth: none of it can be left out. uvloop was tried, and takes the same."
)


class Way(NamedTuple):
    """A way to ask the same model."""

    name: str
    target: str
    options: tuple[str, ...] = ()


class Asked(NamedTuple):
    """The result of a round, and the processor seconds of the gateway in it."""

    result: Result
    gateway_s: float


class Bench(NamedTuple):
    """What is measured: the process of the gateway, and how many rounds each way has."""

    gateway: int
    rounds: int

    def asked(self, way: Way, load: Load) -> Asked:
        """Ask for one round."""
        before = cpu_s(self.gateway)
        result = bench(way.target, load, PLACE, *way.options)
        assert not result.figures.errors, result.figures.errors
        return Asked(result, cpu_s(self.gateway) - before)

    def both(self, ways: tuple[Way, Way], load: Load, seconds: Callable[[Result], float]) -> list[Taken]:
        """Return what a request took by each way; of the processors, the gateway's own seconds count."""
        given = in_turns(self.rounds, *(partial(self.asked, way, load) for way in ways))
        return [
            Taken(
                way.name,
                tuple(seconds(each.result) for each in rounds),
                tuple(each.gateway_s / load.requests for each in rounds),
            )
            for way, rounds in zip(ways, given, strict=True)
        ]


@contextmanager
def opened(grpc: str) -> Iterator[tuple[str, int]]:
    """Run a gateway; yield the URL of its API and its process."""
    line = command("gateway", f"grpc://{grpc}", "--port", "0")
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout
        try:
            yield (
                next(word for line in process.stdout for word in line.split() if word.startswith("http://")),
                process.pid,
            )
        finally:
            process.terminate()


def between(result: Result) -> float:
    """Return the seconds from one answer to the next."""
    return 1 / result.figures.requests_per_s


def first(result: Result) -> float:
    """Return the median seconds to the first token."""
    assert result.figures.ttft_ms
    return result.figures.ttft_ms.p50 / 1000


def rows(folder: Path, *, small: bool) -> Iterator[Row]:
    """Yield the rows of embeddings and of streamed answers."""
    os.environ["TRITONREPO_SCRIPT_TOKEN_MS"] = TOKEN_MS
    work = api.Workspace(os.environ)
    options = api.ServeOptions(api.Ports(0, 0, 0), engine="script")
    with api.serve(built(folder, work), options, work) as server, opened(server.grpc) as (url, process):
        on = Bench(process, 1 if small else ROUNDS)
        ways = (
            Way("gateway", f"{url}/embeddings", ("--model", "embedder")),
            Way("Triton, gRPC", f"grpc://{server.grpc}/embedder"),
        )
        for clients, requests in ((1, 200), (8, 400), (32, 800)):
            load = Load(clients, 10 if small else requests, warmup=clients)
            ours, other = on.both(ways, load, between)
            yield rate(f"embeddings/s of {clients} clients", ours, other, EMBEDDED, ITS_OWN)
        ways = (
            Way("gateway", f"{url}/chat/completions", ("--model", "rag", *LONG)),
            Way("generate_stream", f"{server.http}/v2/models/rag/generate_stream", LONG),
        )
        yield from streamed(ways, on, small=small)


def streamed(ways: tuple[Way, Way], on: Bench, *, small: bool) -> Iterator[Row]:
    """Yield the rows of streamed answers of `rag`."""
    ours, other = on.both(ways, Load(1, 3 if small else 40, warmup=2), first)
    later_ms = 1000 * (min(ours.wall_s) - min(other.wall_s))
    yield Row("first token of `rag`, later by", later_ms, "ms", FIRST_MS, sides=(ours, other), missed=ITS_OWN)
    ours, other = on.both(ways, Load(32, 32 if small else 160, warmup=32), between)
    yield rate("answers/s of `rag`, 32 clients", ours, other, STREAMED, ITS_OWN)
    yield Row("processors of the gateway, a token", 1000 * min(ours.cpu_s) / TOKENS, "ms", EVENT_MS, missed=ITS_OWN)
