"""What it means when a server denies access, over either protocol."""

from __future__ import annotations

from http.client import HTTPResponse

from tritonrepo.diagnostics import Stop, failure
from tritonrepo.server.endpoint import Endpoint

DENIED = {401, 403}
MOVED = {301, 302, 303, 307, 308}

READ = 200
"""How much of a body that says why is read, in bytes."""

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


def admit(response: HTTPResponse, endpoint: Endpoint) -> None:
    """Raise Stop if the server denies access, or sends the client elsewhere: nothing follows redirects."""
    if response.status in DENIED:
        said = response.getheader("WWW-Authenticate") or response.read(READ).decode("utf-8", "replace")
        raise denied(endpoint, endpoint.whole_url, f"HTTP {response.status}", said)
    if response.status in MOVED:
        place = endpoint.without_secrets(response.getheader("Location") or "another place")
        message = f"the server redirects requests to {place} (HTTP {response.status})"
        raise failure("server-answer", endpoint.whole_url, message, "Use the URL that it redirects to.")
