"""What arrives on a connection of who measures, without a server."""

from __future__ import annotations

from tritonrepo.server.exchanging import Wire


def arrive(wire: Wire, content: bytes) -> None:
    """Give a connection bytes as a loop does: as many at once as its buffer holds."""
    while content:
        room = wire.get_buffer(-1)
        now, content = content[: len(room)], content[len(room) :]
        room[: len(now)] = now
        wire.buffer_updated(len(now))
