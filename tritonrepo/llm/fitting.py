"""What `fit` finds, as values: engines with their memory, and what is on each GPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from tritonrepo.diagnostics import Diagnostic, Severity
from tritonrepo.llm.advice import Option
from tritonrepo.llm.gpus import Range
from tritonrepo.llm.memory import BLOCK, Share


class Fits(StrEnum):
    """Whether one sequence of max_model_len fits: in the smallest cache, only in the largest, in none, or unknown."""

    YES = "fits"
    MAYBE = "may fit"
    NO = "does not fit"
    UNKNOWN = "unknown"


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
        if self.share is None:
            return Fits.UNKNOWN
        low, high = self.share.tokens
        need = max(BLOCK, self.share.max_model_len)
        return Fits.YES if low >= need else Fits.MAYBE if high >= need else Fits.NO


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
