"""A proxy in front of a real store, for what networks and limited stores do to requests and replies."""

from __future__ import annotations

import http.client
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import urlsplit


class Request(NamedTuple):
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def key(self) -> str:
        return urlsplit(self.path).path

    @property
    def is_conditional(self) -> bool:
        return self.method == "PUT" and bool({"if-match", "if-none-match"} & {name.lower() for name in self.headers})


class Reply(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes
    sent: int | None = None
    """How many bytes of the body arrive before the connection ends; None: all."""
    pause_s: float = 0
    """How long it stops in the middle of the body."""


Forward = Callable[[Request], Reply]
Tamper = Callable[[Request, Forward], Reply | None]
"""What happens to a request; None: the connection is closed without a reply."""


class Ready(ThreadingHTTPServer):
    """A server that lets many connections wait, as a push opens them together: one in vain is tried again after 1 s."""

    request_queue_size = 128

    def handle_error(self, request: Any, client_address: object) -> None:  # noqa: ANN401  the server's
        """Say nothing of a client that was killed, or has gone."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def proxy(endpoint: str, tamper: Tamper) -> Iterator[str]:
    """Yield the endpoint of a proxy for this one; signatures stay valid, because the host is passed on unchanged."""
    target = urlsplit(endpoint)
    assert target.hostname

    def forward(request: Request) -> Reply:
        connection = http.client.HTTPConnection(target.hostname or "", target.port)
        connection.request(request.method, request.path, request.body, dict(request.headers))
        answer = connection.getresponse()
        reply = Reply(answer.status, dict(answer.getheaders()), answer.read())
        connection.close()
        return reply

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # boto3 waits a second for leave to send a body, which 1.0 does not give

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            reply = tamper(Request(self.command, self.path, dict(self.headers), body), forward)
            self.close_connection = True
            if reply is None:
                return
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                if name.lower() not in {"content-length", "connection", "transfer-encoding", "date", "server"}:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.send_header("Connection", "close")
            self.end_headers()
            if self.command != "HEAD":
                half = len(reply.body) // 2 if reply.pause_s else 0
                self.wfile.write(reply.body[:half])
                time.sleep(reply.pause_s)
                self.wfile.write(reply.body[half : reply.sent])

        do_HEAD = do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815  the names that the server looks for

        def log_message(self, *_: object) -> None:
            pass

    with Ready(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
