"""Bench the example: `python -m benchmarks.bench_rag [ENVIRONMENT]` writes benchmarks/rag.md.

The example is built and served on this machine's CPU, its generator by ONNX Runtime, and `tritonrepo bench` sends its
embedder, its search and its whole pipeline loads of 1, 8 and 32 clients. With ENVIRONMENT, one of the real vLLM, the
generator is served a second time, by vLLM inside Triton, beside a `vllm serve` without Triton that has the same
weights, arguments and prompts. Both are up at once and get the same loads in turn, so other work on the machine slows
both alike.
"""

from __future__ import annotations

import datetime
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from benchmarks.benched import Load, bench, weights
from benchmarks.endpoint import INSIDE, MODEL, SETTINGS, START_S, served
from benchmarks.machine import commit, cpu, system
from benchmarks.questions import PLACE, questions
from benchmarks.streams import EXAMPLE
from tritonrepo import api
from tritonrepo.bench.claim import State
from tritonrepo.bench.figures import Distribution
from tritonrepo.bench.result import Result
from tritonrepo.cores import cores

PAGE = Path(__file__).parent / "rag.md"
TOKENS = 32
LOADS = {
    "embedder": [Load(1, 100, warmup=8), Load(8, 400, warmup=8), Load(32, 800, warmup=32)],
    "search": [Load(1, 60, warmup=8), Load(8, 160, warmup=8), Load(32, 320, warmup=32)],
    "rag": [Load(1, 8, TOKENS, 1), Load(8, 24, TOKENS, 8), Load(32, 64, TOKENS, 8)],
}
STREAMED = "rag"

ROUNDS = 3
GENERATED = [Load(1, 6, TOKENS, 1), Load(8, 16, TOKENS, 2), Load(32, 64, TOKENS, 8)]
WAYS = ("`vllm serve`, without Triton", "vLLM in Triton")

IDLE = 0.5
BUSY = ", by other work, which slows all rows and not evenly"

HEAD = """\
# A load on the example

`python -m benchmarks.bench_rag{argument}` writes this page: `tritonrepo bench run` on the stack `examples/models/rag`,
on one machine that is server and client at once. The figures are those of this machine and say nothing about another
one; on a GPU, everything is different.

| | |
|---|---|
| date | {date} |
| commit | {commit} |
| machine | {cores} cores, {cpu}, no GPU used; {system} |
| load average | {before:.1f} at the start{other}, {after:.1f} at the end |
| prompts | the {number} questions of [questions.jsonl](questions.jsonl), in their order |
| load | closed loop: each answer is followed by the next request; warm-up excluded |
| answers | exactly {tokens} tokens, temperature 0 |

## The parts of a question's way

Generator: SmolLM2-135M-Instruct in 8 bits by ONNX Runtime, a stand-in for vLLM that does not batch. The embedder and
the search are asked over gRPC, `rag` by `generate_stream` over HTTP; its first token comes after embedding, search,
reranking and the prefill of a prompt with the passages. Times in milliseconds.

| model | clients | requests | failed | requests/s | tokens/s | TTFT p50 | TTFT p95 | ITL p50 | latency p50 | p95 |
|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|
"""

BESIDE = """
## What Triton adds to vLLM

vLLM {version} on the CPU with one thread and bfloat16, in Triton and as `vllm serve`, without cached prefixes.
Both are up, and one is asked at a time: Triton by `generate_stream`, `vllm serve` by `/v1/completions`, with the
questions alone as prompts. {rounds} rounds, the two in changing order in each; a figure is the median of the rounds,
with their smallest and largest.

| way | clients | requests a round | TTFT p50 | ITL p50 | latency p50 | tokens/s |
|---|--:|--:|--:|--:|--:|--:|
"""


class Way(NamedTuple):
    """How the generator is asked."""

    name: str
    target: str
    options: tuple[str, ...] = ()


def built(place: Path, work: api.Workspace, change: Callable[[dict[str, Any]], None]) -> Path:
    """Build the example with a change of its stack file."""
    stack = shutil.copytree(EXAMPLE, place / "rag") / "tritonrepo.yaml"
    said: dict[str, Any] = yaml.safe_load(stack.read_text("utf-8"))
    change(said)
    stack.write_text(yaml.safe_dump(said, sort_keys=False), "utf-8")
    api.apply_build(api.plan_build(api.load([stack], work), place / "models"))
    return place / "models"


def p(found: Distribution | None, which: str) -> str:
    """Return a percentile of a distribution for the table."""
    value = getattr(found, which, None)
    return "" if value is None else f"{value:.1f}"


def row(model: str, load: Load, result: Result) -> str:
    """Return a row of the first table."""
    figures = result.figures
    tokens = figures.output_tokens_per_s if load.tokens else None
    times = [p(figures.ttft_ms, "p50"), p(figures.ttft_ms, "p95"), p(figures.itl_ms, "p50")]
    cells = [
        f"`{model}`",
        load.clients,
        figures.sent,
        figures.sent - figures.succeeded,
        f"{figures.requests_per_s:.1f}",
    ]
    cells += ["" if tokens is None else f"{tokens:.1f}", *(times if load.tokens else [""] * 3)]
    return told([*cells, p(figures.latency_ms, "p50"), p(figures.latency_ms, "p95")])


def doubts(result: Result) -> Iterator[str]:
    """Yield what cannot be true of a result, and that the client was too slow for it: for the terminal alone."""
    yield from (f"  {each.says}: {each.left}; {each.right}" for each in result.judgements if each.state is State.BROKEN)
    if result.client_bound:
        yield "  the client was too slow for what it measured"


def told(cells: Iterable[object]) -> str:
    """Return a row of a table."""
    return f"| {' | '.join(map(str, cells))} |"


def parts(place: Path, work: api.Workspace) -> Iterator[str]:
    """Serve the example and yield a row for each of its loads."""
    repository = built(place, work, lambda _: None)
    with api.serve(repository, api.ServeOptions(api.Ports(0, 0, 0), deadline_s=START_S), work) as server:
        for model, loads in LOADS.items():
            grpc = f"grpc://{server.grpc}/{model}"
            target = f"{server.http}/v2/models/{model}/generate_stream" if model == STREAMED else grpc
            for load in loads:
                result = bench(target, load, PLACE)
                line = row(model, load, result)
                print(line, *doubts(result), sep="\n", flush=True)
                yield line


def uncached(said: dict[str, Any]) -> None:
    """Let the engine compute each prompt anew."""
    said["models"][INSIDE]["args"]["enable_prefix_caching"] = False


def beside(place: Path, work: api.Workspace, environment: Path) -> Iterator[str]:
    """Serve the generator by vLLM in Triton and without it, and yield a row for each way and load."""
    repository = built(place, work, uncached)
    generator = yaml.safe_load((place / "rag" / "tritonrepo.yaml").read_text("utf-8"))["models"][INSIDE]
    python, made = environment / "bin" / "python", weights(environment, work)
    chosen = api.ServeOptions(api.Ports(0, 0, 0), engine="vllm", deadline_s=START_S, llm_environment=environment)
    with served(python, made, generator["args"]) as url, api.serve(repository, chosen, work) as server:
        plain = Way(WAYS[0], f"{url}/v1/completions", ("--model", MODEL))
        inside = Way(WAYS[1], f"{server.http}/v2/models/{INSIDE}/generate_stream")
        for load in GENERATED:
            found: dict[str, list[Result]] = {name: [] for name in WAYS}
            for number in range(ROUNDS):
                for way in [plain, inside][:: -1 if number % 2 else 1]:
                    result = bench(way.target, load, PLACE, *way.options)
                    found[way.name].append(result)
                    print(*doubts(result), sep="\n", end="", flush=True)
            for name, results in found.items():
                line = told([name, load.clients, load.requests, *spread(results)])
                print(line, flush=True)
                yield line


def spread(results: Sequence[Result]) -> Iterator[str]:
    """Yield the figures of all rounds, each with its smallest and its largest."""
    figures = [result.figures for result in results]
    columns = [[each.p50 for each in metric if each] for metric in zip(*map(times, figures), strict=True)]
    for values in [*columns, [each.output_tokens_per_s or 0 for each in figures]]:
        yield f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def times(figures: Any) -> tuple[Distribution | None, ...]:  # noqa: ANN401  the figures of one run
    """Return the distributions of which the median is shown."""
    return figures.ttft_ms, figures.itl_ms, figures.latency_ms


def main(environment: str) -> int:
    """Measure, and write the page."""
    os.environ |= SETTINGS
    work, before = api.Workspace(os.environ), os.getloadavg()[0]
    began, at = datetime.datetime.now(datetime.UTC), commit()
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        lines = [*parts(Path(one), work)]
        if environment:
            version = installed(Path(environment))
            lines += [BESIDE.format(version=version, rounds=ROUNDS).rstrip("\n")]
            lines += beside(Path(two), work, Path(environment))
    head = HEAD.format(
        argument=" ENVIRONMENT" if environment else "",
        date=f"{began:%Y-%m-%d %H:%M} UTC",
        commit=at,
        cores=cores(),
        cpu=cpu(),
        system=system(),
        before=before,
        other=BUSY if before > IDLE else "",
        after=os.getloadavg()[0],
        number=len(questions()),
        tokens=TOKENS,
    )
    PAGE.write_text(head + "\n".join(lines) + "\n", "utf-8")
    return 0


def installed(environment: Path) -> str:
    """Return the version of the vLLM in an environment."""
    command = [str(environment / "bin" / "python"), "-c", "import vllm; print(vllm.__version__)"]
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(command, capture_output=True, text=True, check=True, env=own).stdout.split()[-1]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if sys.argv[1:] else ""))
