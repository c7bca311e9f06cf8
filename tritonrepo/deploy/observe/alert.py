"""An alert with its texts and its tests, and a recorded query, before they are written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

LABEL = re.compile(r"\{\{ \$labels\.(\w+) \}\}")
VALUE = re.compile(r"\{\{ printf \"[^\"]*\" \$value \}\}")


class Case(NamedTuple):
    """A test of an alert: series → values in promtool's notation, and the labels that fire; None if it must not.

    `value` is the value in the texts of the alert as they write it. `after` is when promtool looks, `step` the time
    between two values.
    """

    series: Mapping[str, str]
    labels: Mapping[str, str] | None = None
    value: str = ""
    after: str = "40m"
    step: str = "1m"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """An alert. Its `summary` and `description` are templates: `{{ $labels.NAME }}`, `{{ printf "%.0f" $value }}`.

    `why` says what its threshold means, and `steps` what to do, one after the other. The last sentence of the
    description is the next step.
    """

    name: str
    expr: str
    holds: str
    severity: str
    summary: str
    description: str
    why: str
    steps: tuple[str, ...]
    fires: Case
    quiet: Case

    @property
    def annotations(self) -> dict[str, str]:
        """The annotations, as templates."""
        return {"summary": self.summary, "description": self.description, "runbook": f"runbook.md#{self.name.lower()}"}

    def written(self, case: Case) -> dict[str, str]:
        """Return the annotations of a case that fires."""
        labels = case.labels or {}
        return {
            key: VALUE.sub(case.value, LABEL.sub(lambda found: labels.get(found[1], ""), text))
            for key, text in self.annotations.items()
        }


class Record(NamedTuple):
    """A query whose result is kept under a name, and why. `labels` are added to it."""

    name: str
    expr: str
    why: str
    labels: Mapping[str, str] = {}


class Group(NamedTuple):
    """Rules of one server: `server` is its label in all alerts. `older` are the tests for older names of metrics."""

    name: str
    server: str
    records: tuple[Record, ...]
    alerts: tuple[Alert, ...]
    older: tuple[Alert, ...] = ()
