"""The largest values of what goes up and down on a server during a load, and means of its GPUs, from many looks."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from tritonrepo.bench.scraped import model_of, name_of
from tritonrepo.server.catalogue import catalogue, exposers
from tritonrepo.server.metrics import Scrape

OF_MODELS = ("requests_pending", "requests_running", "requests_waiting", "requests_at_most", "kv_cache_usage")
OF_SERVER = ("cpu_utilization", "cpu_memory_used", "cpu_memory_total")
OF_GPUS = ("gpu_utilization", "gpu_memory_used", "gpu_memory_total", "gpu_power_usage", "gpu_power_limit")

WITNESS = "generated_tokens"
"""A counter that is looked at as well: it goes back if the server is started again."""


def names() -> tuple[str, ...]:
    """Return the names of the series that a look needs."""
    meanings = (*OF_MODELS, *OF_SERVER, *OF_GPUS, WITNESS)
    return tuple(dict.fromkeys(name.name for meaning in meanings for name in catalogue()[meaning].names))


class Mean(NamedTuple):
    """A sum of values, and how many there are."""

    sum: float = 0.0
    n: int = 0


class Gauges:
    """What has been seen so far; every look is handed to `see`."""

    def __init__(self) -> None:
        self.back = set[str]()
        """The models of which a counter went back, which none does: another server, or the same one started again."""
        self._most: dict[tuple[str, str], float] = {}
        self._gpus: dict[tuple[str, str], Mean] = {}
        self._witness: dict[str, float] = {}

    def see(self, scrape: Scrape, *, gpus: bool = True) -> None:
        """Add a look; of one that was not during the load, without the GPUs."""
        for meaning in (*OF_MODELS, *OF_SERVER):
            for model, value in by_model(scrape, meaning).items():
                self._most[meaning, model] = max(value, self._most.get((meaning, model), value))
        counted = by_model(scrape, WITNESS)
        self.back |= {model for model, value in counted.items() if value < self._witness.get(model, 0.0)}
        self._witness |= counted
        if gpus:
            for meaning in OF_GPUS:
                for gpu, value in by_gpu(scrape, meaning).items():
                    mean = self._gpus.get((meaning, gpu), Mean())
                    self._gpus[meaning, gpu] = Mean(mean.sum + value, mean.n + 1)

    def largest(self, models: Collection[str] | None) -> dict[str, float]:
        """Return meaning → largest value among these models, or all, and of the server itself."""
        found: dict[str, float] = {}
        for (meaning, model), value in self._most.items():
            if meaning in OF_SERVER or models is None or model in models:
                found[meaning] = max(value, found.get(meaning, value))
        return found

    def gpus(self) -> dict[str, dict[str, float]]:
        """Return GPU → meaning → mean value."""
        found: dict[str, dict[str, float]] = {}
        for (meaning, gpu), mean in sorted(self._gpus.items()):
            found.setdefault(gpu, {})[meaning] = mean.sum / mean.n
        return found


def by_model(scrape: Scrape, meaning: str) -> dict[str, float]:
    """Return model → value: over its engines, the sum, and of fractions the largest. The server's own is of ""."""
    name = name_of(meaning, scrape)
    found: dict[str, float] = {}
    share = catalogue()[meaning].unit == "fraction"
    for labels, value in scrape.series.get(name, {}).items() if name else ():
        model = model_of(labels)
        if model in found:
            value = max(value, found[model]) if share else value + found[model]  # noqa: PLW2901
        found[model] = value
    return found


def by_gpu(scrape: Scrape, meaning: str) -> dict[str, float]:
    """Return GPU → value."""
    name = name_of(meaning, scrape)
    series = scrape.series.get(name, {}) if name else {}
    label = exposers()["triton"]["gpu"]
    return {gpu: value for labels, value in series.items() if (gpu := dict(labels).get(label, ""))}
