"""How many replicas a peak needs: the rate of one by measurement and by memory, and what follows for GPUs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tritonrepo.bench.capacity import Busy, Capacity
from tritonrepo.bench.figures import Slo
from tritonrepo.bench.queues import erlang_c
from tritonrepo.bench.rates import DAY, Rate
from tritonrepo.bench.result import Result
from tritonrepo.diagnostics import Diagnostic, counted
from tritonrepo.llm.fitting import Fits
from tritonrepo.llm.gpus import Range

ROUNDED = 1e-9
"""What a quotient may be above a whole number without needing one replica more."""

NONE_FAILED = 3
"""Without a miss among n requests, fewer than 3 / n of all miss with 95 % confidence: the rule of three."""


class Asked(NamedTuple):
    """What is to be planned for: the SLO in `share` of all requests, with `spare` replicas more than the peak needs.

    `mean` is the rate over the whole month, None if nobody says it.
    """

    peak: Rate
    slo: Slo
    share: float = 0.95
    spare: int = 1
    mean: Rate | None = None


class Memory(NamedTuple):
    """What the GPUs of a replica hold of a generator.

    `tokens` are those of its KV cache and `slots` the requests of `each` tokens that run at a time at least, both over
    all its engines; `by` is what limits them. None if `why` says why they are not known. `length` is max_model_len.
    `elsewhere`: it runs behind an endpoint, on GPUs of its own.
    """

    model: str
    gpu: str
    gpus: int
    state: Fits
    tokens: Range | None
    slots: int | None
    each: int
    by: str
    length: int = 0
    elsewhere: bool = False
    why: str = ""


class Expense(NamedTuple):
    """A sum of money, from the lowest to the highest that the prices allow: what it is for, and the arithmetic."""

    name: str
    low: float
    mid: float
    high: float
    formula: str


class Alternative(NamedTuple):
    """Known GPUs as places for the generators: how many of them a replica needs, and what they hold.

    `sequences` are requests of the planned length at a time, `left` the bytes of the KV cache of a GPU, at least.
    `note` says what is in the way. `month` is the price of these GPUs, None if it is not stated.
    """

    gpu: str
    gpus: int
    state: Fits
    sequences: int | None
    left: float | None
    note: str = ""
    month: Expense | None = None


class Costs(NamedTuple):
    """What the replicas cost: the currency, the file and the option of the prices, and sums."""

    currency: str
    path: str
    option: str
    expenses: tuple[Expense, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The answer: replicas, and everything that they follow from.

    `of` is the result that the rate follows from, and `commands` measure what is not known. `gpus` are those of a
    replica of the stack, `others` those behind its endpoints, once a replica, None if they are not known. `wrong` is
    why the SLO cannot be planned for. `assumed` and `unmeasured` are sentences.
    """

    name: str
    asked: Asked
    capacity: Capacity | None
    of: Result | None
    memory: tuple[Memory, ...]
    busy: tuple[Busy, ...]
    gpu: str
    gpus: int
    others: int | None = 0
    alternatives: tuple[Alternative, ...] = ()
    costs: Costs | None = None
    currency: str = ""
    commands: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()
    unmeasured: tuple[str, ...] = ()
    found: tuple[Diagnostic, ...] = ()

    @property
    def bounds(self) -> tuple[tuple[str, float], ...]:
        """What limits the rate of a replica, and to how many requests per second, the lowest first."""
        if self.capacity is None or not self.capacity.rate_per_s:
            return ()
        found = [("the measured load", self.capacity.rate_per_s)]
        latency_s = self.capacity.latency_s
        if latency_s:
            held = [(each, each.slots) for each in self.memory if each.slots is not None]
            found += [(f"the {each.by} of {each.model}", slots / latency_s) for each, slots in held]
        return tuple(sorted(found, key=lambda bound: bound[1]))

    @property
    def rate_per_s(self) -> float | None:
        """The rate that one replica bears, None if nothing was measured."""
        return self.bounds[0][1] if self.bounds and self.bounds[0][1] > 0 else None

    @property
    def carrying(self) -> int | None:
        """The replicas that bear the peak."""
        rate = self.rate_per_s
        return None if rate is None else max(1, math.ceil(self.asked.peak.per_s / rate - ROUNDED))

    @property
    def replicas(self) -> int | None:
        """The replicas that bear the peak, and the spare ones."""
        return None if self.carrying is None else self.carrying + self.asked.spare

    @property
    def total_gpus(self) -> int | None:
        """The GPUs of all replicas, with those behind endpoints."""
        return None if self.replicas is None or self.others is None else self.replicas * (self.gpus + self.others)

    @property
    def met(self) -> bool:
        """Whether nothing is known for which the SLO cannot be kept; without a measurement, whether the models fit."""
        fit = all(each.state is not Fits.NO for each in self.memory)
        return fit and not self.wrong and (self.capacity is None or self.replicas is not None)

    def headroom(self, lost: int = 0) -> float | None:
        """Return by which part the peak can grow, with some replicas lost; below 0, what is missing."""
        if self.rate_per_s is None or self.replicas is None:
            return None
        return max(0, self.replicas - lost) * self.rate_per_s / self.asked.peak.per_s - 1

    def waits(self, memory: Memory) -> float | None:
        """Return the share of requests at the peak that wait for a place in the cache, by Erlang's C formula."""
        latency_s = self.capacity.latency_s if self.capacity is not None else None
        if latency_s is None or memory.slots is None or not self.replicas:
            return None
        return erlang_c(memory.slots, self.asked.peak.per_s / self.replicas * latency_s)


def requests(asked: Asked) -> int:
    """Return how many requests a load needs so that its share of good ones is known to a fraction."""
    return math.ceil(20 / (1 - asked.share) - ROUNDED)


def assumptions(asked: Asked, capacity: Capacity | None, replicas_measured: int) -> tuple[str, ...]:
    """Return what the numbers hold under, as sentences."""
    if capacity is None:
        return ()
    said = [
        "Requests arrive at random (Poisson) with a constant mean rate for as long as the peak lasts.",
        "The balancer gives each replica an equal part of them.",
        "The prompts, the answers and the settings of the server are those of the measurement.",
    ]
    if asked.peak.over_s >= DAY:
        said.append(f"{asked.peak.text} is a mean over a day; the busiest minutes of a day have a higher rate.")
    if replicas_measured > 1:
        said.append(f"{replicas_measured} replicas were measured together, and each bears an equal part.")
    if not capacity.opened and capacity.below is not None:
        said.append(
            "A closed loop hides queueing: no request was sent before another was answered. Of its throughput, "
            f"{capacity.usable:.0%} is used, so that random arrivals have more than {capacity.below.concurrency} "
            f"requests in flight in at most {1 - asked.share:.2g} of all cases. Measure with random arrivals instead."
        )
    return tuple(said)


def gaps(asked: Asked, capacity: Capacity | None, of: Sequence[Result]) -> tuple[str, ...]:
    """Return what was not measured, as sentences."""
    if capacity is None:
        return ("Nothing was measured, so no rate is known.",)
    said = list[str]()
    if capacity.at_least and capacity.below is not None:
        why = "higher loads were not judged by this SLO" if capacity.above else "no higher load was measured"
        said.append(f"The rate is at least this much: {why}. Measure more for fewer replicas.")
    enough = math.ceil(NONE_FAILED / (1 - asked.share) - ROUNDED)
    if capacity.below is not None and capacity.below.requests < enough:
        said.append(
            f"The load that the rate follows from has {counted(capacity.below.requests, 'request')}; "
            f"to be sure of {asked.share:.4g}, measure {enough:,} or more."
        )
    said += [f"A load ended early: {result.ended_early}." for result in of if result.ended_early][:1]
    if any(result.client_bound for result in of):
        said.append("A client was too slow for what it measured, so the server may bear more.")
    said += [f"Result {each.number} is left out: {each.why}." for each in capacity.left[:3]]
    if len(capacity.left) > 3:  # noqa: PLR2004
        said.append(f"{len(capacity.left) - 3:,} more results are left out.")
    return tuple(said)
