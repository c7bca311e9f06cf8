"""The facts in data/, which scripts write with their sources; this is the only place that reads them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any


@cache
def facts(name: str) -> Mapping[str, Any]:
    """Return what data/NAME.json holds. It is read once, so nobody changes it."""
    text = resources.files("tritonrepo").joinpath("data", f"{name}.json").read_text("utf-8")
    found: Mapping[str, Any] = json.loads(text)
    return found
