"""The web application of the page: its files, and the requests that its script sends, answered line by line as JSON.

Only `serving` imports this module, where its library is needed.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib import resources
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tritonrepo.diagnostics import Stop
from tritonrepo.server.client import Client
from tritonrepo.ui import shown
from tritonrepo.ui.guard import Guard, TooLong
from tritonrepo.ui.shown import Data
from tritonrepo.ui.work import Lines, Work

FILES = {
    "": ("index.html", "text/html; charset=utf-8"),
    "page.css": ("page.css", "text/css; charset=utf-8"),
    "page.js": ("page.js", "text/javascript; charset=utf-8"),
    "pane.js": ("pane.js", "text/javascript; charset=utf-8"),
    "stream.js": ("stream.js", "text/javascript; charset=utf-8"),
    "elements.js": ("elements.js", "text/javascript; charset=utf-8"),
    "icon.svg": ("icon.svg", "image/svg+xml"),
}
AT_ONCE = 8
"""How many answers and runs of steps the page may wait for at a time."""

AHEAD = 64
"""How many lines of an answer may wait for a browser that reads slowly."""


def application(work: Work, token: str) -> Starlette:
    """Return the application, which answers only who knows the token."""
    running = threading.BoundedSemaphore(AT_ONCE)
    routes = [*_files(), *_requests(work, running)]
    return Starlette(
        routes=routes, middleware=[Middleware(Guard, token=token)], exception_handlers={TooLong: _too_long}
    )


def _files() -> list[Route]:

    place = resources.files("tritonrepo.ui") / "static"

    def file(name: str, kind: str) -> Callable[[Request], Awaitable[Response]]:
        content = (place / name).read_bytes()

        async def sent(_: Request) -> Response:
            return Response(content, media_type=kind)

        return sent

    return [Route(f"/{path}", file(*about), methods=["GET"]) for path, about in FILES.items()]


def _requests(work: Work, running: threading.BoundedSemaphore) -> list[Route]:

    async def overview(_: Request) -> Response:
        return JSONResponse(await _one(lambda: work.overview(Client(work.server))))

    async def drawing(request: Request) -> Response:
        model = (await _asked(request)).get("model")
        if not isinstance(model, str):
            return JSONResponse(shown.wrong("the request names no model"), 400)
        return JSONResponse(await _one(lambda: work.drawing(Client(work.server), model)))

    def streaming(what: Callable[[str, str], Lines]) -> Callable[[Request], Awaitable[Response]]:
        async def sent(request: Request) -> Response:
            said = await _asked(request)
            model, text = said.get("model"), said.get("text")
            if not isinstance(model, str) or not isinstance(text, str) or not text.strip():
                return JSONResponse(shown.wrong("the question is empty", "Type a question."), 400)
            if not running.acquire(blocking=False):
                hint = "Stop one of them, or wait for its end."
                return JSONResponse(shown.wrong(f"{AT_ONCE} requests are running already", hint), 429)
            stream = Stream(Client(work.server), what(model, text), running)
            return StreamingResponse(stream.lines(request), media_type="application/x-ndjson")

        return sent

    return [
        Route("/api/server", overview, methods=["POST"]),
        Route("/api/drawing", drawing, methods=["POST"]),
        Route("/api/ask", streaming(work.ask), methods=["POST"]),
        Route("/api/steps", streaming(work.steps), methods=["POST"]),
    ]


async def _asked(request: Request) -> dict[str, Any]:
    """Return the JSON object that a request holds; an empty one if it holds anything else."""
    try:
        said = json.loads(await request.body())
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


async def _one(make: Callable[[], Data]) -> Data:
    """Return what is made in a thread, or why it cannot be."""
    try:
        return await asyncio.to_thread(make)
    except Stop as stop:
        return shown.fault(stop)


async def _too_long(_: Request, __: Exception) -> Response:

    return JSONResponse(shown.wrong("the question is too long", "Shorten it."), 413)


class Stream:
    """Lines that a thread makes with a client, which ends as soon as nobody reads them any more."""

    def __init__(self, client: Client, make: Lines, running: threading.BoundedSemaphore) -> None:
        self._client, self._make, self._running = client, make, running
        self._loop = asyncio.get_running_loop()
        self._lines: asyncio.Queue[Data | None] = asyncio.Queue()
        self._room = threading.Semaphore(AHEAD)
        self._over = False
        threading.Thread(target=self._run, daemon=True).start()

    async def lines(self, request: Request) -> AsyncIterator[bytes]:
        """Yield the lines; end the thread's request when the browser closes its own."""
        watching = asyncio.create_task(self._watch(request))
        try:
            while (line := await self._lines.get()) is not None:
                self._room.release()
                yield json.dumps(line).encode() + b"\n"
        finally:
            watching.cancel()
            self._end()

    async def _watch(self, request: Request) -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        self._end()

    def _end(self) -> None:
        self._over = True
        self._client.abort()
        self._room.release()

    def _run(self) -> None:
        try:
            for line in self._make(self._client):
                self._room.acquire()
                if self._over:
                    return
                self._put(line)
        except Stop as stop:
            self._put(shown.fault(stop))
        except Exception as error:  # noqa: BLE001  a thread's fault would be lost, and the page wait for ever
            self._put(shown.wrong(f"tritonrepo failed: {type(error).__name__}: {error}", "This is a bug. Report it."))
        finally:
            self._running.release()
            self._put(None)

    def _put(self, line: Data | None) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._lines.put_nowait, line)
