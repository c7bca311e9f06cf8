"""What the streams can show."""

from __future__ import annotations

import os
from typing import TextIO


def colour(stream: TextIO) -> bool:
    """Whether to colour: a terminal that is not dumb, NO_COLOR unset or empty; FORCE_COLOR turns it on."""
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
