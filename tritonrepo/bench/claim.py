"""A row of a table of figures, whoever made it, and what is thought of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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

    `spreads`: ttft, itl, tpot, latency, input_tokens or output_tokens → what the table says of the distribution:
    `min`, `p50`, `p99`, `max`, `mean`, `std` and so on. `gaps` says that the ITL are gaps between messages, taken
    together over all requests, as vLLM's and SGLang's; else they are times per token of each request. `fixed_length`:
    every answer has as many tokens. `asked_` lengths are those that the load asked for: answers can end earlier.
    `rounded`: field → half of the last digit that is written. `cells`: field → the place of its cell. `remarks` are
    what the reader did not understand, with its place.
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
    spreads: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    gaps: bool = False
    fixed_length: bool = False
    rounded: Mapping[str, float] = field(default_factory=dict)
    cells: Mapping[str, Span] = field(default_factory=dict)
    remarks: tuple[tuple[Span, str], ...] = ()
    offered_per_s: float | None = None
    window_s: float | None = None
    steady_requests_per_s: float | None = None
    goodput_per_s: float | None = None
    output_tokens_total: float | None = None
    input_tokens_total: float | None = None
    tokens_from: str = ""
    server_ttft_mean: float | None = None
    asked_input_tokens: float | None = None
    asked_output_tokens: float | None = None


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
