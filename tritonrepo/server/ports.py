"""The three ports of a server: used ones are reported before anything starts, free ones are chosen by the system."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

from tritonrepo.diagnostics import Diagnostic, Severity, Span, Stop, fatal

HOST = "127.0.0.1"
LISTEN = "0A"
"""TCP_LISTEN as /proc/net/tcp writes it."""


class Ports(NamedTuple):
    """A server's ports; 0 means any free port."""

    http: int = 0
    grpc: int = 0
    metrics: int = 0


def choose(asked: Ports) -> Ports:
    """Return three ports that nothing listened on a moment ago; raise a fatal Stop with all that are unavailable."""
    found = [*twice(asked)]
    chosen = []
    with ExitStack() as held:
        for name, port in asked._asdict().items():
            listener = held.enter_context(socket.socket())
            # Closed connections of an earlier server may still linger; only a listening socket is in the way.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((HOST, port))
                listener.listen(1)
            except (OSError, OverflowError) as error:
                found.append(problem(name, port, reason(error)))
            chosen.append(listener.getsockname()[1])
    if found:
        raise Stop(found[:1] if [*twice(asked)] else found)
    return Ports(*chosen)


def listener(port: int, host: str = HOST) -> socket.socket:
    """Return a socket that listens on a port, of this machine alone by default; raise a fatal Stop if it cannot be.

    It names its protocol: only then does asyncio turn off Nagle's algorithm for what it accepts (`_set_nodelay` in
    asyncio/base_events.py). With it, each further piece of a response waits for the client's acknowledgment: 40 ms.
    """
    try:
        kind, _, _, _, (name, _, *rest) = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        message = f"the host is not an address of this machine: {getattr(error, 'strerror', None) or error}"
        raise fatal("server-port", f"{host}:{port}", message, "Use an address such as 0.0.0.0 for --host.") from None
    found = socket.socket(kind, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((name, port, *rest))
        found.listen()
    except (OSError, OverflowError) as error:
        found.close()
        hint = "Choose another port with --port, or 0 for any free port."
        raise fatal("server-port", f"{host}:{port}", f"the port {reason(error)}", hint) from None
    return found


def twice(asked: Ports) -> Iterator[Diagnostic]:
    """Yield a problem for each port that is requested twice."""
    wanted = [port for port in asked if port]
    for name, port in asked._asdict().items():
        if port and wanted.count(port) > 1:
            yield problem(name, port, "is requested twice")


def reason(error: OSError | OverflowError) -> str:
    """Return why a port is unavailable, as the predicate of a sentence."""
    match error:
        case OSError(errno=errno.EADDRINUSE):
            return "is in use by another program"
        case OSError(errno=errno.EACCES):
            return "needs privileges that this user does not have"
        case OverflowError():
            return "is not between 0 and 65535"
        case _:
            return f"cannot be used: {error.strerror}"


def problem(name: str, port: int, why: str) -> Diagnostic:
    """Return the fatal diagnostic for one port."""
    hint = f"Choose another port with --{name}-port, or 0 for any free port."
    return Diagnostic("server-port", Severity.FATAL, Span(f"{HOST}:{port}"), f"{name} port {port} {why}", hint)


def listens(pid: int, ports: Ports) -> bool:
    """Return whether exactly this process listens on all its ports (Linux's /proc; only processes of this user).

    Connecting would not work: it also finds other processes, and on a port that nothing listens on yet, the kernel may
    connect the attempt to itself, which then keeps the port from the server.
    """
    owned = set()
    with suppress(OSError):  # the process may end, and its descriptors may close, while they are read
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                owned.add(str(descriptor.readlink()))
    if sum(name.startswith("socket:") for name in owned) < len(ports):
        return False  # the kernel's tables may have thousands of rows
    listening = (row for row in connections() if row[3] == LISTEN and f"socket:[{row[9]}]" in owned)
    return {int(row[1].rpartition(":")[2], 16) for row in listening}.issuperset(ports)


def connections() -> Iterator[list[str]]:
    """Yield the rows of the kernel's tables of TCP sockets; gRPC's is in the second, as an IPv4 address in IPv6."""
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        with suppress(FileNotFoundError):  # a machine without IPv6
            yield from (line.split() for line in table.read_text(encoding="ascii").splitlines()[1:])
