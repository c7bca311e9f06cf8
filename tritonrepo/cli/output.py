"""What the streams can show, and what is done when nobody reads them any more."""

from __future__ import annotations

import os
from typing import Any, TextIO


def colour(stream: TextIO) -> bool:
    """Whether to colour: a terminal that is not dumb, NO_COLOR unset or empty; FORCE_COLOR turns it on."""
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class Patient:
    """A stream whose reader may leave: what is written from then on is dropped, and the work goes on.

    click itself ends a command there; `push … | head` would leave a push half done.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  all else is the stream's
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write as the stream does."""
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            self._drop()
            return len(text)

    def flush(self) -> None:
        """Flush as the stream does."""
        try:
            self._stream.flush()
        except BrokenPipeError:
            self._drop()

    def _drop(self) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)
