"""PromQL about the metrics of one server by what they mean: the catalogue says their names, labels and kinds.

A metric that has had several names is asked by each of them; the newest that is there counts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from tritonrepo.server.catalogue import SERIES, Name, catalogue, exposers

WINDOW = "$__rate_interval"
"""Of a panel: at least four scrapes. Source: grafana.com/docs, Prometheus data source, "Template variables"."""


def quoted(value: str) -> str:
    """Return a string for PromQL, in quotes that it cannot leave."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(each if each.isprintable() else _escape(each) for each in escaped) + '"'


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\U{code:08x}" if code > 0xFFFF else f"\\u{code:04x}"  # noqa: PLR2004  the end of the first plane


@dataclass(frozen=True, slots=True)
class Exposed:
    """The metrics of one server.

    `exposers` are those of the catalogue, tried in this order, each with its version; "" if it is not known.
    `where` are the labels that every series of this server has. `seen` are the names of the series of a scrape, None
    without one. `matching` are further matchers, as they are in a selector.
    """

    exposers: Mapping[str, str]
    where: Mapping[str, str]
    seen: Collection[str] | None = None
    matching: tuple[str, ...] = ()
    only: int | None = None

    @property
    def newest(self) -> Exposed:
        """The same server with only the newest name of each metric."""
        return replace(self, only=0)

    @property
    def oldest(self) -> Exposed:
        """The same server with only the oldest name of each metric."""
        return replace(self, only=-1)

    @property
    def selector(self) -> str:
        """The matchers of every series of this server, in braces."""
        return self._selector(())

    def names(self, meaning: str) -> tuple[Name, ...]:
        """Return the names that the metric can have on this server, the newest first; () if it does not have it."""
        metric = catalogue()[meaning]
        ending = SERIES.get(metric.kind, ("",))[-1]
        found = tuple(
            name
            for exposer, version in self.exposers.items()
            for name in metric.names
            if name.exposer == exposer and self._has(name, version, ending)
        )
        return found if self.only is None or not found else (found[self.only],)

    def has(self, *meanings: str) -> bool:
        """Whether the server has all of these metrics."""
        return all(map(self.names, meanings))

    def when(self, meaning: str) -> str:
        """Return what the server must be started with to have the metric; "" if it always has it."""
        return next((name.when for name in self.names(meaning)), "")

    def label(self, meaning: str) -> str:
        """Return what the server calls a label, such as that of a model."""
        known = (exposers()[exposer] for exposer in self.exposers)
        return next((labels[meaning] for labels in known if meaning in labels), meaning)

    def rate(self, meaning: str, window: str, *by: str, where: tuple[str, ...] = (), offset: str = "") -> str:
        """Return the increase of a counter per second, added up over all other labels."""
        return self._summed("rate", meaning, window, by, where, offset)

    def increase(self, meaning: str, window: str, *by: str, where: tuple[str, ...] = ()) -> str:
        """Return the increase of a counter within the window, added up over all other labels."""
        return self._summed("increase", meaning, window, by, where, "")

    def total(self, meaning: str, *by: str, where: tuple[str, ...] = ()) -> str:
        """Return a gauge, added up over all other labels."""
        return self._each(meaning, {"gauge"}, "", lambda one: f"sum{self._by(by)} ({one})", where)

    def highest(self, meaning: str, *by: str) -> str:
        """Return the highest value of a gauge over all other labels."""
        return self._each(meaning, {"gauge"}, "", lambda one: f"max{self._by(by)} ({one})", ())

    def count(self, meaning: str, *by: str, offset: str = "") -> str:
        """Return how many series of a metric there are, whatever their values."""
        behind = f" offset {offset}" if offset else ""
        return self._each(meaning, {"counter", "gauge"}, "", lambda one: f"count{self._by(by)} ({one}{behind})", ())

    def gauge(self, meaning: str) -> str:
        """Return a gauge with all its labels."""
        return self._each(meaning, {"gauge"}, "", lambda one: one, ())

    def quantile(self, quantile: str, meaning: str, window: str, *by: str, where: tuple[str, ...] = ()) -> str:
        """Return a quantile of a histogram."""
        labels = ", ".join(["le", *map(self.label, by)])

        def of(one: str) -> str:
            return f"histogram_quantile({quantile}, sum by ({labels}) (rate({one}[{window}])))"

        return self._each(meaning, {"histogram"}, "_bucket", of, where)

    def mean(self, meaning: str, window: str, *by: str) -> str:
        """Return the mean of what a histogram has observed within the window."""
        both = [
            self._each(meaning, {"histogram"}, ending, lambda one: f"sum{self._by(by)} (rate({one}[{window}]))", ())
            for ending in ("_sum", "_count")
        ]
        return " / ".join(both)

    def series(self, meaning: str, ending: str = "", **labels: str) -> str:
        """Return a series as a test of rules gives it: of the first name, with these labels by what they mean."""
        said = {**self.where, **{self.label(key): value for key, value in labels.items()}}
        inside = ",".join(f"{key}={quoted(value)}" for key, value in said.items())
        return f"{self.names(meaning)[0].name}{ending}{{{inside}}}"

    def labels(self, **labels: str) -> dict[str, str]:
        """Return labels by what the server calls them."""
        return {self.label(key): value for key, value in labels.items()}

    def _has(self, name: Name, version: str, ending: str) -> bool:
        if self.seen is not None:
            return f"{name.name}{ending}" in self.seen
        return not version or (name.since <= version and (not name.until or version <= name.until))

    def _by(self, by: tuple[str, ...]) -> str:
        return f" by ({', '.join(map(self.label, by))})" if by else ""

    def _selector(self, where: tuple[str, ...]) -> str:
        matchers = [*(f"{key}={quoted(value)}" for key, value in self.where.items()), *self.matching, *where]
        return f"{{{', '.join(matchers)}}}"

    def _summed(  # noqa: PLR0913, PLR0917  what a rate has
        self, function: str, meaning: str, window: str, by: tuple[str, ...], where: tuple[str, ...], offset: str
    ) -> str:
        behind = f" offset {offset}" if offset else ""

        def of(one: str) -> str:
            return f"sum{self._by(by)} ({function}({one}[{window}]{behind}))"

        return self._each(meaning, {"counter"}, "", of, where)

    def _each(
        self, meaning: str, kinds: set[str], ending: str, form: Callable[[str], str], where: tuple[str, ...]
    ) -> str:
        """Return a query for each name of a metric; a function that its kind does not have is our bug."""
        kind = catalogue()[meaning].kind
        if kind not in kinds:
            raise TypeError(f"{meaning} is a {kind}")
        queries = [form(f"{name.name}{ending}{self._selector(where)}") for name in self.names(meaning)]
        if not queries:
            raise LookupError(f"the server does not have {meaning}")
        return queries[0] if len(queries) == 1 else f"({' or '.join(queries)})"
