"""calls.json: which models a generated Python step calls by itself (BLS), and which version of each.

The file is in the step's version directory and is one JSON object, model → version. In any other form it is not ours.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from tritonrepo.diagnostics import Span
from tritonrepo.repository.json_text import place
from tritonrepo.tree import File

PINS = "calls.json"
PINS_BYTES = 1 << 16
"""A larger calls.json is not ours and is not read."""


class Call(NamedTuple):
    """A pinned call, and the place of the model's name in a file below the step's directory."""

    at: Span
    model: str
    version: int


def calls(path: str, file: File) -> tuple[Call, ...]:
    """Return the calls of a calls.json; none if it does not have our form."""
    if file.size > PINS_BYTES:
        return ()
    try:
        text = file.content().decode()
        pins = json.loads(text)
    except (ValueError, RecursionError):
        return ()
    if not isinstance(pins, dict) or not all(type(version) is int for version in pins.values()):
        return ()
    return tuple(Call(place(path, text, model), model, version) for model, version in pins.items())
