"""PromQL in manifests: the queries of scalers and of rules, and the metrics that they name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tritonrepo.diagnostics import Span
from tritonrepo.manifests.objects import Object, find, items, text
from tritonrepo.spec.nodes import Node

NEAR = 50
"""Characters before a metric in which its function is looked for."""

LONGEST = 1 << 14
"""Characters of a query; a longer one is not read."""

METRIC = re.compile(
    r"(?<![\w:])((?:vllm:|nv_|DCGM_FI_)[A-Za-z0-9_:]++)"
    r"[ \t\n]*+(\{[^{}]*+\})?+[ \t\n]*+(\[[^\[\]]*+\])?+"
)
LABEL = re.compile(r"(?<!\w)([A-Za-z_]\w*+)[ \t\n]*+(?:=~|!~|!=|=)")
FUNCTION = re.compile(r"(?<![a-z_])[a-z_]++$")


class Query(NamedTuple):
    """A query, where it is written, and whether a scaler asks it."""

    text: str
    at: Span
    scales: bool


class Metric(NamedTuple):
    """A metric in a query: its labels, the function around it, "" if there is none, and whether it is over a range."""

    name: str
    labels: tuple[str, ...]
    function: str
    ranged: bool
    end: int


def queries(of: Object) -> Iterator[Query]:
    """Yield the queries of an object.

    Source: keda.sh/v1alpha1, ScaledObject; monitoring.coreos.com/v1, PrometheusRule; autoscaling/v2.
    """
    match of.kind:
        case "ScaledObject" | "ScaledJob":
            yield from _queries(items(of.node, "spec.triggers"), "metadata.query", scales=True)
        case "PrometheusRule":
            for group in items(of.node, "spec.groups"):
                yield from _queries(items(group, "rules"), "expr", scales=False)
        case "HorizontalPodAutoscaler":
            for source in ("pods", "external", "object"):
                yield from _queries(items(of.node, "spec.metrics"), f"{source}.metric.name", scales=True)
        case _:
            pass


def _queries(nodes: Iterable[Node], path: str, *, scales: bool) -> Iterator[Query]:
    for node in nodes:
        found = find(node, path)
        if found is not None and 0 < len(text(node, path)) <= LONGEST:
            yield Query(text(node, path), found.at, scales)


def metrics(query: str) -> Iterator[Metric]:
    """Yield the metrics of Triton, vLLM and DCGM in a query."""
    for found in METRIC.finditer(query):
        before = query[max(0, found.start() - NEAR) : found.start()].rstrip()
        function = FUNCTION.search(before[:-1].rstrip()) if before.endswith("(") else None
        labels = tuple(LABEL.findall(found[2] or ""))
        yield Metric(found[1], labels, function[0] if function else "", found[3] is not None, found.end())
