"""Compare `tritonrepo bench` with other tools: `python -m benchmarks.bench_tools VLLM AIPERF [ROUNDS]`.

VLLM is an environment with the real vLLM, pandas and what it needs for GGUF files, AIPERF one with aiperf. All three
tools send the same prompts in the same order in a closed loop, one tool after another, in another order each round.

First to an endpoint that computes nothing and answers at known times (tests/timed_endpoint.py), by schedules that tell
the tools' definitions apart. What each tool must say follows from when the texts left the endpoint, by its own notes,
and from the tool's own definitions; exit status 1 if a figure of tritonrepo is off by more than 2 % and 2 ms. The
time from a request's first byte to its being read is part of what the tools see, so the machine must have a core to
spare.

Then to `vllm serve` with the example's generator. There nobody knows the truth: printed are each tool's medians over
the rounds with their range, and beside vLLM's figures what its own record of each message gives by our definitions.
What is left between the columns is the tools' own work, which takes processors from the server, and the machine's
chance; what the server itself counted in the same time is printed below.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.benched import Load, weights, written
from benchmarks.endpoint import MODEL, served
from benchmarks.foreign import (
    AIPERF,
    GAP,
    ITL,
    LATENCY,
    OURS,
    RATES,
    REQUESTS,
    TOKENS,
    TPOT,
    TTFT,
    VLLM,
    Figures,
    Tools,
    as_ours,
    by_vllm,
)
from benchmarks.questions import questions
from tests.timed_endpoint import Schedule, notes, timed
from tritonrepo import api

ROUNDS = 3
KNOWN = Load(clients=1, requests=12, tokens=32, warmup=2)
"""One client: of several in step, one waits for the others' requests to be read, by a millisecond each."""

SCHEDULES = {
    "a text first": Schedule(pieces=32, first_s=0.12, gap_s=0.02, empty=False, usage="end"),
    "an empty message first": Schedule(pieces=32, first_s=0.12, gap_s=0.02, usage="end"),
    "two tokens a message": Schedule(pieces=16, first_s=0.12, gap_s=0.04, bundle=(2,), empty=False, usage="end"),
}

LOAD = Load(clients=4, requests=24, tokens=32, warmup=8)
ENGINE = {"enable_prefix_caching": False, "max_model_len": 4096, "disable_uvicorn_access_log": True}
COUNTED = {
    TTFT: "vllm:time_to_first_token_seconds",
    ITL: "vllm:inter_token_latency_seconds",
    LATENCY: "vllm:e2e_request_latency_seconds",
}
Counts = Mapping[str, float]
Call = Callable[[str, str], Figures]

SHARE, LEAST_MS = 0.02, 2.0
"""How far a figure may be from the truth: the larger of the two."""

CAUSES = {
    TTFT: "vLLM: to the first message, also one without a text, from before it looks up proxies; the others: to a text",
    ITL: "tritonrepo, aiperf: one value a request; vLLM: the gaps between messages of all requests",
    TPOT: "vLLM: from its own first message to its own last one; aiperf has only ITL",
    GAP: "vLLM: also the gaps after and before messages without a text",
    LATENCY: "vLLM: to the last message with choices, also one without a text; the others: to the last text",
    REQUESTS: "aiperf: a request also waits until its processes have passed the turn on",
    TOKENS: "as requests/s; all three take the server's count",
}


def truth(schedule: Schedule, tool: str, seen: tuple[float, float]) -> Figures:
    """Return what a tool must say of a schedule, by its own definitions.

    `seen` is when the first and the last text left, in milliseconds. Before the first one the endpoint sends a message
    without a text at once, if the schedule has one, and after the last one always.
    """
    (first, last), tokens = seen, schedule.total
    whole = {LATENCY: last, REQUESTS: 1000 * KNOWN.clients / last, TOKENS: 1000 * KNOWN.clients * tokens / last}
    step = (last - first) / (schedule.pieces - 1)
    if tool == VLLM:
        early, gaps = (0.0, schedule.pieces + 1) if schedule.empty else (first, schedule.pieces)
        tpot = (last - early) / (tokens - 1)
        return {TTFT: early, ITL: step, TPOT: tpot, GAP: (last - early) / gaps, **whole}
    each = (last - first) / (tokens - 1)
    figures = {TTFT: first, ITL: each, TPOT: each, GAP: step, **whole}
    return {name: value for name, value in figures.items() if tool == OURS or name != TPOT}


def known(tools: Tools, calls: Mapping[str, Call]) -> int:
    """Measure the endpoint with known times; return how many figures of tritonrepo are not true."""
    wrong = 0
    for name, schedule in SCHEDULES.items():
        ask(tools, [replace(schedule, id=number).text() for number in range(KNOWN.requests)])
        for tool, call in calls.items():
            with timed() as url:
                found = call(url, "timed")
                first, last = seen(url)
            print(f"\n{name}, {tool}: first text at {first:.1f} ms, last one at {last:.1f} ms")
            off = compared(found, truth(schedule, tool, (first, last)))
            wrong += off if tool == OURS else 0
    print(f"\n{wrong} figures of tritonrepo are not true; load average {os.getloadavg()[0]:.1f}")
    return wrong


def seen(url: str) -> tuple[float, float]:
    """Return when the first and the last text of an answer left, in milliseconds since its request, as medians."""
    read, left = notes(url)
    spans = [(1000 * (times[0] - read[number]), 1000 * (times[-1] - read[number])) for number, times in left.items()]
    return statistics.median(first for first, _ in spans), statistics.median(last for _, last in spans)


def ask(tools: Tools, texts: Sequence[str]) -> None:
    """Write the prompts as each tool reads them."""
    for key in ("text", "prompt"):
        written(texts, tools.place / f"{key}.jsonl", key)


def compared(found: Figures, true: Figures) -> int:
    """Print figures beside the truth; return how many differ."""
    wrong = 0
    for name, value in true.items():
        allowed = max(SHARE * value, 0 if name in RATES else LEAST_MS)
        off = abs(found[name] - value) > allowed
        wrong += off
        print(f"  {name:22} {value:9.2f} {found[name]:9.2f} {found[name] - value:+8.2f}{'  NOT TRUE' if off else ''}")
    return wrong


def real(tools: Tools, number: int) -> None:
    """Measure `vllm serve` in rounds, and print a table of the metrics."""
    columns: dict[str, list[Figures]] = {OURS: [], AIPERF: [], VLLM: [], f"{VLLM}, our definitions": []}
    served_by: dict[str, list[Counts]] = {OURS: [], AIPERF: [], VLLM: []}

    def vllm(url: str) -> Figures:
        said = tools.detailed(url, MODEL)
        columns[f"{VLLM}, our definitions"].append(as_ours(said))
        return by_vllm(said)

    calls: dict[str, Callable[[str], Figures]] = {
        OURS: lambda url: tools.ours(url, MODEL),
        AIPERF: lambda url: tools.by_aiperf(url, MODEL),
        VLLM: vllm,
    }
    with served(tools.vllm / "bin" / "python", tools.tokenizer, ENGINE) as url:
        for turn in range(number):
            for tool in [*calls][turn % len(calls) :] + [*calls][: turn % len(calls)]:
                before = counted(url)
                columns[tool].append(calls[tool](url))
                served_by[tool].append({name: value - before[name] for name, value in counted(url).items()})
    print(f"\nvllm serve, {number} rounds; load average {os.getloadavg()[0]:.1f}\n")
    print(f"| metric | {' | '.join(columns)} | what the definitions say |\n|---|{'--:|' * len(columns)}---|")
    for name, cause in CAUSES.items():
        cells = [spread([found[name] for found in rounds if name in found]) for rounds in columns.values()]
        print(f"| {name} | {' | '.join(cells)} | {cause} |")
    print("\nWhat the server counted meanwhile, with the warm-up, as means in milliseconds\n")
    print(f"| tool | requests | {' | '.join(COUNTED)} |\n|---|--:|{'--:|' * len(COUNTED)}")
    for tool, rounds in served_by.items():
        total = {name: sum(each[name] for each in rounds) for name in rounds[0]}
        means = [1000 * total[f"{name}_sum"] / total[f"{name}_count"] for name in COUNTED.values()]
        print(f"| {tool} | {total[f'{COUNTED[LATENCY]}_count']:.0f} | {' | '.join(f'{mean:.1f}' for mean in means)} |")


def counted(url: str) -> Counts:
    """Return the server's own sums and counts."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=30) as response:
        lines = [line.decode().rpartition(" ") for line in response]
    wanted = {f"{name}_{part}" for name in COUNTED.values() for part in ("sum", "count")}
    return {name: float(value) for at, _, value in lines if (name := at.partition("{")[0]) in wanted}


def spread(values: Sequence[float]) -> str:
    """Return the median of rounds with their range, "" without any."""
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})" if values else ""


def main(vllm: str, aiperf: str, number: int) -> int:
    """Measure both endpoints with all tools."""
    with tempfile.TemporaryDirectory() as place:
        made = weights(Path(vllm), api.Workspace(os.environ))
        tools = Tools(Path(vllm), Path(aiperf), made, Path(place), KNOWN)
        calls = {OURS: tools.ours, AIPERF: tools.by_aiperf, VLLM: lambda *at: by_vllm(tools.detailed(*at))}
        wrong = known(tools, calls)
        tools = tools._replace(load=LOAD)
        ask(tools, [question.text for question in questions()][: LOAD.requests])
        real(tools, number)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3]) if sys.argv[3:] else ROUNDS))
