"""What `fit` finds, as values: engines with their memory, and what is on each GPU."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from tritonrepo.diagnostics import Diagnostic, Severity
from tritonrepo.llm.advice import Option
from tritonrepo.llm.facts import LanguageModel
from tritonrepo.llm.gpus import Range, behaviour, reported
from tritonrepo.llm.memory import BLOCK, Settings, Share, doubts, share
from tritonrepo.llm.settings import DOUBTS, UnreadError, settings

MARGIN = 1.01
"""GPUs of one kind differ a little in what their drivers report."""

MORE = {DOUBTS["enable_lora"], DOUBTS["speculative_config"]}
"""Doubts about an engine that can only take more memory."""

FEW = 4
"""Requests are shorter than max_model_len: if each has a fourth of it, this many times as many fit."""


class Fits(StrEnum):
    """Whether one sequence of max_model_len fits: in the smallest cache, only in the largest, in none, or unknown."""

    YES = "fits"
    MAYBE = "may fit"
    NO = "does not fit"
    UNKNOWN = "unknown"


class Held(NamedTuple):
    """What each GPU of an engine holds; `settings` and `share` are None if `unread` says why that is not known.

    `total` are the bytes that its driver reports, and `doubts` say why this is only an estimate.
    """

    total: Range
    facts: LanguageModel | None
    settings: Settings | None
    share: Share | None
    unread: str
    doubts: tuple[str, ...]

    @property
    def refused(self) -> bool:
        """Whether the engine certainly does not start: not even at the most favourable end of every range."""
        if self.share is None or self.settings is None or not grows(self.doubts):
            return False
        checks = behaviour("checks_length", self.settings.vllm)
        return most_tokens(self.share) < (needed(self.share) if checks else BLOCK)


def grows(doubts: Iterable[str]) -> bool:
    """Return whether an engine can only take more memory than estimated, so that what does not fit never does."""
    return {*doubts} <= MORE


def held(model: LanguageModel | None, value: Mapping[str, Any], vllm: str, memory: int) -> Held:
    """Return what GPUs of this memory hold of an engine with these arguments."""
    total, unread = reported(memory)[0], ""
    if model is None or model.parameters is None:
        unread = "its config.json is not at hand" if model is None else "the number of its parameters is not known"
        return Held(total, model, None, None, unread, ())
    try:
        found = settings(value, model, vllm, memory)
    except UnreadError as error:
        return Held(total, model, None, None, str(error), ())
    return Held(total, model, found, share(model, found, total), "", doubts(model, found))


def needed(found: Share) -> int:
    """Return the tokens that the cache must hold."""
    return max(BLOCK, found.max_model_len)


def most_tokens(found: Share) -> float:
    """Return how many tokens fit at most."""
    spared = found.activation.low - found.certain
    more = (MARGIN - 1) * found.requested.high + spared if found.cache.low != found.cache.high else 0
    return (found.cache.high + more) / max(found.per_token, 1)


def fits(found: Share) -> Fits:
    """Return whether one sequence of max_model_len fits."""
    low, high = found.tokens
    need = needed(found)
    return Fits.YES if low >= need else Fits.MAYBE if high >= need else Fits.NO


def many(found: Range) -> str:
    """Return a number of sequences in words."""
    low, high = math.floor(found.low), math.floor(found.high)
    return f"{low:,} {'sequence' if low == 1 else 'sequences'}" if low == high else f"{low:,} to {high:,} sequences"


@dataclass(frozen=True, slots=True)
class Fitted:
    """An engine: its model, the path of its model.json, its weights' name, the GPUs of each instance.

    `share` is None if `unread` says why nothing is known. `doubts` say why it is only an estimate. `asked` is
    max_num_seqs, None if it is not written. `options` are changes with which more fits.
    """

    model: str
    path: str
    name: str
    places: tuple[tuple[int, ...], ...]
    utilization: float
    share: Share | None
    unread: str = ""
    doubts: tuple[str, ...] = ()
    asked: int | None = None
    options: tuple[Option, ...] = ()

    @property
    def fits(self) -> Fits:
        """Whether it can start."""
        return Fits.UNKNOWN if self.share is None else fits(self.share)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What is on one GPU: engines and the share that they take, other models and the bytes of their weights.

    `left` are the bytes that engines and weights leave; contexts, batches and CUDA graphs need some of them.
    """

    gpu: int
    engines: tuple[str, ...]
    utilization: float
    others: tuple[str, ...]
    weights: int
    left: Range


@dataclass(frozen=True, slots=True)
class Fit:
    """The memory of a repository's GPUs: as it was given in bytes, as drivers report it, and of which GPUs.

    `vllm` is the version of vLLM, None if it is not known. `found` are the findings of the rules on memory, and on why
    an engine is not measured. `models` is the number of all models.
    """

    given: int
    reported: Range
    sold: str
    gpus: int
    release: str
    vllm: str | None
    engines: tuple[Fitted, ...]
    loads: tuple[Loaded, ...]
    found: Sequence[Diagnostic] = ()
    models: int = 0

    @property
    def fits(self) -> bool:
        """Whether nothing is known that cannot fit."""
        bad = any(each.severity is Severity.ERROR for each in self.found)
        over = any(load.left.high < 0 for load in self.loads)
        return not bad and not over and all(engine.fits is not Fits.NO for engine in self.engines)
