"""Quantities of Kubernetes, such as 64Gi and 500m, as numbers."""

from __future__ import annotations

import re

SUFFIXES = {"": 1.0, "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
SUFFIXES |= {f"{each}i": 1024.0**power for power, each in enumerate("KMGTPE", 1)}
"""Source: Kubernetes, apimachinery, pkg/api/resource/suffix.go."""

QUANTITY = re.compile(r"([+-]?(?:[0-9]{1,20}(?:\.[0-9]{0,20})?|\.[0-9]{1,20}))((?:[eE][+-]?[0-9]{1,2})|[A-Za-z]{0,2})")


def quantity(text: str) -> float | None:
    """Return the number that a quantity is; None if it is no quantity."""
    found = QUANTITY.fullmatch(text)
    if found is None:
        return None
    number, suffix = found.groups()
    if suffix in SUFFIXES:
        return float(number) * SUFFIXES[suffix]
    return float(number + suffix) if suffix[1:].lstrip("+-").isdecimal() else None
