"""What the server says of a load: an Observer looks at it before, beside and after, and gives an Observed.

Checks use `Observed` by the meanings of the catalogue of metrics (data/metrics.json), never by a server's own names:

| Check (what is compared with the client's) | Where it is |
|---|---|
| 5 tokens of answers | `counts["generated_tokens"]` |
| 6 TTFT p50 in ms | `histograms["first_token"][1]`; `bounds["first_token"]` are those of its bucket |
| 6 of Triton without an engine's metrics | `histograms["first_response"]`, likewise; by default four buckets |
| 7 tokens of prompts | `counts["prompt_tokens"]` |
| 7 of these, from the prefix cache | `counts["prefix_cache_hits"]` |
| 7 tokens that were looked up there | `counts["prefix_cache_queries"]`; the hit rate is hits ÷ queries |
| 3 most requests in the engine at once | `gauges["requests_running"]`, by looks a second apart |
| 3 most that waited for it | `gauges["requests_waiting"]` |
| ITL in ms: mean, p50 | `histograms["token_gap"]` |
| requests that the server counted | `steps[0].requests` + `.failed`; of an engine, `counts["answers_finished"]` |

A meaning that is not there was not exposed, or cannot be trusted; then `missing` says why, unless the server is of
another kind. All that is counted from `begin` to `end` is in it: other clients' requests, and a warm-up between them.
Nothing here raises, whatever a server answers. Headers go to the host of the target alone (server/metrics.py).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import TypeVar
from weakref import finalize

from tritonrepo.bench.gauges import Gauges, names
from tritonrepo.bench.result import Observed
from tritonrepo.bench.scraped import ENGINE, name_of
from tritonrepo.bench.seen import Seen, observed
from tritonrepo.bench.steps import Counts, Member, members, of_metrics
from tritonrepo.bench.target import Protocol, Target
from tritonrepo.diagnostics import Stop
from tritonrepo.plain import inline
from tritonrepo.server import metrics
from tritonrepo.server.catalogue import catalogue
from tritonrepo.server.client import Client
from tritonrepo.server.counting import counting
from tritonrepo.server.endpoint import NO_METRICS, Endpoint
from tritonrepo.server.metrics import Scrape
from tritonrepo.server.sampling import Sampler

ANSWER_S = 5.0
"""How long an answer may take."""

LOOKS, PAUSE_S, STILL_S = 10, 0.03, 1.5
"""How often, how far apart and for how long in all is looked until counts stand still."""

LONGEST = 500
"""How much of a reason or note is kept, in characters: names are what a server says."""

T = TypeVar("T")


class Observer:
    """Looks at the server of a target: `begin` before a load, `end` after it. One Observer watches one load."""

    def __init__(self, target: Target, metrics: str | None) -> None:
        asked = target.endpoint
        answer_s = min(asked.timeout_s, ANSWER_S)
        self._target = target
        self._server = replace(asked, timeout_s=answer_s, whole_s=answer_s, metrics=metrics or asked.metrics)
        self._missing: list[str] = []
        self._gauges = Gauges()
        self._sampler: Sampler | None = None
        self._at: Endpoint | None = None
        self._pipeline: tuple[Member, ...] = (Member(target.model),)
        self._by_metrics = False
        self._before = Seen()

    def begin(self) -> None:
        """Look at the server, and go on to look at its metrics every second, in a thread of its own."""
        counted = self._tried("counts of Triton", self._first_counts)
        scrape = self._tried("metrics", self._first)
        if scrape and counted is None:
            counted = self._of_metrics(scrape)
        name, version = self._tried("version", lambda: self._named(scrape)) or ("", "")
        self._before = Seen(name, version, counted, scrape, self._pipeline)
        if self._at and scrape:
            self._gauges.see(scrape, gpus=False)
            self._sampler = Sampler(metrics.reader(self._at), names(), self._gauges.see)
            finalize(self, self._sampler.stop)  # of a load that an exception ended
            self._sampler.start()

    def end(self) -> Observed:
        """Return what the server says of the time since `begin`."""
        if self._sampler:
            self._sampler.stop()
        before = self._before
        scrape, counted = None, None
        if before.counted is not None and not self._by_metrics:
            counted = self._tried("counts of Triton", lambda: still(self._counts, lambda counts: counts))
        if self._at:
            at = self._at
            scrape = self._tried("metrics at the end", lambda: _scraped(at))
        if scrape and self._by_metrics:
            counted = of_metrics(scrape)
        after = replace(before, counted=counted, scrape=scrape)
        made = self._tried("figures", lambda: observed(self._target, (before, after), self._gauges, self._sampler))
        made = made or Observed(before.server, before.version)
        return made._replace(missing=self._plain([*self._missing, *made.missing]), notes=self._plain(made.notes))

    def _plain(self, said: Sequence[str]) -> tuple[str, ...]:
        safe = self._server.without_secrets
        return tuple(dict.fromkeys(inline(safe(each))[:LONGEST] for each in said))

    def _tried(self, what: str, look: Callable[[], T]) -> T | None:
        try:
            return look()
        except Stop as stop:
            why = stop.diagnostics[0].message
        except Exception as error:  # noqa: BLE001  a load goes on, whatever a server says of it
            why = f"{type(error).__name__}: {error}"
        self._missing.append(f"{what}: {why}")
        return None

    def _counts(self) -> Counts:
        with counting(self._server, grpc=self._over_grpc) as server:
            return server.statistics()

    @property
    def _over_grpc(self) -> bool:
        return self._target.protocol is Protocol.GRPC

    def _first_counts(self) -> Counts | None:
        if not self._target.protocol.of_triton:
            return None
        with counting(self._server, grpc=self._over_grpc) as server:
            self._pipeline = members(self._target.model, server)
            return still(server.statistics, lambda counts: counts)

    def _of_metrics(self, scrape: Scrape) -> Counts | None:
        """Return the counts of Triton's metrics, where its statistics are not open; None if they are not Triton's."""
        counted = of_metrics(scrape)
        if counted and not name_of("request_duration", scrape):
            self._missing.append("times of steps: Triton was started with `--metrics-config counter_latencies=false`")
            return None
        self._by_metrics = bool(counted)
        return counted or None

    def _first(self) -> Scrape | None:
        """Return the metrics at the first URL that has some; raise Stop if nothing does."""
        if self._server.metrics == NO_METRICS:
            self._missing.append("metrics: they were not asked for")
            return None
        stops = list[Stop]()
        for server in self._places():
            try:
                scrape = _scraped(server)
            except Stop as stop:
                stops.append(stop)
            else:
                self._at = server
                return scrape
        hint = "" if self._server.metrics else "; `--metrics URL` says where they are"
        self._missing.append(f"{metrics.reason(stops[0])}{hint}")
        return None

    def _places(self) -> Iterator[Endpoint]:
        """Yield the server with each URL at which its metrics may be: vLLM's are on its own port, as are NIM's."""
        server = self._server
        if server.metrics is not None or self._target.protocol.of_triton:
            yield server
            return
        for base in self._bases():
            for path in ("/metrics", "/v1/metrics"):
                yield replace(server, metrics=base + path)

    def _bases(self) -> tuple[str, ...]:
        """Return the URLs before the /v1 of OpenAI's API, which a proxy may have at a path of its own."""
        host = self._server.whole_url.rstrip("/").removesuffix("/v1")
        before, api, _ = self._target.path.partition("/v1/")
        return tuple(dict.fromkeys((host + before, host) if api else (host,)))

    def _named(self, scrape: Scrape | None) -> tuple[str, str]:
        """Return the name and version of the server; vLLM tells its version at /version, NIM at /v1/version."""
        if self._target.protocol.of_triton:
            with counting(self._server, grpc=self._over_grpc) as server:
                about = server.about()
            return str(about.get("name", "")), str(about.get("version", ""))
        name = exposer(scrape) if scrape else ""
        for base, (path, key) in product(self._bases(), (("/version", "version"), ("/v1/version", "release"))):
            said = _mapping(Client(replace(self._server, url=base)).peek(path)[1])
            if key in said:
                return name, str(said[key])
        return name, ""


def _scraped(server: Endpoint) -> Scrape:
    """Return the metrics once what was answered is counted; raise Stop if there are none."""
    return still(lambda: metrics.scrape(server), written)


def exposer(scrape: Scrape) -> str:
    """Return whose metrics these are: triton, vllm or nim."""
    named = {series.removesuffix(ending) for series in scrape.series for ending in ("", "_bucket", "_sum", "_count")}
    known = {name.exposer for metric in catalogue().values() for name in metric.names if name.name in named}
    return next((name for name in ("triton", "vllm", "nim") if name in known), "")


def written(scrape: Scrape) -> object:
    """Return what stands still in metrics once all that was answered is counted."""
    return [scrape.series.get(name_of(meaning, scrape) or "") for meaning in ENGINE]


def still(look: Callable[[], T], of: Callable[[T], object]) -> T:
    """Return what two looks in a row have seen; where others' requests go on, what was seen last.

    Some counts are written after the response: those of a Python model's batch (python_backend: ~PbMetricReporter in
    src/pb_metric_reporter.cc), and what Triton's vLLM backend says in a thread (vllm_backend: src/utils/metrics.py).
    """
    seen, end = look(), time.monotonic() + STILL_S
    for _ in range(LOOKS):
        if time.monotonic() > end:
            break
        time.sleep(PAUSE_S)
        before = seen
        try:
            seen = look()
        except Stop:
            break
        if of(seen) == of(before):
            break
    return seen


def _mapping(text: str) -> dict[str, object]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def beside(observed: Observed, asked: int) -> Observed:
    """Return what was observed, with a note if the server counted other requests than the client sent.

    `asked` are the client's requests between `begin` and `end`, warm-up included, whatever became of them.
    """
    model = observed.steps[0].model if observed.steps else ""
    counted = sum(step.requests + step.failed for step in observed.steps if step.model == model)
    if not model and "answers_finished" in observed.counts:
        model, counted = "the engine", round(observed.counts["answers_finished"])
    if not model or counted == asked:
        return observed
    if counted > asked:
        note = f"{model} had {counted:,} requests, {counted - asked:,} more than this client sent: others ask it too"
    else:
        fewer = "the others failed before, or went elsewhere"
        note = f"{model} had {counted:,} of the {asked:,} requests that were sent: {fewer}"
    return observed._replace(notes=(*observed.notes, note))
