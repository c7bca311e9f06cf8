"""What is counted, and shown at /metrics in Prometheus' text format.

Source of the format: https://prometheus.io/docs/instrumenting/exposition_formats/, text format 0.0.4.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
"""Upper bounds in seconds."""

TYPE = "text/plain; version=0.0.4; charset=utf-8"
PREFIX = "tritonrepo_gateway_"

Labels = tuple[tuple[str, str], ...]


class Histogram:
    """Durations by labels."""

    def __init__(self) -> None:
        self.counts: dict[Labels, list[int]] = {}
        self.sums: Counter[Labels] = Counter()

    def add(self, seconds: float, **labels: str) -> None:
        """Count one."""
        key = (*labels.items(),)
        counts = self.counts.setdefault(key, [0] * (len(BUCKETS) + 1))
        counts[bisect_left(BUCKETS, seconds)] += 1
        self.sums[key] += seconds  # type: ignore[assignment]  # a Counter of seconds

    def lines(self, name: str) -> Iterator[str]:
        """Yield its samples: the counts of buckets include those of smaller ones."""
        for labels, counts in self.counts.items():
            total = 0
            for bound, count in zip((*map(_number, BUCKETS), "+Inf"), counts, strict=True):
                total += count
                yield f"{name}_bucket{_labels((*labels, ('le', bound)))} {total}"
            yield f"{name}_sum{_labels(labels)} {_number(self.sums[labels])}"
            yield f"{name}_count{_labels(labels)} {total}"


class Counts:
    """Everything that is counted; `gauges`: what is read at the time."""

    def __init__(self, gauges: Mapping[str, tuple[str, Callable[[], int]]]) -> None:
        self.requests: Counter[Labels] = Counter()
        self.tokens: Counter[Labels] = Counter()
        self.left: Counter[Labels] = Counter()
        self.first, self.whole = Histogram(), Histogram()
        self.gauges = gauges

    def request(self, route: str, model: str, status: int) -> None:
        """Count a response."""
        self.requests[("route", route), ("model", model), ("status", str(status))] += 1

    def token(self, model: str, kind: str, count: int) -> None:
        """Count tokens; `kind` is prompt or completion."""
        self.tokens[("model", model), ("kind", kind)] += count

    def gone(self, route: str, model: str) -> None:
        """Count a client that did not wait for the end."""
        self.left[("route", route), ("model", model)] += 1

    def text(self) -> str:
        """Return all of it in the text format."""
        return "\n".join([*self._lines(), ""])

    def _lines(self) -> Iterator[str]:
        for name, (about, value) in self.gauges.items():
            yield from _head(name, "gauge", about)
            yield f"{PREFIX}{name} {value()}"
        for name, about, counter in (
            ("requests_total", "Responses by route, model and HTTP status.", self.requests),
            ("disconnects_total", "Clients that closed the connection before the end of the response.", self.left),
            ("tokens_total", "Tokens of requests whose model reports them.", self.tokens),
        ):
            yield from _head(name, "counter", about)
            yield from (f"{PREFIX}{name}{_labels(labels)} {count}" for labels, count in counter.items())
        for name, about, histogram in (
            ("time_to_first_token_seconds", "Time to the first text of an answer.", self.first),
            ("request_duration_seconds", "Time to the end of a response.", self.whole),
        ):
            yield from _head(name, "histogram", about)
            yield from histogram.lines(f"{PREFIX}{name}")


def _head(name: str, kind: str, about: str) -> Iterator[str]:
    yield f"# HELP {PREFIX}{name} {about}"
    yield f"# TYPE {PREFIX}{name} {kind}"


def _labels(labels: Labels) -> str:
    told = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels)
    return f"{{{told}}}" if told else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    return f"{value:.12g}"
