"""The rows of the gateway: what OpenAI's API costs over Triton's own, for the example with the engine `script`.

Both are asked by `tritonrepo bench`, in turns, with the same texts; the example, the gateway and the load share the
cores.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.benched import Load, bench
from benchmarks.pairs import Row, Taken, cpu_s
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
    "a fifth, and 384 numbers as JSON a tenth: none of it can be left out."
)


class Way(NamedTuple):
    """A way to ask the same model."""

    name: str
    target: str
    options: tuple[str, ...] = ()


class Asked(NamedTuple):
    """Results of one way, and the processor seconds of the gateway in each round."""

    name: str
    results: list[Result]
    gateway_s: list[float]


@contextmanager
def opened(grpc: str) -> Iterator[tuple[str, int]]:
    """Run a gateway; yield the URL of its API and its process."""
    command = [sys.executable, "-m", "tritonrepo", "gateway", f"grpc://{grpc}", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout
        try:
            yield (
                next(word for line in process.stdout for word in line.split() if word.startswith("http://")),
                process.pid,
            )
        finally:
            process.terminate()


def asked(ways: tuple[Way, Way], load: Load, rounds: int, gateway: int) -> list[Asked]:
    """Return the results of both ways, which take turns."""
    found = [Asked(way.name, [], []) for way in ways]
    for number in range(rounds):
        for place in (0, 1)[:: -1 if number % 2 else 1]:
            before = cpu_s(gateway)
            result = bench(ways[place].target, load, PLACE, *ways[place].options)
            assert not result.figures.errors, result.figures.errors
            found[place].results.append(result)
            found[place].gateway_s.append(cpu_s(gateway) - before)
    return found


def taken(of: Asked, each: Callable[[Result], float], pieces: float) -> Taken:
    """Return the seconds of a piece of work in each round; the gateway's own are those of the processors."""
    return Taken(of.name, tuple(map(each, of.results)), tuple(used / pieces for used in of.gateway_s))


def seconds(result: Result) -> float:
    """Return the seconds from one answer to the next."""
    return 1 / result.figures.requests_per_s


def first(result: Result) -> float:
    """Return the median seconds to the first token."""
    assert result.figures.ttft_ms
    return result.figures.ttft_ms.p50 / 1000


def rows(folder: Path, *, small: bool) -> Iterator[Row]:
    """Yield the rows of embeddings and of streamed answers."""
    os.environ["TRITONREPO_SCRIPT_TOKEN_MS"] = TOKEN_MS
    work, rounds = api.Workspace(os.environ), 1 if small else ROUNDS
    options = api.ServeOptions(api.Ports(0, 0, 0), engine="script")
    with api.serve(built(folder, work), options, work) as server, opened(server.grpc) as (url, process):
        ways = (
            Way("gateway", f"{url}/embeddings", ("--model", "embedder")),
            Way("Triton, gRPC", f"grpc://{server.grpc}/embedder"),
        )
        for clients, requests in ((1, 200), (8, 400), (32, 800)):
            load = Load(clients, 10 if small else requests, warmup=clients)
            ours, other = (taken(each, seconds, load.requests) for each in asked(ways, load, rounds, process))
            figure = min(other.wall_s) / min(ours.wall_s)
            yield Row(
                f"embeddings/s of {clients} clients",
                figure,
                "×",
                EMBEDDED,
                at_least=True,
                sides=(ours, other),
                missed=ITS_OWN,
            )
        ways = (
            Way("gateway", f"{url}/chat/completions", ("--model", "rag", *LONG)),
            Way("generate_stream", f"{server.http}/v2/models/rag/generate_stream", LONG),
        )
        yield from streamed(ways, process, rounds, small=small)


def streamed(ways: tuple[Way, Way], process: int, rounds: int, *, small: bool) -> Iterator[Row]:
    """Yield the rows of streamed answers of `rag`."""
    load = Load(1, 3 if small else 40, warmup=2)
    ours, other = (taken(each, first, load.requests) for each in asked(ways, load, rounds, process))
    later_ms = 1000 * (min(ours.wall_s) - min(other.wall_s))
    yield Row("first token of `rag`, later by", later_ms, "ms", FIRST_MS, sides=(ours, other))
    load = Load(32, 32 if small else 160, warmup=32)
    ours, other = (taken(each, seconds, load.requests) for each in asked(ways, load, rounds, process))
    figure = min(other.wall_s) / min(ours.wall_s)
    yield Row(
        "answers/s of `rag`, 32 clients", figure, "×", STREAMED, at_least=True, sides=(ours, other), missed=ITS_OWN
    )
    yield Row("processors of the gateway, a token", 1000 * min(ours.cpu_s) / TOKENS, "ms", EVENT_MS, missed=ITS_OWN)
