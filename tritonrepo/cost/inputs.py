"""What a cost file states, read: inputs as ranges with their date and source, options, and published totals."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from tritonrepo.diagnostics import Span


class Range(NamedTuple):
    """The least value that is to be expected, the likeliest, and the largest: all three equal for what is known."""

    low: Fraction
    mid: Fraction
    high: Fraction

    @property
    def ranged(self) -> bool:
        """Whether it is not known exactly."""
        return self.low != self.high


def known(value: Fraction | int) -> Range:
    """Return a value that is known exactly."""
    return Range(Fraction(value), Fraction(value), Fraction(value))


@dataclass(frozen=True, slots=True)
class Input:
    """A stated value: its place, its date and source if they are stated, and whether all options share it."""

    name: str
    at: Span
    value: Range
    date: datetime.date | None = None
    source: str = ""
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Published:
    """What a published table says of an option: its figures (name → place and value), and the GPUs that it deploys.

    `gpus` and `replicas` are those of the manifests that come with the table, None if they are not stated.
    """

    at: Span
    figures: Mapping[str, tuple[Span, Fraction]]
    deploys_at: Span | None = None
    gpus: Fraction | None = None
    replicas: Fraction | None = None


@dataclass(frozen=True, slots=True)
class Option:
    """A way to serve: its inputs, with those that all options share; `bench` is the target of its bench result."""

    name: str
    at: Span
    inputs: Mapping[str, Input]
    bench: str = ""
    published: Published | None = None

    def range(self, name: str) -> Range:
        """Return the range of an input; of one that is not stated, zero."""
        return self.inputs[name].value if name in self.inputs else known(0)


@dataclass(frozen=True, slots=True)
class Inputs:
    """A cost file: the first option is the one that others are compared with, unless another is the baseline."""

    path: str
    currency: str
    options: Mapping[str, Option]
    baseline: str
