"""What it means when a server denies access, over either protocol."""

from __future__ import annotations

from tritonrepo.diagnostics import Stop, failure
from tritonrepo.server.endpoint import Endpoint

SHOWN = 160
"""How much of the server's words a message quotes, in characters."""


def denied(endpoint: Endpoint, at: str, status: str, said: str) -> Stop:
    """Return the Stop for a request that lacked valid credentials, with the server's words about it."""
    words = " ".join(endpoint.without_secrets(said).split())[:SHOWN]
    hidden = sorted(endpoint.variables.values())
    if hidden:
        names = " and ".join(value[value.index("$") :] for value in hidden)
        message = f"the server denies access with {names}: {status}"
        hint = f"Renew {names}: it may be expired, or lack the permission for this request."
    elif endpoint.headers:
        message, hint = f"the server denies access: {status}", "Check the values of `--header`. A token may be expired."
    else:
        message = f"the server denies access without credentials: {status}"
        hint = "Pass a token with `--token-env VARIABLE`, or a header with `--header-env NAME=VARIABLE`."
    return failure("server-denied", at, f"{message}: {words}" if words else message, hint)
