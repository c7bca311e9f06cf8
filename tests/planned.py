"""Results of `bench` made by hand, from which a plan follows by plain arithmetic."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from tritonrepo.bench.claim import Judgement, State
from tritonrepo.bench.figures import Distribution, Figures, Goodput, Slo
from tritonrepo.bench.load import Load, Shape
from tritonrepo.bench.result import Hardware, Machine, Observed, Prompts, Result, Step
from tritonrepo.bench.saved import KEY, as_data

LIMITS = Slo({"ttft": 500.0, "itl": 50.0})
MACHINE = Machine(16, "made up", "Linux", "3.12.8", 0.5)
PROMPTS = Prompts("questions.jsonl", 1000, 0.1, 256, exact=True)
HELD = Judgement("little", State.HOLDS, "8.0 in flight", "8 at once", "Little's law holds")
TWO_H200 = Hardware(gpus="2 x H200", max_num_seqs=64)


def flat(value: float, n: int = 1200) -> Distribution:
    """Return a distribution whose values are all the same."""
    return Distribution(n, value, 0.0, value, value, value, value, value, value)


def figures(
    rate: float,
    share: float,
    *,
    latency_s: float = 4.0,
    sent: int = 1200,
    slo: Slo | None = LIMITS,
    tokens: tuple[float, float] | None = (512.0, 128.0),
    ttft_ms: Distribution | None = None,
) -> Figures:
    """Return the figures of a load with this rate, of which this share kept the SLO."""
    good = round(share * sent)
    itl_ms = (latency_s * 1000 - 200) / (tokens[1] - 1) if tokens else 0
    goodput = None if slo is None else Goodput(slo, good, good / sent, good / sent * rate, None)
    return Figures(
        sent=sent,
        succeeded=sent,
        errors={},
        duration_s=sent / rate,
        steady_s=None,
        in_flight=rate * latency_s,
        decoding=None,
        requests_per_s=rate,
        items_per_s=rate,
        steady_requests_per_s=None,
        output_tokens_per_s=rate * tokens[1] if tokens else None,
        steady_output_tokens_per_s=None,
        input_tokens_per_s=rate * tokens[0] if tokens else None,
        tokens_from="server" if tokens else "nobody",
        ttft_ms=(ttft_ms or flat(200.0, sent)) if tokens else None,
        itl_ms=flat(itl_ms, sent) if tokens else None,
        tpot_ms=flat(itl_ms, sent) if tokens else None,
        chunk_ms=None,
        latency_ms=flat(latency_s * 1000, sent),
        queued_ms=None,
        input_tokens=flat(tokens[0], sent) if tokens else None,
        output_tokens=flat(tokens[1], sent) if tokens else None,
        lag_ms=flat(0.1, sent),
        goodput=goodput,
    )


def result(
    found: Figures,
    load: Load,
    *,
    model: str = "llama",
    hardware: Hardware = TWO_H200,
    steps: Sequence[Step] = (),
    judgements: tuple[Judgement, ...] = (HELD,),
) -> Result:
    """Return the result of a load."""
    return Result(
        target=f"grpc://127.0.0.1:8001/{model}",
        protocol="triton-grpc",
        model=model,
        began="2026-01-01T00:00:00Z",
        tool="made up",
        machine=MACHINE,
        load=load,
        prompts=PROMPTS,
        hardware=hardware,
        figures=found,
        repeats=(),
        observed=Observed("triton", "2.60.0", tuple(steps)),
        client_bound=False,
        judgements=judgements,
    )


def random(rate: float, share: float, *, latency_s: float = 4.0, sent: int = 1200, model: str = "llama") -> Result:
    """Return a load with random arrivals."""
    load = Load(Shape.POISSON, None, rate, requests=sent)
    return result(figures(rate, share, latency_s=latency_s, sent=sent), load, model=model)


def closed(concurrency: int, rate: float, share: float) -> Result:
    """Return a closed loop; by Little's law, a request took `concurrency` / `rate`."""
    return result(figures(rate, share, latency_s=concurrency / rate), Load(concurrency=concurrency, requests=1200))


SWEEP = (random(2, 1.0, latency_s=3.0), random(4, 0.99, latency_s=3.5), random(6, 0.91), random(8, 0.4, latency_s=7.5))
"""Goes through 95 % halfway between 4/s and 6/s."""


def written(place: Path, results: Sequence[Result], changes: Mapping[str, object] | None = None) -> str:
    """Write results as `bench` does, with changes of the first one's keys; return the path."""
    data = [as_data(each) for each in results]
    data[0] |= changes or {}
    place.write_text(json.dumps({"schema": 1, KEY: data}), "utf-8")
    return str(place)
