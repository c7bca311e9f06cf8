"""The rows of `bench`: what its client costs, over reading the same streams with asyncio and json alone."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.bench_truth import APART_S, load
from benchmarks.machine import on_one_core
from benchmarks.pairs import Row, Side, paired
from tests.timed_endpoint import Schedule, timed
from tritonrepo.bench.load import Prompt, Sampling
from tritonrepo.bench.targets import targets
from tritonrepo.server.endpoint import Endpoint

ROUNDS = 3
OVER_BARE, EVENT_US, STREAMS = 2.0, 200, 200
"""The goals: processor time over the bare reader's, and of an event, in µs; the most streams, all read by one core."""

AT_ONCE = (1, 32, STREAMS)
PIECES, GAP_S = 50, 0.02
DATA = b"data: {"


async def bare(url: str, texts: Sequence[str], at_once: int) -> int:
    """Read the same answers with nothing but asyncio and json, and a time for each event; return how many came."""
    place, left, times = urlsplit(url), iter(texts), list[float]()

    async def one_after_another(number: int) -> None:
        await asyncio.sleep(number * APART_S)
        for text in left:
            body = json.dumps({"model": "m", "stream": True, "messages": [{"role": "user", "content": text}]}).encode()
            reader, writer = await asyncio.open_connection(place.hostname, place.port)
            head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            while b"[DONE]" not in (line := await reader.readline()):
                if line.startswith(DATA):
                    json.loads(line[6:])
                    times.append(time.perf_counter())
            writer.close()

    await asyncio.gather(*(one_after_another(number) for number in range(at_once)))
    return len(times)


def ran_to_end(work: Callable[[], Coroutine[Any, Any, object]]) -> None:
    """Run what is asynchronous."""
    asyncio.run(work())


def rows(folder: Path, *, small: bool) -> Iterator[Row]:  # noqa: ARG001  it writes nothing
    """Yield the rows of one stream, of some, and of many on one core."""
    with timed() as url:  # the endpoint keeps the cores that it was started with
        (target,) = targets([f"{url}/v1#timed"], model=None, endpoint=Endpoint)
        for at_once in AT_ONCE:
            count = at_once if small else max(8, 2 * at_once)
            schedule = Schedule(pieces=PIECES, first_s=0.1, gap_s=GAP_S * max(1, at_once / 32))
            prompts = [Prompt(replace(schedule, id=number).text()) for number in range(count)]
            events = count * PIECES
            ask = partial(load, target, prompts, at_once, Sampling())
            read = partial(bare, url, [prompt.text for prompt in prompts], at_once)
            sides = Side("bench", partial(ran_to_end, ask)), Side("asyncio", partial(ran_to_end, read))
            with on_one_core():
                ours, other = paired(1 if small else ROUNDS, *sides)
            figure = min(ours.cpu_s) / min(other.cpu_s)
            yield Row(f"processors for {at_once} streams at once", figure, "×", OVER_BARE, sides=(ours, other))
            if at_once > 1:  # the watch over the client's own delay costs by the time, not by the event
                yield Row(f"processors for an event of {at_once}", 1e6 * min(ours.cpu_s) / events, "µs", EVENT_US)
