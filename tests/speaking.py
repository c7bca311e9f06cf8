"""A server whose answers a test chooses, also those that no real one gives; and answers of Triton's HTTP protocol."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

TYPES = {"FP32": "<f4", "INT64": "<i8", "BOOL": "?"}
"""Data type of the protocol → NumPy's, little-endian: docs/protocol/extension_binary_data.md."""


class Asked(NamedTuple):
    """A request as it arrived."""

    method: str
    path: str
    head: Mapping[str, str]
    body: bytes


class Said(NamedTuple):
    """An answer; `more` is sent after the body, piece by piece, as it is made."""

    body: bytes = b"{}"
    status: int = 200
    head: Mapping[str, str] = {}
    more: Iterable[bytes] = ()


@dataclass
class Speaking:
    """A running server: its URL, and what it was asked."""

    url: str
    asked: list[Asked] = field(default_factory=list)
    stop: Callable[[], None] = lambda: None


@contextmanager
def speaking(answer: Callable[[Asked], Said]) -> Iterator[Speaking]:
    """Run the server."""
    here = Speaking("")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            asked = Asked(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
            here.asked.append(asked)
            said = answer(asked)
            self.send_response(said.status)
            for name, value in {"Content-Length": str(len(said.body)), **said.head}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(said.body)
                for piece in said.more:
                    self.wfile.write(piece)

        do_CONNECT = do_GET = do_HEAD = do_PUT = do_POST  # noqa: N815  the names that the parent looks for

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the parent's name
            """Keep quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        here.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()

        def stop() -> None:
            server.shutdown()
            server.server_close()

        here.stop = stop
        try:
            yield here
        finally:
            server.shutdown()
            thread.join()


def index(states: Iterable[tuple[str, str, str, str]], status: int = 200) -> Said:
    """Return Triton's answer about its repository: the name, version, state and reason of each."""
    return plain([dict(zip(("name", "version", "state", "reason"), state, strict=True)) for state in states], status)


def plain(value: object, status: int = 200) -> Said:
    """Return the answer with this JSON."""
    return Said(json.dumps(value).encode(), status)


def streamed(*pieces: str) -> Said:
    """Return the answer of a generator, as events of a stream."""
    return Said(b"".join(b"data: %b\n\n" % json.dumps({"answer": piece}).encode() for piece in pieces))


def arrays(asked: Asked) -> dict[str, NDArray[Any]]:
    """Return the inputs of an inference by name; strings as an array of bytes."""
    size = int(asked.head["inference-header-content-length"])
    rest, found = asked.body[size:], {}
    for tensor in json.loads(asked.body[:size])["inputs"]:
        length = tensor["parameters"]["binary_data_size"]
        content, rest = rest[:length], rest[length:]
        if tensor["datatype"] == "BYTES":
            values = np.array(strings(content), object)
        else:
            values = np.frombuffer(content, TYPES[tensor["datatype"]])
        found[tensor["name"]] = values.reshape(tensor["shape"])
    assert not rest
    return found


def strings(content: bytes) -> list[bytes]:
    """Return strings, each after its length in four bytes."""
    found = []
    while content:
        end = 4 + int.from_bytes(content[:4], "little")
        found.append(content[4:end])
        content = content[end:]
    return found


def inferred(**outputs: NDArray[Any]) -> Said:
    """Return the answer with these outputs in binary: text as BYTES, numbers as FP32."""
    described, content = [], b""
    for name, values in outputs.items():
        if values.dtype == object:
            part = b"".join(len(text).to_bytes(4, "little") + text for text in values.ravel().tolist())
        else:
            part = values.astype("<f4").tobytes()
        kind = "BYTES" if values.dtype == object else "FP32"
        shape, size = list(values.shape), {"binary_data_size": len(part)}
        described.append({"name": name, "datatype": kind, "shape": shape, "parameters": size})
        content += part
    head = json.dumps({"outputs": described}).encode()
    return Said(head + content, head={"Inference-Header-Content-Length": str(len(head))})
