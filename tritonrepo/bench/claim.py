"""A row of a table of figures, whoever made it, and what is thought of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from tritonrepo.diagnostics import Span


@dataclass(frozen=True, slots=True)
class Claim:
    """What a table says of one run; None for what it does not say. Times in milliseconds, rates per second.

    `at` is where it stands. `steady` rates and `in_flight` are means over the window in which the load was whole.
    `input_tokens` and `output_tokens` are means of a request. `weights_bytes` are read once for each step of a decode,
    over all GPUs of a replica, and `bandwidth` is that of their memory together, in bytes per second. `unstated`
    are the conditions that the table does not say and without which its figures cannot be repeated.
    """

    name: str
    at: Span
    concurrency: float | None = None
    in_flight: float | None = None
    duration_s: float | None = None
    sent: int | None = None
    succeeded: int | None = None
    failed: int | None = None
    requests_per_s: float | None = None
    output_tokens_per_s: float | None = None
    input_tokens_per_s: float | None = None
    total_tokens_per_s: float | None = None
    ttft_mean: float | None = None
    ttft_p50: float | None = None
    ttft_p99: float | None = None
    itl_mean: float | None = None
    itl_p50: float | None = None
    itl_p99: float | None = None
    tpot_mean: float | None = None
    tpot_p50: float | None = None
    tpot_p99: float | None = None
    latency_mean: float | None = None
    latency_p50: float | None = None
    latency_p99: float | None = None
    input_tokens: float | None = None
    output_tokens: float | None = None
    lag_p99: float | None = None
    max_num_seqs: int | None = None
    replicas: int | None = None
    weights_bytes: float | None = None
    bandwidth: float | None = None
    tokens_per_step: float | None = None
    kv_tokens: float | None = None
    memory_efficiency: float | None = None
    memory_utilization: float | None = None
    server_output_tokens: float | None = None
    server_ttft_p50: float | None = None
    server_prompt_tokens: float | None = None
    server_cached_tokens: float | None = None
    unstated: tuple[str, ...] = ()


class State(StrEnum):
    """What a check says of a claim."""

    HOLDS = "holds"
    BROKEN = "cannot be true"
    WEAK = "says little"
    UNKNOWN = "cannot be judged"


class Judgement(NamedTuple):
    """What one check says: both sides with their arithmetic, and what would have to be so if it is broken.

    `left` and `right` are the sides as text with their numbers, such as "2,100 * 0.028 s = 58.8 decoding". `instead`
    is what would have to be true for the claim to be; "" unless it is broken.
    """

    check: str
    state: State
    left: str
    right: str
    says: str
    instead: str = ""
