"""Metrics by what they mean: which names they have had, and what servers call the labels that say whose they are.

The facts are in data/metrics.json, each with its source, written by scripts/update_releases.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from tritonrepo.packaged import facts

SERIES = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("", "_sum", "_count")}
"""The endings of the series of a metric that is more than one number."""


class Name(NamedTuple):
    """A name of a metric, and the labels of its model, version, GPU and reason, each by what it means.

    `when` is what the server must be started with to have the metric; "" if it always has it.
    """

    name: str
    exposer: str
    labels: Mapping[str, str]
    since: str = ""
    until: str = ""
    when: str = ""


class Metric(NamedTuple):
    """What a metric means, and its names, those that replaced others first."""

    kind: str
    unit: str
    per: str
    names: tuple[Name, ...]


@cache
def catalogue() -> Mapping[str, Metric]:
    """Return meaning → metric."""
    found, labels = facts("metrics"), exposers()
    return {
        meaning: Metric(
            said["kind"],
            said["unit"],
            said["per"],
            tuple(
                Name(
                    one["name"], one["of"], labels[one["of"]], *(one.get(key, "") for key in ("since", "until", "when"))
                )
                for one in said["names"]
            ),
        )
        for meaning, said in found["metrics"].items()
    }


@cache
def exposers() -> Mapping[str, Mapping[str, str]]:
    """Return exposer → what it calls the labels of a model, a version, a GPU and others, by what they mean."""
    return {exposer: said["labels"] for exposer, said in facts("metrics")["exposers"].items()}


@cache
def series() -> frozenset[str]:
    """Return the names of all series that belong to a metric of the catalogue."""
    return frozenset(
        f"{name.name}{ending}"
        for metric in catalogue().values()
        for name in metric.names
        for ending in SERIES.get(metric.kind, ("",))
    )
