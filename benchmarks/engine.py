"""Measure an engine of the example's generator: `python -m benchmarks.engine ort|script|vllm [ENVIRONMENT]`.

The example is built and served on this machine's CPU; ENVIRONMENT is that of the real vLLM, if it is not in the cache.
Printed are the time of the start (with the weights made before), the first token and tokens per second of one client
after another and of 4 at once (48 tokens each, the generator alone), an answer of the whole pipeline, the memory of the
server's processes, the time of an orderly stop, and what is left after it. Exit status 1 if anything is left.

The figures are those of an otherwise idle machine only if it is one: the load average is printed with them.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from benchmarks.streams import Asking, built
from tritonrepo import api
from tritonrepo.server.keeper import SHARED_MEMORY, descendants

TOKENS = 48
ROUNDS = 8
CLIENTS = 4
PROMPT = "Tell a story about a ship that sails north."
SAMPLING = json.dumps({"max_tokens": TOKENS, "ignore_eos": True, "temperature": 0})


class Timed(NamedTuple):
    """One stream: seconds to its first token and to its end, and its responses."""

    first_s: float
    whole_s: float
    responses: int


def stream(client: Asking) -> Timed:
    """Read one answer of the generator."""
    began, times = time.perf_counter(), list[float]()
    for _ in client.events("generator", {"text_input": PROMPT, "stream": True, "sampling_parameters": SAMPLING}):
        times.append(time.perf_counter() - began)
    return Timed(times[0], times[-1], len(times))


def speeds(client: Asking) -> Iterator[str]:
    """Yield the lines about speed."""
    stream(client)
    alone = [stream(client) for _ in range(ROUNDS)]
    first_ms = 1000 * statistics.median(each.first_s for each in alone)
    rate = statistics.median((TOKENS - 1) / (each.whole_s - each.first_s) for each in alone)
    yield f"one client: first token {first_ms:.0f} ms, {rate:.0f} tokens/s"
    with ThreadPoolExecutor(CLIENTS) as pool:
        began = time.perf_counter()
        crowd = [*pool.map(stream, [client] * CLIENTS * 4)]
        took = time.perf_counter() - began
    first_ms = 1000 * statistics.median(each.first_s for each in crowd)
    yield f"{CLIENTS} clients: first token {first_ms:.0f} ms, {TOKENS * len(crowd) / took:.0f} tokens/s in all"


def memory(pids: list[int]) -> int:
    """Return the memory of processes in MiB: each page counts once, shared ones in parts."""
    total = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total >> 10


def main(engine: str, environment: str) -> int:
    """Serve the example with an engine and measure it."""
    work = api.Workspace(os.environ)
    shared = {each.name for each in SHARED_MEMORY.iterdir()}
    with tempfile.TemporaryDirectory() as folder:
        there = Path(environment) if environment else None
        options = api.ServeOptions(api.Ports(0, 0, 0), engine=engine, deadline_s=600, llm_environment=there)
        repository = built(Path(folder), work)
        api.serve(repository, options, work).stop()  # what is made once is made now
        began = time.perf_counter()
        server = api.serve(repository, options, work)
        print(f"{engine}: ready after {time.perf_counter() - began:.1f} s; load average {os.getloadavg()[0]:.1f}")
        client = Asking(server.http)
        print(*speeds(client), sep="\n")
        began = time.perf_counter()
        answer = "".join(event.get("answer", "") for event in client.rag())
        print(f"rag, in {time.perf_counter() - began:.1f} s: {answer!r}")
        family = descendants(server.session)
        print(f"memory of {len(family)} processes: {memory(family)} MiB")
        began = time.perf_counter()
        server.stop()
        print(f"stopped in {time.perf_counter() - began:.1f} s")
        left = [pid for pid in family if Path(f"/proc/{pid}").exists()]
        regions = [name for name in sorted({each.name for each in SHARED_MEMORY.iterdir()} - shared) if "psm" in name]
        print(f"left: {len(left)} processes, {len(regions)} regions of shared memory")
        return 1 if left or regions else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2] if sys.argv[2:] else ""))
