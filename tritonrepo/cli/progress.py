"""Progress of flows, as lines on stderr."""

from __future__ import annotations

from typing import assert_never

from tritonrepo.cli.output import say
from tritonrepo.diagnostics import Diagnostic
from tritonrepo.flows.events import Built, Busy, Counted, Event, Indexed
from tritonrepo.sync.telling import Began, Interrupted, Line, Sent, Waits


def show(event: Event) -> None:
    """Print an event."""
    match event:
        case Busy(what):
            say(f"{what} …", err=True)
        case Began() | Waits() | Line() | Interrupted():
            say(event.text, err=True)
        case Sent() | Counted():
            pass
        case Indexed(name, place, passages, left):
            say(f"{name}: {place} holds {passages} passages", err=True)
            for line in left:
                say(f"{name}: {line}", err=True)
        case Built(out, plan):
            up_to_date = "nothing written" if plan.kept else "up to date"
            say(
                f"{out}: {f'{len({action.path for action in plan.actions})} files written' if plan else up_to_date}",
                err=True,
            )
        case Diagnostic():
            say(*event.lines, err=True)
        case _:
            assert_never(event)
