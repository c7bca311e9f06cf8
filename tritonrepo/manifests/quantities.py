"""Quantities of Kubernetes, such as 500m, 64Gi and 1e3.

Source: Kubernetes, apimachinery, pkg/api/resource/quantity.go.
"""

from __future__ import annotations

import re
from decimal import Decimal

QUANTITY = re.compile(
    r"([+-]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40}))(?:[eE]([+-]?[0-9]{1,3})|([KMGTPE]i|[numkMGTPE]))?"
)
SUFFIXES = {
    **{name: Decimal(1000) ** power for power, name in enumerate("num", -3)},
    **{name: Decimal(1000) ** power for power, name in enumerate("kMGTPE", 1)},
    **{f"{name}i": Decimal(1024) ** power for power, name in enumerate("KMGTPE", 1)},
}


def quantity(text: str) -> Decimal | None:
    """Return the number that a quantity is; None if it is not one."""
    found = QUANTITY.fullmatch(text)
    if found is None:
        return None
    number, exponent, suffix = found.groups()
    return Decimal(number) * Decimal(10) ** int(exponent or 0) * SUFFIXES.get(suffix or "", Decimal(1))
