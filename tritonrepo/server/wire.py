"""What HTTP leaves to its user: a deadline for a whole response, and the events of a stream."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

ASIDE = (b":", b"event:", b"id:", b"retry:")
"""How lines of an event stream begin that are no data; a proxy sends comments to keep a connection open."""


@contextmanager
def shut_after(seconds: float | None, wire: socket.socket) -> Iterator[None]:
    """Shut a connection down at its deadline and raise TimeoutError: a response may drip in any of its parts."""
    if seconds is None:
        yield
        return
    late = threading.Event()

    def shut() -> None:
        late.set()
        with suppress(OSError):
            socket.socket.shutdown(wire, socket.SHUT_RDWR)  # below TLS, whose own would change what is being read

    timer = threading.Timer(seconds, shut)
    timer.daemon = True
    timer.start()
    try:
        yield
    except Exception as error:
        if late.is_set():  # what was read so far made no sense
            raise TimeoutError from error
        raise
    finally:
        timer.cancel()
    if late.is_set():
        raise TimeoutError


def events(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the data of server-sent events as they arrive; a body without events is yielded as one.

    Comments and fields other than data are left out, as the HTML standard says (9.2.6, interpreting an event stream).
    """
    other: list[bytes] = []
    held: list[bytes] = []
    for piece in pieces:
        held.append(piece)
        if b"\n" not in piece:
            continue
        *lines, rest = b"".join(held).split(b"\n")
        held = [rest]
        for line in lines:
            if line.startswith(b"data:"):
                yield line.removeprefix(b"data:").strip()
            elif not line.startswith(ASIDE):
                other.append(line)
    if last := b"".join([*other, *held]).strip():
        yield last.removeprefix(b"data:")


def parsed(text: str) -> dict[str, Any]:
    """Return the JSON object that a text is; empty if it is not one."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
