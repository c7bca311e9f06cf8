"""The facts in data/, which scripts write with their sources; this is the only place that reads them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pkgutil import get_data
from typing import Any


@cache
def facts(name: str) -> Mapping[str, Any]:
    """Return what data/NAME.json holds. It is read once, so nobody changes it."""
    found: Mapping[str, Any] = json.loads(get_data("tritonrepo", f"data/{name}.json") or b"")
    return found
