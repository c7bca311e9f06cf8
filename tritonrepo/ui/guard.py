"""What a request to the page must have: our Host, our Origin, the token, a small body. All else is refused.

A page of another site could send requests to this machine's ports, and, after its name was made to mean this machine
(DNS rebinding), read the responses. It cannot choose the Host header, which names that site, and it does not know the
token. The token is sent in a header of its own, not in a cookie, which every server on this machine would be sent.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOSTS = frozenset({"127.0.0.1", "localhost"})
"""Under any port: a tunnel to this machine has a port of its own."""

TOKEN = "x-tritonrepo-token"  # noqa: S105  the header's name
BODY_BYTES = 1 << 18
"""Longest body of a request; a question has less."""

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "connect-src": "'self'",
    "img-src": "'self' blob:",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}
HEADERS = {
    "content-security-policy": "; ".join(f"{name} {value}" for name, value in POLICY.items()),
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Guard:
    """Refuses what does not come from the page, and adds the headers that keep the page apart from others."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self.app, self.token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message.get("headers", []), *added]}
            await send(message)

        if scope["type"] != "http":
            return
        head = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        asked = scope["path"].startswith("/api/")
        why = refused(head, asked=asked) or ("" if not asked else self._unknown(head))
        if why:
            said = {"error": {"message": why, "hint": "Open the URL that the command printed."}}
            await JSONResponse(said, 403)(scope, receive, sent)
            return
        await self.app(scope, limited(receive), sent)

    def _unknown(self, head: Mapping[str, str]) -> str:
        known = hmac.compare_digest(head.get(TOKEN, "").encode("latin-1"), self.token.encode())
        return "" if known else "the token of this page is not the one of the running command"


def refused(head: Mapping[str, str], *, asked: bool) -> str:
    """Return why a request is refused, "" if it is not; `asked`: it is for more than the page's own files."""
    host = head.get("host", "")
    name, _, port = host.partition(":")
    if name.lower() not in HOSTS or (port and not port.isdecimal()):
        return "this page answers only to 127.0.0.1 and localhost"
    if head.get("origin", f"http://{host}") != f"http://{host}":
        return "another page sent this request"
    if asked and head.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        return "another page sent this request"
    return ""


class TooLong(Exception):  # noqa: N818  becomes a response
    """A body is longer than BODY_BYTES."""


def limited(receive: Receive) -> Receive:
    """Return a receiver that raises TooLong once a body is longer than BODY_BYTES."""
    size = 0

    async def received() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > BODY_BYTES:
            raise TooLong
        return message

    return received
