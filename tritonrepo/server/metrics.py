"""What a server says at its metrics port, by meaning, in Prometheus's text format, which anybody may have written.

Sources: Prometheus's "Exposition formats" for the format; Triton's docs/user_guide/metrics.md for port 8002 and the
path. Labels of models are not trusted: quotes, commas and line breaks in names are escaped there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from tritonrepo.diagnostics import Stop, failure
from tritonrepo.server.catalogue import Name, catalogue, series
from tritonrepo.server.client import Client
from tritonrepo.server.endpoint import Endpoint

MOST_BYTES = 32 << 20
"""How much is read: 10,000 models of Triton have 18 MiB of metrics."""

MOST_SERIES = 500_000

SERIES_LABEL = re.compile(r'[ \t]*([A-Za-z_]\w*)[ \t]*=[ \t]*"((?:[^"\\]|\\.)*)"[ \t]*,?', re.ASCII)
ESCAPED = re.compile(r"\\(.)")

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Scrape:
    """The series of one look at the metrics that the catalogue knows: name → labels → value."""

    url: str
    series: Mapping[str, Mapping[Labels, float]]

    def values(self, meaning: str, *by: str, of: str = "") -> dict[tuple[str, ...], float] | None:
        """Return the values of a metric by its model, version, gpu or reason, added up over all other labels.

        A label that a series lacks is "". Return None if the server does not have the metric. `of` is the series of a
        histogram: _sum or _count.
        """
        there = [(name, found) for name in catalogue()[meaning].names if (found := self.series.get(f"{name.name}{of}"))]
        labelled = [(name, found) for name, found in there if name.labels["model"] in dict(next(iter(found)))]
        name, found = next(iter(labelled or there), (None, {}))  # vLLM and Triton label the same names differently
        return None if name is None else _added(found, name, by)

    def value(self, meaning: str) -> float | None:
        """Return the single value of a metric of the whole server; None if it does not have it."""
        found = self.values(meaning)
        return found[()] if found else None


def _added(found: Mapping[Labels, float], name: Name, by: tuple[str, ...]) -> dict[tuple[str, ...], float]:
    wanted = [name.labels.get(each, "") for each in by]
    added: dict[tuple[str, ...], float] = {}
    for labels, value in found.items():
        said = dict(labels)
        key = tuple(said.get(label, "") for label in wanted)
        added[key] = added.get(key, 0) + value
    return added


def scrape(server: Endpoint) -> Scrape:
    """Return what the server's metrics say now; raise Stop if there are none, or none that the catalogue knows."""
    client = reader(server)
    return read(client, content(client))


def reader(server: Endpoint) -> Client:
    """Return the client of a server's metrics; raise Stop if their URL is not valid."""
    url = server.metrics_url()
    headers = _headers(server, url)
    return Client(replace(server, url=url, headers=headers, whole_s=server.whole_s or server.timeout_s))


def content(client: Client) -> bytes:
    """Return the text of the metrics; raise Stop if there is none."""
    status, body = client.content(MOST_BYTES)
    if status != 200:  # noqa: PLR2004  HTTP's OK
        raise failure("server-metrics", client.url, f"the response has HTTP status {status}", PORT)
    if len(body) > MOST_BYTES:
        raise failure("server-metrics", client.url, f"the metrics are larger than {MOST_BYTES >> 20} MiB", PORT)
    return body


def read(client: Client, body: bytes) -> Scrape:
    """Return the series in a text of metrics; raise Stop if the catalogue knows none of them."""
    found = parsed(body.decode("utf-8", "replace"), client.url)
    if not found:
        shown = client.endpoint.without_secrets(body[:60].decode("utf-8", "replace").strip()) or "nothing"
        raise failure("server-metrics", client.url, f"the response has no metrics of a model server: {shown}", PORT)
    return Scrape(client.url, found)


PORT = "Name the metrics with `--metrics URL`: Triton's port is 8002, and the path /metrics."


def _headers(server: Endpoint, url: str) -> Mapping[str, str]:
    """Return the headers for the metrics: none if they would leave TLS or go to another host."""
    ours, theirs = server.address(), replace(server, url=url).address()
    return server.headers if ours.host == theirs.host and (theirs.secure or not ours.secure) else {}


def parsed(text: str, url: str = "") -> dict[str, dict[Labels, float]]:
    """Return the series that the catalogue knows, equal ones once; lines of another form are passed over.

    Values that are not finite say nothing. Raise Stop if there are too many series.
    """
    found: dict[str, dict[Labels, float]] = {}
    for count, (name, labels, value) in enumerate(_samples(text)):
        found.setdefault(name, {})[labels] = value
        if count == MOST_SERIES:
            raise failure("server-metrics", url, f"there are more than {MOST_SERIES:,} series of metrics")
    return found


def _samples(text: str) -> Iterator[tuple[str, Labels, float]]:
    known = series()
    for line in text.split("\n"):
        brace = line.find("{")
        name = (line[:brace] if brace >= 0 else line.partition(" ")[0]).strip()
        if name not in known:
            continue
        labels, rest = _labels(line, brace + 1) if brace >= 0 else ((), line.partition(" ")[2])
        if labels is not None and (value := _number(rest)) is not None:
            yield name, labels, value


def _labels(line: str, at: int) -> tuple[Labels | None, str]:
    """Return the labels that start there, sorted, and what follows them; None if they do not end."""
    found: dict[str, str] = {}
    while match := SERIES_LABEL.match(line, at):
        found[match[1]] = ESCAPED.sub(_meant, match[2]) if "\\" in match[2] else match[2]
        at = match.end()
    rest = line[at:].lstrip(" \t")
    return (tuple(sorted(found.items())), rest[1:]) if rest.startswith("}") else (None, "")


def _meant(escape: re.Match[str]) -> str:
    return "\n" if escape[1] == "n" else escape[1]


def _number(text: str) -> float | None:
    """Return the value at the start, which a time may follow; None if it is not a finite number."""
    words = text.split(None, 1)
    try:
        value = float(words[0]) if words and "_" not in words[0] else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def reason(stop: Stop) -> str:
    """Return why there are no metrics, as part of a line."""
    first = stop.diagnostics[0]
    return f"no metrics at {first.at.path}: {first.message}"
