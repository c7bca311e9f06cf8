"""What goes wrong with an endpoint: one message for each fault, with the code of the answer to the request."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

import triton_python_backend_utils as pb_utils

SHOWN = 400
"""Maximum characters of an endpoint's own message that an error shows."""

HIDDEN = "***"
TITLE = re.compile("<title[^<>]*>([^<]*)", re.IGNORECASE)


class Fault(Exception):  # noqa: N818  what an endpoint does, not an error of this program
    """A fault, the code of its answer, and after how many seconds the request can be sent again; None: never."""

    def __init__(self, message: str, code: int, again_s: float | None = None) -> None:
        """Take the message without the endpoint's address, which is put before it."""
        super().__init__(message)
        self.code, self.again_s = code, again_s


def unavailable(message: str, again_s: float | None = None) -> Fault:
    """Return the fault of an endpoint that cannot answer now."""
    return Fault(message, pb_utils.TritonError.UNAVAILABLE, again_s)


def broken(message: str) -> Fault:
    """Return the fault of an answer that does not follow the protocol."""
    return Fault(message, pb_utils.TritonError.INTERNAL)


def code(status: int) -> int:
    """Return the code of an answer for an HTTP status of the endpoint.

    A wrong key is a fault of this model's settings, not of the request.
    """
    codes = {
        400: pb_utils.TritonError.INVALID_ARG,
        404: pb_utils.TritonError.NOT_FOUND,
        408: pb_utils.TritonError.UNAVAILABLE,
        413: pb_utils.TritonError.INVALID_ARG,
        422: pb_utils.TritonError.INVALID_ARG,
        429: pb_utils.TritonError.UNAVAILABLE,
        502: pb_utils.TritonError.UNAVAILABLE,
        503: pb_utils.TritonError.UNAVAILABLE,
        504: pb_utils.TritonError.UNAVAILABLE,
    }
    found: int = codes.get(status, pb_utils.TritonError.INTERNAL)
    return found


def shown(text: str, secrets: Iterable[str] = ()) -> str:
    """Return a foreign text in one line, bounded, without control characters and secrets."""
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    text = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * SHOWN]).split())
    return text if len(text) <= SHOWN else f"{text[:SHOWN].rstrip()}…"


def said(body: bytes) -> str:
    """Return the message in the body of a refusal: OpenAI's `error`, `detail` or `message`, or the text itself.

    A page, which a proxy in front of the endpoint sends, is told by its title.
    """
    text = body.decode("utf-8", "replace")
    if text.lstrip()[:1] == "<":
        title = TITLE.search(text)
        words = title[1].strip() if title else ""
        return f'a page with the title "{words}"' if words else "a page without a title"
    try:
        return worded(json.loads(text)) or text
    except (ValueError, RecursionError):
        return text


def worded(value: Any) -> str:  # noqa: ANN401  foreign data
    """Return the message of an error object; "" if it has none."""
    if isinstance(value, dict):
        inner = (value.get(name) for name in ("error", "message", "detail"))
        return next((text for each in inner if each and (text := worded(each))), "")
    if isinstance(value, list) and value:
        return "; ".join(map(problem, value))
    return value if isinstance(value, str) else json.dumps(value) if value else ""


def problem(value: Any) -> str:  # noqa: ANN401  foreign data
    """Return what is wrong with a field of a request: FastAPI's `loc` and `msg` (its guide, "Handling Errors")."""
    if not isinstance(value, dict) or not isinstance(value.get("msg"), str):
        return json.dumps(value)
    place = value.get("loc")
    return ": ".join([*([".".join(map(str, place))] if isinstance(place, list) and place else []), value["msg"]])
