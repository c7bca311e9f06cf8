"""A proxy that adds TLS to the ports of a real server, as a gateway does."""

from __future__ import annotations

import selectors
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

Pair = tuple[socket.socket, socket.socket]


@contextmanager
def terminated(port: int, certificate: Path, key: Path, protocols: list[str]) -> Iterator[int]:
    """Yield the port on which connections with TLS are passed on to this one; `protocols` are those of ALPN."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(protocols)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_accepting, args=(listening, context, port), daemon=True).start()
        yield listening.getsockname()[1]


def _accepting(listening: socket.socket, context: ssl.SSLContext, port: int) -> None:
    with suppress(OSError):  # it was closed
        while True:
            wire, _ = listening.accept()
            threading.Thread(target=_passing, args=(wire, context, port), daemon=True).start()


def _passing(wire: socket.socket, context: ssl.SSLContext, port: int) -> None:
    with (
        suppress(OSError),
        context.wrap_socket(wire, server_side=True) as outer,
        socket.create_connection(("127.0.0.1", port)) as inner,
        selectors.DefaultSelector() as ready,
    ):
        ready.register(outer, selectors.EVENT_READ, (outer, inner))
        ready.register(inner, selectors.EVENT_READ, (inner, outer))
        while all(_passed(outer, *key.data) for key, _ in ready.select()):
            pass


def _passed(outer: ssl.SSLSocket, source: socket.socket, to: socket.socket) -> bool:
    """Pass on what has arrived; with TLS, more than that may already be decrypted."""
    got = source.recv(1 << 16)
    while source is outer and outer.pending():
        got += source.recv(outer.pending())
    to.sendall(got)
    return bool(got)
