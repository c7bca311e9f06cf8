"""What is wrong with a dashboard: its layout, its variables, and queries that cannot mean what they say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

NAME = re.compile(
    r"(?<![\w:.$\"=])((?:nv_|vllm:|num_|gpu_|prompt_|generation_|time_|e2e_|request_|prefix_)[\w:]*)(?=[{\[])"
)
METRIC_OF_VALUES = re.compile(r'__name__=~"([^"]*)"')
RATED = re.compile(r"\b(\w+)\(([\w:]+)(?:\{[^}]*\})?\[")
VARIABLE = re.compile(r"\$\{?(\w+)")
OURS = {"__rate_interval", "__all"}


def faults(board: Mapping[str, Any], types: Mapping[str, str]) -> Iterator[str]:
    """Yield the faults of a dashboard; `types` are the metrics of a scrape with their types."""
    panels = board["panels"]
    yield from _of_layout([panel["gridPos"] for panel in panels])
    if len({panel["id"] for panel in panels}) != len(panels):
        yield "two panels have one id"
    declared = {variable["name"] for variable in board["templating"]["list"]} | OURS
    used = set(VARIABLE.findall(str(board)))
    yield from (f"${name} is declared or used, not both" for name in sorted((used ^ declared) - OURS))
    for panel in panels:
        yield from _of_panel(panel, types) if panel["type"] != "row" else ()


def _of_layout(places: Sequence[Mapping[str, int]]) -> Iterator[str]:
    yield from (f"{one} overlaps {other}" for one, other in combinations(places, 2) if _overlap(one, other))
    yield from (f"{at} leaves the grid" for at in places if at["x"] + at["w"] > 24)


def _of_panel(panel: Mapping[str, Any], types: Mapping[str, str]) -> Iterator[str]:
    if not panel["fieldConfig"]["defaults"]["unit"] or not panel["targets"]:
        yield f"{panel['title']} has no unit or no query"
    for each in (panel, *panel["targets"]):
        if each["datasource"] != {"type": "prometheus", "uid": "${DS_PROMETHEUS}"}:
            yield f"{panel['title']} does not leave the data source to the user"
    for target in panel["targets"]:
        yield from _of_query(target, types)


def queries(board: Mapping[str, Any]) -> list[str]:
    """Return the queries of the panels."""
    return [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]


def names(board: Mapping[str, Any]) -> set[str]:
    """Return the metrics that a dashboard asks for, in panels and in variables."""
    found = {name for query in queries(board) for name in NAME.findall(query)}
    asked = [variable["query"]["query"] for variable in board["templating"]["list"] if variable["type"] == "query"]
    return found | {name for query in asked for one in METRIC_OF_VALUES.findall(query) for name in one.split("|")}


def _overlap(one: Mapping[str, int], other: Mapping[str, int]) -> bool:
    return all(
        one[at] < other[at] + other[size] and other[at] < one[at] + one[size] for at, size in (("x", "w"), ("y", "h"))
    )


def _of_query(target: Mapping[str, str], types: Mapping[str, str]) -> Iterator[str]:
    query = target["expr"]
    for function, metric in RATED.findall(query):
        base = re.sub(r"_(bucket|sum|count)$", "", metric)
        if function != "rate" or types.get(metric, types.get(base)) not in {"counter", "histogram"}:
            yield f"{function}() of {metric}"
    if "histogram_quantile" in query and "by (le" not in query:
        yield f"no le in {query}"
    for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
        if not re.search(rf"by \([^)]*\b{label}\b", query) and " by (" in query:
            yield f"{label} is not a label of {query}"
