"""Results and records as `bench` makes them, made by hand: the figures follow from the records by plain arithmetic."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from tritonrepo.bench.claim import Judgement, State
from tritonrepo.bench.figures import Distribution, Figures, Goodput, Slo, distribution
from tritonrepo.bench.load import Load
from tritonrepo.bench.record import Piece, Record, Source
from tritonrepo.bench.result import Hardware, Machine, Observed, Prompts, Result, Step

MACHINE = Machine(8, "AMD EPYC 7B13", "Linux 6.8.0 x86_64", "3.11.9", 0.4)
PROMPTS = Prompts("questions.jsonl", 40, 0.31, 64, exact=True)
HOLDS = Judgement("little", State.HOLDS, "5.0 requests/s * 1.6 s = 8.0 in flight", "8 at once", "Little's law holds")
BROKEN = Judgement(
    "itl-ceiling",
    State.BROKEN,
    "2,100 tokens/s",
    "32 / 0.028 s = 1,143 tokens/s",
    "more tokens per second than the requests in flight can have received",
    "59 requests were in flight, or input tokens were counted as well",
)
STEPS = (
    Step("retriever", "1", 200, 0, 1.5, 0.2, 8.25, 0.3, 4.0),
    Step("prompt", "1", 200, 0, 0.1, 0.1, 0.9, 0.1, None),
    Step("llm", "2", 198, 2, 12.0, 0.4, 180.5, 0.5, 7.5),
)
OBSERVED = Observed(
    "triton",
    "2.61.0",
    STEPS,
    {"generated_tokens": 12800.0, "prompt_tokens": 102400.0},
    {"kv_cache_usage": 0.42, "requests_running": 8.0},
    {"first_token": (81.0, 79.5)},
    {gpu: {"gpu_memory_used": 78e9, "gpu_memory_total": 80e9, "gpu_utilization": 0.97} for gpu in ("GPU-a", "GPU-b")},
    ("vLLM's metrics: the server has none at /metrics",),
)


def records(
    number: int = 200,
    *,
    seed: int = 1,
    scale: float = 1.0,
    concurrency: int = 8,
    tokens: int = 64,
    failing: Mapping[str, int] | None = None,
    repeat: int = 0,
) -> tuple[Record, ...]:
    """Return the records of a closed loop: log-normal times, of which `scale` is a factor; the first ones fail."""
    drawn = random.Random(f"{seed} {repeat}")
    errors = [reason for reason, times in (failing or {}).items() for _ in range(times)]
    free_s = [0.0] * concurrency
    found = []
    for n in range(number):
        slot = min(range(concurrency), key=lambda each: free_s[each])
        sent_s = free_s[slot]
        one = _record(drawn, sent_s, scale, tokens)
        if n < len(errors):
            one = Record(0, sent_s, sent_s + 0.05, error=errors[n], status="503")
        found.append(replace(one, number=n, repeat=repeat))
        free_s[slot] = one.ended_s
    return tuple(found)


def _record(drawn: random.Random, sent_s: float, scale: float, tokens: int) -> Record:
    ttft_s = drawn.lognormvariate(-2.5, 0.25) * scale
    gap_s = drawn.lognormvariate(-4.0, 0.15) * scale
    pieces = tuple(Piece(sent_s + ttft_s + n * gap_s, 4, 1) for n in range(tokens))
    return Record(
        0,
        sent_s,
        pieces[-1].at_s + 0.001,
        pieces,
        prompt_tokens=512,
        answer_tokens=tokens,
        source=Source.SERVER,
        finish="length",
    )


def embedded(number: int = 200, *, seed: int = 1, items: int = 16) -> tuple[Record, ...]:
    """Return the records of an embedder: one response each, no tokens."""
    drawn = random.Random(seed)
    at_s, found = 0.0, []
    for n in range(number):
        ended_s = at_s + drawn.lognormvariate(-4.5, 0.2)
        found.append(Record(n, at_s, ended_s, (Piece(ended_s, 0),), items=items, streamed=False))
        at_s = ended_s
    return tuple(found)


def figures(found: Sequence[Record], slo: Slo | None = None) -> Figures:
    """Return figures of records by plain arithmetic, over the whole time."""
    good = [one for one in found if one.ok]
    began_s, ended_s = min(one.sent_s for one in found), max(one.ended_s for one in found)
    long_s = ended_s - began_s
    tokens = [one.answer_tokens for one in good if one.answer_tokens is not None]
    prompt = [one.prompt_tokens for one in good if one.prompt_tokens is not None]
    busy_s = sum(one.latency_s for one in good)
    rate, tokens_rate = len(good) / long_s, sum(tokens) / long_s if tokens else None
    return Figures(
        len(found),
        len(good),
        Counter(one.error for one in found if one.error),
        long_s,
        (0.1 * long_s, 0.9 * long_s),
        busy_s / long_s,
        busy_s / long_s * 0.9 if tokens else None,
        rate,
        sum(one.items for one in good) / long_s,
        rate,
        tokens_rate,
        tokens_rate,
        sum(prompt) / long_s if prompt else None,
        str(good[0].source) if good else str(Source.NOBODY),
        _ms([one.ttft_s for one in good]),
        _ms([one.itl_s for one in good]),
        _ms([one.tpot_s for one in good]),
        _ms([gap for one in good for gap in one.gaps_s]),
        _ms([one.latency_s for one in good]),
        None,
        distribution(prompt),
        distribution(tokens),
        distribution([0.1, 0.2, 0.1, 0.3]),
        goodput=_goodput(good, len(found), long_s, slo) if slo else None,
    )


def _ms(values: Sequence[float | None]) -> Distribution | None:
    return distribution([1000 * value for value in values if value is not None])


def _goodput(found: Sequence[Record], sent: int, long_s: float, slo: Slo) -> Goodput:
    def kept(one: Record) -> bool:
        times = {"ttft": one.ttft_s, "itl": one.itl_s, "tpot": one.tpot_s, "latency": one.latency_s}
        return all((times[name] or 0) * 1000 <= most for name, most in slo.most_ms.items())

    good = [one for one in found if kept(one)]
    tokens = sum(one.answer_tokens or 0 for one in good)
    return Goodput(slo, len(good), len(good) / sent, len(good) / long_s, tokens / long_s)


def result(
    found: Sequence[Record],
    target: str = "grpc://127.0.0.1:8001/rag",
    *,
    slo: Slo | None = None,
    load: Load | None = None,
) -> Result:
    """Return a result of records; what else it says is the same for all, and `dataclasses.replace` changes it."""
    repeats = sorted({one.repeat for one in found})
    return Result(
        target,
        "triton-grpc",
        "rag",
        "2026-05-04T10:30:00Z",
        "tritonrepo 0.1.0",
        MACHINE,
        load or Load(concurrency=8, requests=len(found), warmup=10, repeats=len(repeats), seed=7),
        PROMPTS,
        Hardware("2 × A100-80GB", 141.1e9, 4.07e12, 1.0, 64, 1),
        figures(found, slo),
        tuple(figures([one for one in found if one.repeat == repeat], slo) for repeat in repeats),
        OBSERVED,
        client_bound=False,
        judgements=(HOLDS,),
    )


def sweep(
    levels: Sequence[int] = (1, 2, 4, 8, 16, 32, 64), target: str = "grpc://127.0.0.1:8001/rag", speed: float = 1.0
) -> list[tuple[Result, tuple[Record, ...]]]:
    """Return the results and records of a sweep: from 16 at once on, time grows with what is in flight."""
    slo = Slo({"ttft": 200.0})
    made = []
    for level in levels:
        scale = speed * (1 + level / 64 if level <= 16 else 1.25 * level / 16)
        found = records(max(120, 6 * level), seed=level, scale=scale, concurrency=level)
        load = Load(concurrency=level, requests=len(found), warmup=10, seed=7)
        made.append((result(found, target, slo=slo, load=load), found))
    return made


def several(repeats: int = 5, number: int = 200, **given: float) -> tuple[Record, ...]:
    """Return the records of repeated runs, one after the other; `noise` is how much their speed differs."""
    scale, seed, noise = given.get("scale", 1.0), int(given.get("seed", 1)), given.get("noise", 0.0)
    drawn, begin_s, found = random.Random(seed), 0.0, list[Record]()
    for repeat in range(repeats):
        speed = scale * drawn.lognormvariate(0, noise)
        made = [later(one, begin_s) for one in records(number, seed=seed, scale=speed, repeat=repeat)]
        begin_s = max(one.ended_s for one in made)
        found += made
    return tuple(found)


def later(record: Record, by_s: float) -> Record:
    """Return a record with all its times later."""
    pieces = tuple(piece._replace(at_s=piece.at_s + by_s) for piece in record.pieces)
    return replace(record, sent_s=record.sent_s + by_s, ended_s=record.ended_s + by_s, pieces=pieces)
