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
