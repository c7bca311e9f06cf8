"""Compare what `bench` measures with what was sent: `python -m benchmarks.bench_truth [TRITON]`.

An endpoint in a process of its own answers by schedules, and notes when it read each request and when it sent each
piece of its answer. The records of the clients go the way that those of a user go, up to the figures, and each figure
stands beside its truth, which is computed from the notes alone. Requests begin one by one, so that none waits until the
endpoint has read those before it. Exit status 1 if a figure is off by more than 2 % and by more than 2 ms, and the
client does not say that it was late itself (`client-bound`), as on a machine that does other work.

TRITON is the URL of a model that `tritonrepo serve REPOSITORY --llm-engine script` serves, such as
`grpc://127.0.0.1:8001/generator`: it sends a token every TRITONREPO_SCRIPT_TOKEN_MS (by default 5), which is the truth
there. The client's speed is printed as well: how many events it reads in a second of its own CPU time.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise

from tests.timed_endpoint import Schedule, notes, timed
from tritonrepo.bench.clients import client
from tritonrepo.bench.figures import Distribution, Figures, percentile
from tritonrepo.bench.lag import Pulse, unpaused
from tritonrepo.bench.load import Prompt, Sampling
from tritonrepo.bench.measures import figures, late
from tritonrepo.bench.record import Record
from tritonrepo.bench.target import Target
from tritonrepo.bench.targets import targets
from tritonrepo.report.bench.shown import lag
from tritonrepo.server.endpoint import Endpoint

SHARE, LEAST_MS = 0.02, 2.0
TIMEOUT_S = 120.0
APART_S = 0.01
"""Time between the first requests of those that are sent at once."""

SCHEDULES: Mapping[str, tuple[int, int, Schedule]] = {
    "constant, 1 at once": (1, 6, Schedule(pieces=50, first_s=0.2, gap_s=0.02)),
    "constant, 32 at once": (32, 128, Schedule(pieces=50, first_s=0.2, gap_s=0.02)),
    "jittered, 16 at once": (16, 64, Schedule(pieces=60, first_s=0.1, gap_s=0.02, turns=(0.2, 1.8, 1.0, 3.0, 0.5))),
    "several tokens in a piece": (8, 32, Schedule(pieces=20, first_s=0.15, gap_s=0.06, bundle=(4, 3, 5, 2))),
    "a large first piece": (8, 32, Schedule(pieces=20, first_s=0.3, gap_s=0.03, bundle=(12, 1))),
    "no empty first piece, counts at the end": (
        8,
        32,
        Schedule(pieces=30, first_s=0.1, gap_s=0.02, empty=False, usage="end"),
    ),
    "200 at once": (200, 400, Schedule(pieces=60, first_s=0.5, gap_s=0.05)),
}
"""What is sent → how many requests at once, how many in all, and the schedule of each."""

Values = dict[str, list[float]]


async def load(
    target: Target, prompts: Sequence[Prompt], at_once: int, sampling: Sampling
) -> tuple[Figures, int, float]:
    """Return the figures of a closed loop, how many events it read, and the CPU time that the client took."""
    left, found = iter(prompts), list[Record]()

    async with client(target, sampling, TIMEOUT_S) as opened:
        await opened.ask(replace_id(prompts[0]))

        async def one_after_another(place: int) -> None:
            await asyncio.sleep(place * APART_S)
            for prompt in left:
                found.append(replace(await opened.ask(prompt), number=len(found)))

        began_s, pulse = time.process_time(), Pulse(asyncio.get_running_loop())
        pulse.start()
        with unpaused():
            await asyncio.gather(*(one_after_another(place) for place in range(at_once)))
        pulse.stop()
        used_s = time.process_time() - began_s
    of = figures(found, pulse.lags_s, None)
    assert of.succeeded == len(prompts), of.errors
    return of, sum(len(record.pieces) for record in found), used_s


def replace_id(prompt: Prompt) -> Prompt:
    """Return a prompt whose notes are of no interest: it is sent first, so that the client is warm."""
    return prompt._replace(text=prompt.text.replace('"id": 0', '"id": -1'))


def truth(url: str, wanted: Schedule) -> Values:
    """Return each metric's values by what the endpoint noted, in milliseconds."""
    read, sent = notes(url)
    found: Values = {name: [] for name in ("ttft", "latency", "chunk", "itl", "tpot")}
    total = wanted.total
    first = wanted.tokens(0) if wanted.usage == "each" else 1
    for number, times in sent.items():
        if number < 0:
            continue
        found["ttft"].append(1000 * (times[0] - read[number]))
        found["latency"].append(1000 * (times[-1] - read[number]))
        found["chunk"] += [1000 * (later - earlier) for earlier, later in pairwise(times)]
        found["itl"].append(1000 * (times[-1] - times[0]) / (total - first))
        found["tpot"].append(1000 * (times[-1] - times[0]) / (total - 1))
    return found


def measured(of: Figures) -> dict[str, Distribution | None]:
    """Return the distributions of figures by the names of `truth`."""
    return {
        "ttft": of.ttft_ms,
        "latency": of.latency_ms,
        "chunk": of.chunk_ms,
        "itl": of.itl_ms,
        "tpot": of.tpot_ms,
    }


def rows(of: Figures, values: Values) -> Iterator[tuple[str, float, float]]:
    """Yield each figure with its truth: name, truth, measured."""
    for name, found in measured(of).items():
        known = sorted(values[name])
        if found is None:
            yield f"{name}", statistics.fmean(known), float("nan")
            continue
        yield f"{name} mean", statistics.fmean(known), found.mean
        yield f"{name} p50", percentile(known, 0.5), found.p50
        if found.p99 is not None:
            yield f"{name} p99", percentile(known, 0.99), found.p99


def told(name: str, rows_of: Iterator[tuple[str, float, float]], of: Figures) -> bool:
    """Print figures beside their truth; return whether all of them are near it, or said to be partly the client's."""
    good, marked = True, late(of)
    for metric, true_ms, found_ms in rows_of:
        off = abs(found_ms - true_ms)
        near = off <= max(SHARE * true_ms, LEAST_MS)
        good = good and (near or marked)
        mark = "" if near else "  OFF, client-bound" if marked else "  OFF"
        print(f"{name:42} {metric:14} {true_ms:10.3f} {found_ms:10.3f} {found_ms - true_ms:+9.3f} ms{mark}")
    return good


def scheduled(url: str, name: str) -> bool:
    """Send one schedule's load; return whether the figures are near the truth."""
    at_once, count, wanted = SCHEDULES[name]
    (target,) = targets([f"{url}/v1#timed"], model=None, endpoint=Endpoint)
    prompts = [Prompt(replace(wanted, id=number).text()) for number in range(count)]
    of, events, used_s = asyncio.run(load(target, prompts, at_once, Sampling()))
    tokens = of.output_tokens
    assert tokens is not None
    assert tokens.least == tokens.most == wanted.total
    good = told(name, rows(of, truth(url, wanted)), of)
    speed(name, of, events / used_s)
    return good


def of_triton(text: str, pause_ms: float) -> bool:
    """Send a load to a model that echoes at a known pace; return whether its pace is found."""
    (target,) = targets([text], model=None, endpoint=Endpoint)
    good = True
    for at_once in (1, 8):
        words = Prompt(" ".join(f"word{number}" for number in range(50)))
        of, events, used_s = asyncio.run(load(target, [words] * at_once * 4, at_once, Sampling(40, exact=True)))
        assert of.itl_ms is not None
        assert of.tpot_ms is not None
        known = [("itl p50", pause_ms, of.itl_ms.p50), ("tpot p50", pause_ms, of.tpot_ms.p50)]
        good = told(f"{target.protocol}, {at_once} at once", iter(known), of) and good
        speed(target.protocol, of, events / used_s)
    return good


def speed(name: str, of: Figures, events_per_s: float) -> None:
    """Print how quick the client was, and how late."""
    print(f"{name:42} {events_per_s:,.0f} events per second of CPU time, lag {lag(of)}")


def main(triton: str | None = None) -> int:
    """Compare all of it; return the exit status."""
    print(f"load average {os.getloadavg()[0]:.1f}")
    print(f"{'schedule':42} {'metric':14} {'truth':>10} {'measured':>10} {'off':>9}")
    checks: list[Callable[[], bool]] = []
    if triton:
        pause_ms = float(os.environ.get("TRITONREPO_SCRIPT_TOKEN_MS") or "5")
        checks.append(partial(of_triton, triton, pause_ms))
    checks += [partial(_alone, name) for name in SCHEDULES]
    results = [check() for check in checks]  # each of them, also after one that is off
    return 0 if all(results) else 1


def _alone(name: str) -> bool:
    with timed() as url:
        return scheduled(url, name)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
