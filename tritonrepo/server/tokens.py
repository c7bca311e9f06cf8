"""Tokens of language models, from the metrics of Triton's vLLM backend: how many, and how soon.

They are there if the model has the parameter REPORT_CUSTOM_METRICS: vllm_backend, README.md, "Triton Metrics".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tritonrepo.server.look import Version
from tritonrepo.server.metrics import Scrape


class Tokens(NamedTuple):
    """Tokens of prompts and answers; mean times to the first token and between two, in milliseconds, None if none."""

    prompt: float
    answer: float
    first_ms: float | None
    gap_ms: float | None


SERIES = (
    ("prompt_tokens", ""),
    ("generated_tokens", ""),
    *((name, of) for name in ("first_token", "token_gap") for of in ("_sum", "_count")),
)


def tokens(before: Scrape | None, now: Scrape | None) -> dict[Version, Tokens]:
    """Return the tokens of each version since an earlier look; without one, or if counts went back, since its start."""
    after, earlier = _read(now), _read(before)
    found = {}
    for version, values in after.items():
        grown = [value - old for value, old in zip(values, earlier.get(version, [0.0] * len(values)), strict=True)]
        prompt, answer, first_s, firsts, gap_s, gaps = values if min(grown) < 0 else grown
        found[version] = Tokens(prompt, answer, _mean_ms(first_s, firsts), _mean_ms(gap_s, gaps))
    return found


def _read(scrape: Scrape | None) -> Mapping[Version, list[float]]:
    """Return the values of SERIES for each version that counts tokens of prompts."""
    if scrape is None:
        return {}
    series = [scrape.values(name, "model", "version", of=of) or {} for name, of in SERIES]
    return {(name, version): [each.get((name, version), 0.0) for each in series] for name, version in series[0]}


def _mean_ms(seconds: float, times: float) -> float | None:
    return seconds / times * 1000 if times else None
