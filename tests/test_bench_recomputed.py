"""Every figure of a run, recomputed by NumPy from the requests that it wrote one by one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.timed_endpoint import Schedule, timed
from tritonrepo.cli import run

LIMITS = {"ttft": 14.0, "itl": 3.0}
TOLERANCE: dict[str, Any] = {"rel": 1e-4, "abs": 0.002}
ROUNDED = 0.001
"""Records have milliseconds with four decimals."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Made:
    """The result of a run, its requests, and what it wrote for other tools."""

    result: Row
    rows: Sequence[Row]
    aiperf: Row
    vllm: Row

    @property
    def done(self) -> list[Row]:
        """The requests that were answered."""
        return [row for row in self.rows if row["ok"]]


def schedules() -> list[str]:
    """Return prompts whose answers differ in length, in pace and in who counts, two of which fail."""
    made = []
    for number in range(120):
        end = {40: "cut", 80: "error"}.get(number, "done")
        pieces, bundle = 1 + number % 7, (1, 2) if number % 2 else (1,)
        said = Schedule(number, pieces, 0.004 + 0.001 * (number % 11), 0.001 + 0.001 * (number % 3), bundle=bundle)
        made.append(json.dumps({"text": Schedule(**{**vars(said), "end": end}).text()}))
    return made


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A run with two repeats."""
    at = tmp_path_factory.mktemp("run")
    (at / "questions.jsonl").write_text("\n".join(schedules()))
    paths = {name: at / f"{name}.json" for name in ("output", "records", "aiperf", "vllm")}
    slo = ",".join(f"{metric}={most_ms:g}" for metric, most_ms in LIMITS.items())
    with timed() as url:
        where = ["bench", "run", f"{url}/v1", "--questions", str(at / "questions.jsonl"), "--metrics", "none"]
        load = ["--requests", "60", "--repeats", "2", "--warmup", "3", "--concurrency", "3", "--slo", slo, "-q"]
        run([*where, *load, *(word for name, path in paths.items() for word in (f"--{name}", str(path)))])
    rows = [json.loads(line) for line in paths["records"].read_text().splitlines()]
    (result,) = json.loads(paths["output"].read_text())["results"]
    measured = [row for row in rows if not row["warm_up"]]
    return Made(result, measured, json.loads(paths["aiperf"].read_text()), json.loads(paths["vllm"].read_text()))


def ended(row: Row) -> float:
    """Return when the response of a request was complete, in milliseconds since the start of the run."""
    return float(row["sent_ms"] + row["ended_ms"])


def times(row: Row) -> dict[str, float | None]:
    """Return the times of a request from the moments of its chunks alone."""
    first, last, tokens = row["chunks_ms"][0], row["chunks_ms"][-1], row["answer_tokens"]
    chunk = row["chunk_tokens"][0] or 1
    return {
        "ttft": first,
        "latency": last,
        "tpot": (last - first) / (tokens - 1) if tokens > 1 else None,
        "itl": (last - first) / (tokens - chunk) if tokens > chunk else None,
    }


def values(rows: Sequence[Row], metric: str) -> list[float]:
    """Return the values of a metric."""
    return [value for row in rows if (value := times(row)[metric]) is not None]


def same(found: Row, wanted: Sequence[float]) -> None:
    """Compare a distribution with NumPy's."""
    assert found["n"] == len(wanted)
    points = {"p50": 50, "p90": 90, "p95": 95, **({"p99": 99} if len(wanted) >= 100 else {})}
    expected = {name: np.percentile(wanted, share) for name, share in points.items()}
    expected |= {"mean": np.mean(wanted), "std": np.std(wanted), "least": np.min(wanted), "most": np.max(wanted)}
    assert {name: found[name] for name in expected} == pytest.approx(expected, **TOLERANCE)
    assert (found["p99"] is None) == (len(wanted) < 100)


def seconds(rows: Sequence[Row]) -> float:
    """Return the time of all repeats, each from its first request to its last end."""
    parts = [[row for row in rows if row["repeat"] == repeat] for repeat in (0, 1)]
    spans = [max(ended(row) for row in part) - min(row["sent_ms"] for row in part) for part in parts if part]
    return float(sum(spans) / 1000)


@pytest.mark.parametrize("metric", ["ttft", "itl", "tpot", "latency"])
def test_times_are_those_of_the_requests(made: Made, metric: str) -> None:
    same(made.result["figures"][f"{metric}_ms"], values(made.done, metric))
    for row in made.done:
        wanted = times(row)[metric]
        assert row[f"{metric}_ms"] == (None if wanted is None else pytest.approx(wanted, **TOLERANCE))


def test_chunks_and_tokens_are_those_of_the_requests(made: Made) -> None:
    figures = made.result["figures"]
    same(figures["chunk_ms"], [float(gap) for row in made.done for gap in np.diff(row["chunks_ms"])])
    same(figures["output_tokens"], [row["answer_tokens"] for row in made.done])
    same(figures["input_tokens"], [row["prompt_tokens"] for row in made.done])
    assert figures["single"] == sum(row["answer_tokens"] == 1 for row in made.done) > 0


def test_counts_and_rates_are_those_of_the_requests(made: Made) -> None:
    figures, whole_s = made.result["figures"], seconds(made.rows)
    failed = [row["error"] for row in made.rows if not row["ok"]]
    assert figures["sent"] == len(made.rows) == 120
    assert figures["succeeded"] == len(made.done) == 118
    assert figures["errors"] == {error: failed.count(error) for error in failed}
    assert figures["duration_s"] == pytest.approx(whole_s, rel=1e-5)
    tokens, read = (sum(row[name] for row in made.done) for name in ("answer_tokens", "prompt_tokens"))
    wanted = {"requests_per_s": 118, "items_per_s": 118, "output_tokens_per_s": tokens, "input_tokens_per_s": read}
    assert {name: figures[name] * whole_s for name in wanted} == pytest.approx(wanted, rel=1e-5)


def test_goodput_is_that_of_the_requests(made: Made) -> None:
    kept = [row for row in made.done if all((times(row)[name] or 0) <= most for name, most in LIMITS.items())]
    whole_s, found = seconds(made.rows), made.result["figures"]["goodput"]
    assert 0 < len(kept) < len(made.done)
    assert found["good"] == len(kept)
    assert found["share"] == pytest.approx(len(kept) / len(made.rows))
    assert found["requests_per_s"] == pytest.approx(len(kept) / whole_s, rel=1e-5)
    assert found["tokens_per_s"] == pytest.approx(sum(row["answer_tokens"] for row in kept) / whole_s, rel=1e-5)


def test_the_steady_window_is_that_of_the_requests(made: Made) -> None:
    """Of each repeat, from the end of all that were sent before the first answer to the last request.

    If that is less than half of the time since the last of them was sent, it begins there.
    """
    long_s, done, tokens, flying, decoding = 0.0, 0, 0.0, 0.0, 0.0
    for repeat in (0, 1):
        part = [row for row in made.rows if row["repeat"] == repeat]
        first = min(ended(row) for row in part if row["ok"])
        early = [row for row in part if row["sent_ms"] < first]
        begin, end = max(ended(row) for row in early), max(row["sent_ms"] for row in part)
        sent = max(row["sent_ms"] for row in early)
        begin = begin if end - begin >= (end - sent) / 2 else sent
        long_s += (end - begin) / 1000
        for row in part:
            flying += max(0.0, min(end, ended(row)) - max(begin, row["sent_ms"])) / 1000
            at = [row["sent_ms"] + each for each in row["chunks_ms"]]
            decoding += max(0.0, min(end, at[-1]) - max(begin, at[0])) / 1000 if at else 0.0
            if row["ok"]:
                done += begin + ROUNDED < ended(row) <= end
                tokens += sum(
                    n for when, n in zip(at, row["chunk_tokens"], strict=True) if begin + ROUNDED < when <= end
                )
    figures = made.result["figures"]
    wanted = {"steady_requests_per_s": done, "steady_output_tokens_per_s": tokens}
    wanted |= {"in_flight": flying, "decoding": decoding}
    assert {name: figures[name] for name in wanted} == pytest.approx(
        {name: value / long_s for name, value in wanted.items()}, rel=1e-3
    )


def test_each_repeat_has_its_own_figures(made: Made) -> None:
    for repeat, figures in enumerate(made.result["repeats"]):
        part = [row for row in made.done if row["repeat"] == repeat]
        same(figures["ttft_ms"], values(part, "ttft"))
        same(figures["latency_ms"], values(part, "latency"))


def test_other_tools_read_the_same_figures(made: Made) -> None:
    figures = made.result["figures"]
    aiperf = {"time_to_first_token": "ttft", "inter_token_latency": "itl", "request_latency": "latency"}
    for name, metric in aiperf.items():
        found = made.aiperf[name]
        wanted = {f"p{share}": np.percentile(values(made.done, metric), share) for share in (1, 25, 50, 95)}
        assert {share: found[share] for share in wanted} == pytest.approx(wanted, **TOLERANCE)
    for key, metric in {"ttft": "ttft", "tpot": "tpot", "e2el": "latency"}.items():
        assert made.vllm[f"median_{key}_ms"] == figures[f"{metric}_ms"]["p50"]
        assert made.vllm[f"mean_{key}_ms"] == pytest.approx(np.mean(values(made.done, metric)), **TOLERANCE)
    assert made.vllm["output_throughput"] == made.aiperf["output_token_throughput"]["avg"]
    assert made.vllm["request_goodput"] == made.aiperf["goodput"]["avg"] == figures["goodput"]["requests_per_s"]
    assert made.vllm["completed"] == made.aiperf["request_count"]["avg"] == 118


def test_what_it_wrote_can_be_true(made: Made, tmp_path: Path) -> None:
    (tmp_path / "aiperf.json").write_text(json.dumps(made.aiperf))
    (tmp_path / "vllm.json").write_text(json.dumps(made.vllm))
    assert [judged for judged in made.result["judgements"] if judged["state"] == "cannot be true"] == []
    assert run(["bench", "check", "-q", *(str(tmp_path / f"{name}.json") for name in ("aiperf", "vllm"))]) == 0
