"""What a server has counted for each version of a model since it was loaded, and between two looks at it.

Source: Triton's docs/protocol/extension_statistics.md. Ensembles have statistics of their own but no executions, and
decoupled models none by batch size (seen from Triton 24.10).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

SPENT = ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output", "cache_hit", "cache_miss")


class Spent(NamedTuple):
    """How often something happened, and how long it took in all, in nanoseconds."""

    times: int = 0
    ns: int = 0


NEVER = Spent()


@dataclass(frozen=True, slots=True)
class Counted:
    """The counts of one version: rows, executions, times by SPENT, and executions by their batch size.

    `last_ms` is when the last request came, in milliseconds since 1970; 0 before the first one.
    """

    inferences: int
    executions: int
    spent: Mapping[str, Spent]
    batches: Mapping[int, int]
    last_ms: int = 0

    @property
    def requests(self) -> int:
        """Requests that succeeded."""
        return self.spent["success"].times

    @property
    def failed(self) -> int:
        """Requests that failed."""
        return self.spent["fail"].times

    @property
    def shared(self) -> int:
        """How many more requests than executions there were, without what the cache answered: they shared batches."""
        return self.requests - self.spent["cache_hit"].times - self.executions

    def mean_ms(self, part: str) -> float | None:
        """Return the mean time of a part of a request, in milliseconds; None without a request."""
        spent = self.spent[part]
        return spent.ns / spent.times / 1e6 if spent.times else None

    def since(self, before: Counted) -> Counted | None:
        """Return what was counted after an earlier look; None if a count went back: the model was loaded again."""
        spent = {
            part: Spent(*(n - o for n, o in zip(self.spent[part], before.spent[part], strict=True))) for part in SPENT
        }
        batches = {size: count - before.batches.get(size, 0) for size, count in self.batches.items()}
        later = Counted(
            self.inferences - before.inferences,
            self.executions - before.executions,
            spent,
            {size: count for size, count in batches.items() if count},
            self.last_ms,
        )
        counts = (later.inferences, later.executions, *(one.times for one in spent.values()), *batches.values())
        return None if min(counts) < 0 else later


NONE = Counted(0, 0, dict.fromkeys(SPENT, NEVER), {})


def read(answer: Any) -> dict[tuple[str, str], Counted]:  # noqa: ANN401  JSON
    """Return model and version → counts; raise KeyError, TypeError or ValueError for what is not statistics."""
    return {(str(one["name"]), str(one["version"])): counted(one) for one in answer["model_stats"]}


def counted(one: Mapping[str, Any]) -> Counted:
    """Return the counts of one version; the server leaves out what is 0."""
    spent = one["inference_stats"]
    return Counted(
        int(one.get("inference_count", 0)),
        int(one.get("execution_count", 0)),
        {part: _spent(spent.get(part, {})) for part in SPENT},
        {int(each["batch_size"]): int(each["compute_infer"]["count"]) for each in one.get("batch_stats", ())},
        int(one.get("last_inference", 0)),
    )


def _spent(said: Mapping[str, Any]) -> Spent:
    return Spent(int(said.get("count", 0)), int(said.get("ns", 0)))
