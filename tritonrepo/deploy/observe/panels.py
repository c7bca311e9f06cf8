"""Dashboards of Grafana: rows of panels with their queries, laid out without gaps, as the JSON that Grafana imports."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

SCHEMA = 39
"""Version of the JSON model. Source: grafana/grafana, DashboardMigrator.ts, DASHBOARD_SCHEMA_VERSION of 10.4 and 11;
later ones migrate it."""

COLUMNS, HEIGHT = 24, 8
SOURCE = {"type": "prometheus", "uid": "${DS_PROMETHEUS}"}


class Query(NamedTuple):
    """A query and how its results are called, such as `{{model}}`."""

    expr: str
    legend: str


class Panel(NamedTuple):
    """A chart. `unit` is one of Grafana's, such as ms or percentunit. `width` is in columns, of which there are 24."""

    title: str
    unit: str
    queries: Sequence[Query]
    text: str = ""
    width: int = 8
    stacked: bool = False


class Row(NamedTuple):
    """A title and the panels below it; a row without panels is left out."""

    title: str
    panels: Sequence[Panel]


class Variable(NamedTuple):
    """What the user chooses at the top: the values of a label of a metric. `chosen` is the first choice, "" for all."""

    name: str
    query: str
    chosen: str = ""


class Board(NamedTuple):
    """A dashboard; `uid` identifies it, so that importing it again replaces it."""

    uid: str
    title: str
    text: str
    variables: Sequence[Variable]
    rows: Sequence[Row]


def document(board: Board) -> str:
    """Return the JSON of a dashboard."""
    made = {
        "uid": board.uid,
        "title": board.title,
        "description": board.text,
        "tags": ["tritonrepo"],
        "schemaVersion": SCHEMA,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "annotations": {"list": []},
        "links": [],
        "templating": {"list": [_datasource(), *map(_variable, board.variables)]},
        "panels": [*_panels(row for row in board.rows if row.panels)],
    }
    return json.dumps(made, indent=2, ensure_ascii=True) + "\n"


def _datasource() -> dict[str, Any]:
    return {"name": "DS_PROMETHEUS", "label": "Data source", "type": "datasource", "query": "prometheus"}


def _variable(variable: Variable) -> dict[str, Any]:
    chosen = {"text": variable.chosen or "All", "value": variable.chosen or "$__all", "selected": True}
    return {
        "name": variable.name,
        "label": variable.name.capitalize(),
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": variable.query, "refId": variable.name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": chosen,
    }


def _panels(rows: Iterable[Row]) -> Iterator[dict[str, Any]]:
    """Yield the panels from left to right and from top to bottom, numbered."""
    number, top = 1, 0
    for row in rows:
        yield {
            "id": number,
            "type": "row",
            "title": row.title,
            "collapsed": False,
            "panels": [],
            "gridPos": _at(0, top, COLUMNS, 1),
        }
        number, top, left = number + 1, top + 1, 0
        for panel in row.panels:
            if left + panel.width > COLUMNS:
                left, top = 0, top + HEIGHT
            yield _panel(panel, number, _at(left, top, panel.width, HEIGHT))
            number, left = number + 1, left + panel.width
        top += HEIGHT


def _at(left: int, top: int, width: int, height: int) -> dict[str, int]:
    return {"x": left, "y": top, "w": width, "h": height}


def _panel(panel: Panel, number: int, at: dict[str, int]) -> dict[str, Any]:
    drawn: dict[str, Any] = {"lineWidth": 1, "fillOpacity": 10, "showPoints": "never", "spanNulls": False}
    if panel.stacked:
        drawn |= {"stacking": {"mode": "normal", "group": "A"}, "fillOpacity": 40}
    return {
        "id": number,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.text,
        "datasource": SOURCE,
        "gridPos": at,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0, "custom": drawn}, "overrides": []},
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": SOURCE, "expr": query.expr, "legendFormat": query.legend}
            for index, query in enumerate(panel.queries)
        ],
    }
