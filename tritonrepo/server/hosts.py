"""Which addresses only this machine reaches."""

from __future__ import annotations

import ipaddress

LOCAL = frozenset({"127.0.0.1", "localhost", "[::1]"})
"""Hosts that requests of this machine name, under any port: a tunnel to this machine has a port of its own."""


def loopback(host: str) -> bool:
    """Return whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def itself(host: str) -> bool:
    """Return whether a client that connects to an address reaches the machine, container or pod that it is in.

    The address of no host in particular, 0.0.0.0 or ::, is that of the own host to a client. Source: RFC 1122, 3.2.1.3,
    and Linux, ip(7), INADDR_ANY.
    """
    return loopback(host) or host in {"0.0.0.0", "::"}  # noqa: S104  nothing is bound
