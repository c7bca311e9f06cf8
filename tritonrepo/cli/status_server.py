"""`tritonrepo status` of a server: one look, or one after the other until Ctrl-C."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from datetime import datetime

from tritonrepo.cli import standing as report
from tritonrepo.cli.interrupts import interruptible
from tritonrepo.cli.output import NO_TERMINAL, concluded, document, painted, say, unread
from tritonrepo.diagnostics import Stop
from tritonrepo.flows.server_status import server_status, server_watch
from tritonrepo.server.endpoint import Endpoint
from tritonrepo.server.standing import ServerStatus

CLEAR = "\x1b[H\x1b[2J"


def once(url: str, server: Callable[[], Endpoint], form: str, *, verbose: bool) -> int:
    """Print the status, and return the exit code; what is wrong with the endpoint is part of the document."""
    seen: ServerStatus | None = None
    with concluded(form, lambda ends: report.document(seen, url, ends)):
        seen = server_status(server())
        if form == "text":
            say(*report.text(seen, verbose=verbose))
    return 0 if seen.healthy else 1


def watch(server: Endpoint, form: str, pause_s: float, *, verbose: bool) -> int:
    """Print the status again and again: a table on a terminal, otherwise lines, or a JSON document a line."""
    shown = _lines if form == "text" else _documents
    if form == "text" and sys.stdout.isatty() and os.environ.get("TERM", "") not in NO_TERMINAL:
        shown = _table
    with interruptible():
        try:
            for _ in shown(server, pause_s, verbose):
                sys.stdout.flush()
                if unread():
                    break
        except Stop as stop:
            if form != "text":
                _line(report.document(None, server.whole_url, stop.diagnostics))
            raise
    return 0


def _table(server: Endpoint, pause_s: float, verbose: bool) -> Iterator[None]:  # noqa: FBT001  one of three alike
    for seen in server_watch(server, pause_s):
        first, *rest = report.text(seen, verbose=verbose)
        painted([f"{CLEAR}{first}", *rest], colours=True)
        yield


def _lines(server: Endpoint, pause_s: float, verbose: bool) -> Iterator[None]:  # noqa: FBT001
    before = None
    for seen in server_watch(server, pause_s):
        if before is None:
            say(*report.text(seen, verbose=verbose))
        else:
            now = datetime.now().astimezone().strftime("%H:%M:%S")
            say(*(f"{now} {line}" for line in [*report.changes(before, seen)] or ["no requests"]))
        before = seen
        yield


def _documents(server: Endpoint, pause_s: float, verbose: bool) -> Iterator[None]:  # noqa: FBT001, ARG001
    for seen in server_watch(server, pause_s):
        _line(report.document(seen, server.whole_url, ()))
        yield


def _line(text: str) -> None:
    document(json.dumps(json.loads(text), sort_keys=True))
