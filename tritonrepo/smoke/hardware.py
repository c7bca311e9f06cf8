"""On which hardware a version ran, from the metrics before and after: their label of the GPU, and the GPUs' own.

Sources: core, src/metric_model_reporter.cc: an instance on a GPU counts under its gpu_uuid, if metrics of GPUs are on;
src/metrics.cc: those are read every --metrics-interval-ms, by default two seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tritonrepo.diagnostics import Severity
from tritonrepo.server.look import of_config
from tritonrepo.server.metrics import Scrape
from tritonrepo.server.statistics import Counted
from tritonrepo.smoke.case import Check, Flaw, Result, found
from tritonrepo.smoke.served import Served
from tritonrepo.tree import amount

CANCELED = "CANCELED"
"""Reason of failures that a client chose."""


class Gpu(NamedTuple):
    """A GPU during the run: memory in bytes before and after, and how busy it was, at most; None if unknown."""

    before: float | None
    used: float | None
    total: float | None
    busy: float | None

    @property
    def idle(self) -> bool:
        """Whether nothing shows that it worked."""
        return self.busy == 0 and self.used is not None and self.used == self.before


def kinds(one: Served) -> set[str]:
    """Return the kinds of a version's instances; none for an ensemble."""
    return {group.kind for group in of_config(one.config).groups}


def executes(one: Served) -> bool:
    """Return whether a version runs itself, in instances; an ensemble does not."""
    return bool(kinds(one))


def on_gpus(one: Served) -> bool:
    """Return whether a version is declared to run on GPUs, or may."""
    return bool(kinds(one) - {"KIND_CPU"})


def during(meaning: str, one: Served, before: Scrape | None, after: Scrape | None, by: str) -> dict[str, float] | None:
    """Return how much a version's counter grew during the run, by its gpu or reason; None without such a counter."""
    found = [(scrape.values(meaning, "model", "version", by) if scrape else None) or {} for scrape in (before, after)]
    own = [
        {label: value for (name, version, label), value in each.items() if (name, version) == (one.name, one.version)}
        for each in found
    ]
    return {label: value - own[0].get(label, 0) for label, value in own[1].items()} if own[1] else None


def judged(one: Served, later: Counted, before: Scrape, after: Scrape) -> Result:
    """Return where a version ran, or why that is unknown."""
    ran = during("executions", one, before, after, "gpu") or {}
    gpus = _gpus(before, after)
    worked = {uuid for uuid, count in ran.items() if uuid and count > 0}
    if why := _unknown(later, ran, after.url) or _idle(worked, gpus):
        return Result(one.name, one.version, Check.HARDWARE, unchecked=why)
    if not worked and kinds(one) == {"KIND_GPU"}:
        return _unseen(one, gpus)
    return Result(one.name, one.version, Check.HARDWARE, seen=f"{_where(one, ran, gpus)}; {_spent(later)}")


def _unknown(later: Counted, ran: Mapping[str, float], url: str) -> str:
    """Return why the metrics say nothing of a version; "" if they do."""
    if not ran:
        return f"the metrics at {url} do not name this version: they may be of another server"
    if not later.executions:
        return "it was not executed"
    if sum(ran.values()) <= 0:
        return f"the metrics at {url} did not count its executions: they may be of another server"
    return ""


def _idle(worked: set[str], gpus: Mapping[str, Gpu]) -> str:
    """Return that none of the GPUs of a version seems to work; "" if one does, or if the metrics do not say it."""
    known = sorted(worked & gpus.keys())
    if not known or not all(gpus[uuid].idle for uuid in known):
        return ""
    told = ", ".join(f"{uuid} ({amount(int(gpus[uuid].used or 0))} used before and after)" for uuid in known)
    return f"whether it computes on its GPU is not proven: none of them was seen busy: {told}"


def _unseen(one: Served, gpus: Mapping[str, Gpu]) -> Result:
    """Return the result for a version that is declared to run on GPUs, but whose executions name none."""
    shows = f"shows {len(gpus)} other GPUs" if gpus else "shows no GPU"
    message = f"version {one.version}: the config says KIND_GPU, but the server {shows}"
    hint = "Check that the server has GPUs (`--gpus all`), and that its metrics of GPUs are on: they need DCGM."
    diagnostic = found(Check.HARDWARE, Severity.WARNING, one.at, Flaw(message, hint), one.name)
    return Result(one.name, one.version, Check.HARDWARE, diagnostics=(diagnostic,))


def _gpus(before: Scrape, after: Scrape) -> dict[str, Gpu]:
    """Return the GPUs that the metrics after the run name."""
    memory = [scrape.values("gpu_memory_used", "gpu") or {} for scrape in (before, after)]
    total = after.values("gpu_memory_total", "gpu") or {}
    busy = [scrape.values("gpu_utilization", "gpu") or {} for scrape in (before, after)]
    return {
        uuid: Gpu(
            memory[0].get((uuid,)),
            memory[1].get((uuid,)),
            total.get((uuid,)),
            max((each[uuid,] for each in busy if (uuid,) in each), default=None),
        )
        for (uuid,) in sorted({*memory[1], *total, *busy[1]})
        if uuid
    }


def _where(one: Served, ran: Mapping[str, float], gpus: Mapping[str, Gpu]) -> str:
    """Return where a version was executed, and what is known of these GPUs."""
    rest = "" if gpus or any(ran) else "; there is no GPU to see"
    if kinds(one) == {"KIND_MODEL"} and not any(ran):
        known = ", ".join(f"{uuid}{_known(gpu)}" for uuid, gpu in gpus.items())
        count = f"{_times(sum(ran.values()))} of the model, which chooses its devices itself"
        return f"{count}; {known}" if known else f"{count}{rest}"
    places = [
        f"{_times(count)} on {f'{uuid}{_known(gpus.get(uuid))}' if uuid else 'the CPU'}"
        for uuid, count in sorted(ran.items())
        if count > 0
    ]
    return f"{', '.join(places)}{rest}"


def _times(count: float) -> str:
    return f"{count:,.0f} execution{'' if count == 1 else 's'}"


def _known(gpu: Gpu | None) -> str:
    if gpu is None or gpu.used is None:
        return ""
    more = 0 if gpu.before is None else int(gpu.used - gpu.before)
    moved = f", {'+' if more > 0 else '-'}{amount(abs(more))}" if more else ""
    busy = "" if gpu.busy is None else f", up to {gpu.busy:.0%} busy"
    total = "" if gpu.total is None else f" of {amount(int(gpu.total))}"
    return f" ({amount(int(gpu.used))}{total} used{moved}{busy})"


def _spent(later: Counted) -> str:
    """Return how long a request waited and was computed on average."""
    queue = later.mean_ms("queue") or 0
    parts = (later.mean_ms(part) or 0 for part in ("compute_input", "compute_infer", "compute_output"))
    return f"a request waits {queue:.1f} ms and is computed in {sum(parts):.1f} ms"
