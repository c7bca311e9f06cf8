"""The connection of one push to its store: requests are recorded, held back or lost, as on a network."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from benchmarks.soak.push_revisions import BESIDE, RECORD

WRITES = ("PUT", "DELETE")
DONE = {200, 204}
ANSWER_S = 60


class Sent(NamedTuple):
    """A request that the store answered: when, from which push, what; paths are relative to the repository's prefix."""

    at: float
    push: int
    method: str
    path: str
    condition: str
    status: int
    tag: str
    body: bytes

    @property
    def written(self) -> bool:
        return self.method in WRITES and self.status in DONE


class Wire:
    """A port of this machine that represents the store. `before` and `after` are called with the number of each write
    (see `counted`; 0: a read) before it is passed on and once it is answered; False loses it, or the answer.
    """

    def __init__(self, store: str, prefix: str, push: int, log: list[Sent]) -> None:
        self.store, self.prefix, self.push, self.log = urlsplit(store).netloc, prefix, push, log
        self.there, self.back = threading.Event(), threading.Event()
        self.before: Callable[[int], bool] = lambda _: True
        self.after: Callable[[int], bool] = lambda _: True
        self.steps = self._beside = 0
        self._counting = threading.Lock()
        self.open()
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"wire": self}))
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def open(self) -> None:
        self.there.set()
        self.back.set()

    def close(self) -> None:
        self.open()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def counted(self, method: str, path: str) -> int:
        """Return the number of a write; those next to the repository, such as the lock, are -1, -2, …."""
        if method not in WRITES:
            return 0
        with self._counting:
            if path.startswith(BESIDE) and path != RECORD:
                self._beside += 1
                return -self._beside
            self.steps += 1
            return self.steps


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # what is under way is waited for

    def handle_error(self, request: object, client_address: object) -> None:
        """Do nothing: a push that was killed receives no response."""


class _Handler(BaseHTTPRequestHandler):
    wire: Wire
    protocol_version = "HTTP/1.1"
    timeout = ANSWER_S

    def _pass(self) -> None:
        wire = self.wire
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = unquote(urlsplit(self.path).path).removeprefix(f"/{wire.prefix}").removeprefix("/")
        step = wire.counted(self.command, path)
        if not wire.before(step):
            self.close_connection = True
            return
        wire.there.wait()
        status, headers, content = self._asked(body)
        tag = next((value for name, value in headers if name.lower() == "etag"), "").strip('"')
        condition = self.headers.get("If-Match") or self.headers.get("If-None-Match") or ""
        wire.log.append(Sent(time.monotonic(), wire.push, self.command, path, condition, status, tag, body))
        if not wire.after(step):
            self.close_connection = True
            return
        wire.back.wait()
        with suppress(OSError):  # a push that was killed hears nothing
            self._answer(status, headers, content)

    def _asked(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = HTTPConnection(self.wire.store, timeout=ANSWER_S)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in {"expect", "connection"}:
                    connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        except (OSError, HTTPException) as error:
            return 503, [], repr(error).encode()
        finally:
            connection.close()

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in {"content-length", "transfer-encoding", "connection"}:
                self.send_header(name, value)
        length = next((value for name, value in headers if name.lower() == "content-length"), "0")
        self.send_header("Content-Length", length if self.command == "HEAD" else str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _pass  # noqa: N815  their names are http.server's

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its name is http.server's
        """Do nothing: the log has it."""
