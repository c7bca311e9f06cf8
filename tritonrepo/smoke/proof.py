"""Proof from the server's own counts, before and after the requests: batches, hardware, failures that no test saw.

Sources: Triton's docs/protocol/extension_statistics.md and docs/user_guide/metrics.md. A request of batch size n is one
request, so that only requests that shared an execution prove that the server joins them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from tritonrepo.diagnostics import Severity, Stop, counted, some
from tritonrepo.server.client import Client
from tritonrepo.server.look import Version, scraped
from tritonrepo.server.metrics import Scrape
from tritonrepo.server.statistics import Counted
from tritonrepo.smoke import crowd, hardware
from tritonrepo.smoke.asking import Asking
from tritonrepo.smoke.case import Case, Check, Crowd, Flaw, Outcome, Result, found
from tritonrepo.smoke.pace import still
from tritonrepo.smoke.served import Served

EQUAL = 8
"""How many equal requests are sent at the same moment to a model that has no reference for different ones."""

FEW = 8
"""How many batch sizes a line lists."""

PATIENCE_S = 0.5
"""How long is waited for the port of the metrics, which Triton opens last (seen from 24.10: 0.04 s after HTTP's)."""

BACK = "the counts went back while it was tested: it was loaded again, or several servers answer at this URL"


class Moment(NamedTuple):
    """What was counted at a moment; `unread` says why there are no metrics. No statistics: `counted` is None."""

    counted: Mapping[Version, Counted] | None
    metrics: Scrape | None
    unread: str


def moment(client: Client) -> Moment:
    """Return what the server has counted so far; raise Stop if its metrics were asked for and cannot be read."""
    try:
        counted = still(client.statistics)
    except Stop:
        counted = None
    return Moment(counted, *scraped(client.endpoint))


class Proof:
    """The counts before a run, what the run learns of its cases, and the results after it."""

    def __init__(self, asking: Asking, served: Sequence[Served]) -> None:
        self.asking, self._served = asking, served
        self._before = self._first()
        self._good: dict[Version, Case] = {}
        self._crowded: set[Version] = set()
        self._failed = False

    def _client(self) -> Client:
        return self.asking.connection.within(self.asking.clock.left()).http

    def _first(self) -> Moment:
        clock = self.asking.clock
        for more in (True, False):
            if clock.over:
                break
            try:
                return moment(self._client())
            except Stop as stop:
                if not (more or clock.over):
                    raise stop.of(Severity.FATAL) from None
            time.sleep(min(PATIENCE_S, clock.left()))
        return Moment(None, None, clock.why)

    def note(self, case: Case | Crowd | Result, result: Result) -> None:
        """Remember a case that a model answered well, and whether anything failed."""
        version = (result.model, result.version)
        self._failed = self._failed or result.outcome is Outcome.FAILED
        if isinstance(case, Crowd):
            self._crowded.add(version)
        elif isinstance(case, Case) and result.protocol and result.outcome is Outcome.PASSED:
            self._good.setdefault(version, case)

    def results(self) -> Iterator[Result]:
        """Yield what the counts prove, and what they cannot; nothing if the server is gone."""
        if self.asking.standing.lost or self.asking.clock.over:
            return
        self.asking.recorder = None
        now = self._now()
        for one in self._served:
            if one.joins:
                result, asked = self._batching(one, now)
                yield result
                now = self._now() if asked else now
        for one in self._served:
            if hardware.executes(one):
                yield from self._hardware(one, now)
        if not self._failed:
            for one in self._served:
                yield from self._failures(one, now)

    def _now(self) -> Moment:
        try:
            return moment(self._client())
        except Stop as stop:  # it was there before the run
            return Moment(None, None, f"the metrics can no longer be read: {stop.diagnostics[0].message}")

    def _later(self, one: Served, now: Moment) -> Counted | str:
        """Return what was counted during the run, or why that is unknown."""
        version = (one.name, one.version)
        if self._before.counted is None or now.counted is None:
            return "the server has no statistics"
        before, after = self._before.counted.get(version), now.counted.get(version)
        if before is None or after is None:
            return "the server's statistics lack this version: it was loaded or unloaded while it was tested"
        return after.since(before) or BACK

    def _batching(self, one: Served, now: Moment) -> tuple[Result, bool]:
        """Return whether requests shared an execution, and whether more were sent to find out."""
        later = self._later(one, now)
        asked = isinstance(later, Counted) and later.shared <= 0 and self._good.get((one.name, one.version))
        if asked and (one.name, one.version) not in self._crowded:
            (told,) = crowd.run(self.asking, Crowd((asked,) * EQUAL, batched=True))
            if told.outcome is Outcome.FAILED:
                self._failed = True
                return told, True
            return self._joined(one, self._later(one, self._now()), told.unchecked), True
        return self._joined(one, later, ""), False

    def _joined(self, one: Served, later: Counted | str, why: str) -> Result:
        if isinstance(later, str):
            return Result(one.name, one.version, Check.BATCHING, unchecked=later)
        of = f"{counted(later.requests, 'request')} in {counted(later.executions, 'execution')}"
        if later.shared <= 0:
            why = why or (f"{of}: no two of them shared one" if later.requests else "it was not asked")
            return Result(one.name, one.version, Check.BATCHING, unchecked=why)
        sizes = some([str(size) for size in sorted(later.batches)], FEW)
        seen = f"{of}{f', batches of {sizes}' if sizes else ''}"
        return Result(one.name, one.version, Check.BATCHING, seen=seen)

    def _hardware(self, one: Served, now: Moment) -> Iterator[Result]:
        later = self._later(one, now)
        unread = self._before.unread or now.unread
        if self._before.metrics is None or now.metrics is None:
            if hardware.on_gpus(one):
                yield Result(one.name, one.version, Check.HARDWARE, unchecked=unread)
        elif isinstance(later, str):
            yield Result(one.name, one.version, Check.HARDWARE, unchecked=later)
        else:
            yield hardware.judged(one, later, self._before.metrics, now.metrics)

    def _failures(self, one: Served, now: Moment) -> Iterator[Result]:
        """Yield what failed although every test passed: for another client, or behind a pipeline that hides it."""
        later = self._later(one, now)
        if isinstance(later, str) or not later.failed:
            return
        reasons = hardware.during("requests_failed", one, self._before.metrics, now.metrics, "reason") or {}
        reasons = {reason: count for reason, count in reasons.items() if count > 0}
        failed = later.failed - int(reasons.pop(hardware.CANCELED, 0))
        if failed <= 0:
            return
        told = ", ".join(f"{reason}: {count:,.0f}" for reason, count in sorted(reasons.items()) if reason)
        message = (
            f"version {one.version}: the server counted {counted(failed, 'failed request')} that no test saw"
            f"{f' ({told})' if told else ''}"
        )
        flaw = Flaw(message, "Read the server's log. Other clients' requests count as well.")
        diagnostic = found(Check.FAILURES, Severity.WARNING, one.at, flaw, one.name)
        yield Result(one.name, one.version, Check.FAILURES, diagnostics=(diagnostic,))
