"""A route that answers a JSON body: limits and keys first, then its work, which ends as soon as its client is gone."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from tritonrepo.gateway.gate import ENDING, Gate
from tritonrepo.gateway.problem import Problem, of_call
from tritonrepo.gateway.telling import Asked, Out
from tritonrepo.plain import printable
from tritonrepo.server.calls import CallError

Work = Callable[[Gate, Asked, Out], Awaitable[None]]

TOLD_S = 5.0
"""How long a client may take to read what went wrong."""

BODY_S = 30.0
"""How long a client may take to send its body."""

REPORT_S = 30.0
"""How long the log says nothing more about a Triton that is away."""

logger = logging.getLogger("tritonrepo.gateway")


class Post:
    """An ASGI application for one route."""

    def __init__(self, gate: Callable[[], Gate], route: str, work: Work) -> None:
        self._gate, self.route, self.work = gate, route, work

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        gate, out, began = self._gate(), Out(send), time.monotonic()
        asked = Asked(scope, began)
        with gate.answering():
            try:
                await self._answered(gate, asked, out, receive)
            except Gone:
                gate.counts.gone(self.route, asked.model)
                return
            except asyncio.CancelledError as error:
                if ENDING not in error.args:
                    raise
                await out.fail(Problem(HTTPStatus.SERVICE_UNAVAILABLE, ENDING))
            gate.counts.request(self.route, asked.model, out.status)
            gate.counts.whole.add(time.monotonic() - began, route=self.route)

    async def _failed(self, out: Out, problem: Problem) -> None:
        """Tell a client what went wrong, but do not wait for one that reads nothing."""
        try:
            async with asyncio.timeout(TOLD_S):
                await out.fail(problem)
        except OSError:  # a TimeoutError is one
            raise Gone from None

    async def _answered(self, gate: Gate, asked: Asked, out: Out, receive: Receive) -> None:
        try:
            admit(gate)
            asked.body = parsed(await body(receive, asked, gate.options.max_body))
            async with asyncio.timeout(gate.options.timeout_s):
                await until_gone(self._placed(gate, asked, out), receive)
        except Problem as problem:
            report(gate, problem)
            await self._failed(out, problem)
        except CallError as error:
            gate.offers.forget()
            told = of_call(error, asked.model)
            report(gate, told)
            await self._failed(out, told)
        except TimeoutError:
            message = f"the response was not complete within {gate.options.timeout_s:g} s"
            await self._failed(out, Problem(HTTPStatus.GATEWAY_TIMEOUT, message, code="timeout"))
        except (Gone, OSError) as error:  # the latter from sending to a client that is gone
            raise Gone from error
        except Exception:
            logger.exception("a request failed because of a bug in tritonrepo")
            message = "the gateway failed; its log says more"
            await self._failed(out, Problem(HTTPStatus.INTERNAL_SERVER_ERROR, message))

    async def _placed(self, gate: Gate, asked: Asked, out: Out) -> None:
        async with gate.places.one():
            await self.work(gate, asked, out)


def admit(gate: Gate) -> None:
    """Raise Problem if the gateway is ending."""
    if gate.draining:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, ENDING)


def report(gate: Gate, problem: Problem) -> None:
    """Log why Triton cannot be reached, once in a while: clients are not told where it is."""
    if problem.detail and time.monotonic() - gate.reported_s > REPORT_S:
        gate.reported_s = time.monotonic()
        logger.warning("%s", printable(f"Triton at {gate.calls.address}: {problem.detail}"))


class Gone(Exception):  # noqa: N818  nobody is told
    """The client has closed its connection."""


async def until_gone(work: Awaitable[None], receive: Receive) -> None:
    """Do the work, but cancel it and raise Gone as soon as the client is gone."""
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_left(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise Gone
        await working
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def body(receive: Receive, asked: Asked, most: int) -> bytes:
    """Return the body of a request; raise Problem if it is too long, late or compressed, Gone if it is cut off."""
    if asked.head.get("content-encoding", "identity") != "identity":
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "a compressed body is not supported")
    too_long = Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is longer than {most} bytes")
    said = asked.head.get("content-length", "0")
    if len(said) > 18 or (said.isdecimal() and int(said) > most):  # noqa: PLR2004  digits of 2^60
        raise too_long
    pieces, size = [], 0
    try:
        async with asyncio.timeout(BODY_S):
            more = True
            while more:
                message: Message = await receive()
                if message["type"] == "http.disconnect":
                    raise Gone
                pieces.append(message.get("body", b""))
                size += len(pieces[-1])
                if size > most:
                    raise too_long
                more = message.get("more_body", False)
    except TimeoutError:
        raise Problem(HTTPStatus.REQUEST_TIMEOUT, f"the body did not arrive within {BODY_S:g} s") from None
    return b"".join(pieces)


def parsed(text: bytes) -> Any:  # noqa: ANN401  JSON
    """Return the value of a JSON text; raise Problem for any other, and for the numbers that JSON does not have."""
    try:
        return json.loads(text, parse_constant=_constant)
    except RecursionError:
        raise Problem(HTTPStatus.BAD_REQUEST, "the body nests too deeply") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"the body is not JSON: {error}") from None
    except ValueError:  # Python's limit of digits
        raise Problem(HTTPStatus.BAD_REQUEST, "the body has a number that is too long") from None


def _constant(name: str) -> Any:  # noqa: ANN401  JSON
    raise Problem(HTTPStatus.BAD_REQUEST, f"the body is not JSON: {name} is not a number of JSON")
