"""The result of a run: the figures, and the conditions without which they say nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from tritonrepo.bench.claim import Judgement
from tritonrepo.bench.figures import Figures
from tritonrepo.bench.load import Load

INTERRUPTED = "interrupted"
"""Why a run ended early that the user ended."""


class Machine(NamedTuple):
    """The machine of the client."""

    cores: int
    cpu: str
    system: str
    python: str
    load: float | None


class Prompts(NamedTuple):
    """What was sent: where it is from, how many different ones, how much of them repeats.

    `reuse` is the share of the tokens, or of the characters if nobody counted tokens, that an earlier prompt of the
    run began with as well: what a prefix cache can answer. `max_tokens` is the most that a request let an answer have,
    None if the model could not be told, and `exact` says that each was to have so many.
    """

    source: str
    different: int
    reuse: float
    max_tokens: int | None
    exact: bool


class Hardware(NamedTuple):
    """What the user says of the server: what its memory and its scheduler allow. None where nothing is said."""

    gpus: str = ""
    weights_bytes: float | None = None
    bandwidth: float | None = None
    tokens_per_step: float | None = None
    max_num_seqs: int | None = None
    replicas: int | None = None


class Step(NamedTuple):
    """A part of the time of a request, as the server counts it: the model, requests, mean milliseconds, mean batch.

    `batch` is None if the model does not batch, or if the server does not count it. `whole_ms` is the mean time from
    the arrival of a request to its last response. `within` is the model that calls it, "" for the model that the load
    is sent to; what a model counts has the times of those that it calls in it. `streams`: it is decoupled, and the
    server's times of such a model need not include its answer. `executions` are the batches that it ran, None if the
    server does not count them: a request may have several rows of a batch.
    """

    model: str
    version: str
    requests: int
    failed: int
    queue_ms: float
    input_ms: float
    infer_ms: float
    output_ms: float
    batch: float | None
    whole_ms: float | None = None
    within: str = ""
    streams: bool = False
    executions: int | None = None


class Observed(NamedTuple):
    """What the server says of the same time.

    `counts` and `gauges`: meaning in the catalogue of metrics → what a counter grew by, or a gauge's largest value.
    `histograms`: meaning → mean and p50 in milliseconds, p50 interpolated within its bucket, whose `bounds` are known
    as well: the true p50 is between them, the upper one None in the last bucket. `gpus`: GPU → meaning → mean value.
    `missing` says why something is not there, `notes` what must be known of what is.
    """

    server: str = ""
    version: str = ""
    steps: tuple[Step, ...] = ()
    counts: Mapping[str, float] = {}
    gauges: Mapping[str, float] = {}
    histograms: Mapping[str, tuple[float, float | None]] = {}
    gpus: Mapping[str, Mapping[str, float]] = {}
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    bounds: Mapping[str, tuple[float, float | None]] = {}


@dataclass(frozen=True, slots=True)
class Result:
    """One load on one target.

    `began` is in ISO 8601, UTC. `repeats` are the figures of each repeat, and `figures` those of all requests
    together. `client_bound` says that the client itself was too slow for what it measures. `ended_early` says why the
    run ended before its load was over, "" if it did not.
    """

    target: str
    protocol: str
    model: str
    began: str
    tool: str
    machine: Machine
    load: Load
    prompts: Prompts
    hardware: Hardware
    figures: Figures
    repeats: tuple[Figures, ...]
    observed: Observed
    client_bound: bool
    judgements: tuple[Judgement, ...] = ()
    ended_early: str = ""

    @property
    def generates(self) -> bool:
        """Whether the model makes texts, as far as requests and answers show it."""
        figures = self.figures
        return any(each is not None for each in (self.prompts.max_tokens, figures.output_tokens, figures.ttft_ms))
