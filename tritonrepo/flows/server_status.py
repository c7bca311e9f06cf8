"""The pipeline of `status` for a server: what it serves and how it fares, once or again and again."""

from __future__ import annotations

import time
from collections.abc import Iterator

from tritonrepo.diagnostics import Severity, Stop, fatal
from tritonrepo.server.client import Client
from tritonrepo.server.endpoint import Endpoint
from tritonrepo.server.look import Look, look
from tritonrepo.server.recognizing import recognized
from tritonrepo.server.standing import ServerStatus, between

OTHER = {"server-answer", "server-refused"}
"""How the responses of another service than Triton are reported."""

HINT = "Check that this is the HTTP port of a Triton server, by default 8000."


def server_status(server: Endpoint) -> ServerStatus:
    """Return what a server serves and how it fares; raise Stop if it cannot be reached or is no Triton."""
    return between(server, None, _first(server))


def server_watch(server: Endpoint, pause_s: float) -> Iterator[ServerStatus]:
    """Yield the status again and again, each with what happened since the one before.

    Raise Stop: a fatal one if the server does not answer at first, an error if it does not later.
    """
    before = None
    now = _first(server)
    while True:
        yield between(server, before, now)
        time.sleep(pause_s)
        before = now
        try:
            now = look(server, before)
        except Stop as stop:
            raise stop.of(Severity.ERROR) from None


def _first(server: Endpoint) -> Look:
    try:
        return look(server)
    except Stop as stop:
        if stop.diagnostics[0].rule in OTHER and (other := recognized(Client(server))):
            raise fatal("server-answer", server.whole_url, f"this is {other}", HINT) from None
        raise stop.of(Severity.FATAL) from None
