"""An endpoint with OpenAI's API whose answers a test chooses, also those that no real one gives.

It answers a chat completion with the words of the last message, one event each. A script says something else: bytes
that are sent as they are, and what happens between them.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

MODEL = "tiny"
HTML = "text/html"
EVENTS = "text/event-stream; charset=utf-8"
JSON = "application/json"
DONE = "[DONE]"


class Act(Enum):
    """What a script does besides sending bytes."""

    HANG = "hang"
    """Send nothing until the client leaves."""
    CLOSE = "close"
    """Close the connection."""


class Asked(NamedTuple):
    """A request as it arrived."""

    method: str
    path: str
    head: Mapping[str, str]
    content: bytes

    @property
    def body(self) -> dict[str, Any]:
        """The JSON of the body."""
        found: dict[str, Any] = json.loads(self.content)
        return found

    @property
    def text(self) -> str:
        """What the last message says, in one piece or in parts."""
        content = self.body["messages"][-1]["content"]
        return content if isinstance(content, str) else "".join(part["text"] for part in content)


Script = Sequence[bytes | Act]
Answer = Callable[[Asked], Script]


@dataclass
class Endpoint:
    """A running endpoint: its URL, what it was asked, and how many connections it had and its clients have left."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    left: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    answer: Answer = lambda asked: talk(asked)  # noqa: PLW0108  it is defined below

    def bodies(self) -> list[dict[str, Any]]:
        """The chat completions that it was asked for."""
        return [asked.body for asked in self.asked if asked.method == "POST"]


def reply(body: bytes, status: int = 200, kind: str = JSON, **headers: str) -> bytes:
    """Return a whole reply; `_` in the name of a header stands for `-`."""
    given = {"Content-Type": kind, "Content-Length": str(len(body)), **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in given.items())
    return f"HTTP/1.1 {status} Said\r\n{lines}\r\n".encode() + body


def refusal(status: int, message: str, **headers: str) -> bytes:
    """Return an error in OpenAI's form."""
    return reply(json.dumps({"error": {"message": message, "code": status}}).encode(), status, **headers)


HEAD = f"HTTP/1.1 200 OK\r\nContent-Type: {EVENTS}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
LAST = b"0\r\n\r\n"


def chunk(content: bytes) -> bytes:
    """Return a piece of a body."""
    return b"%x\r\n%s\r\n" % (len(content), content)


def event(data: object) -> bytes:
    """Return an event, as a piece of a body."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    return chunk(f"data: {text}\n\n".encode())


def delta(reason: str | None = None, **said: object) -> dict[str, Any]:
    """Return the data of an event of a chat completion."""
    choice = {"index": 0, "delta": said, "finish_reason": reason}
    return {"id": "1", "object": "chat.completion.chunk", "choices": [choice]}


def words(text: str) -> list[bytes]:
    """Return an event for each word."""
    return [event(delta(content=word)) for word in text.replace(" ", " \0").split("\0")]


def stream(*events: bytes, end: Sequence[bytes] = (event(delta("stop")), event(DONE), LAST)) -> list[bytes]:
    """Return a streamed answer of these events."""
    return [HEAD, event(delta(role="assistant", content="")), *events, *end]


def talk(asked: Asked) -> Script:
    """Answer as a model that repeats what it hears, in so many words as it may."""
    if asked.method == "GET":
        return [listed(MODEL)]
    body = asked.body
    spoken = words(asked.text)[: body["max_tokens"]]
    reason = "stop" if len(spoken) < body["max_tokens"] else "length"
    if body.get("stream"):
        counts = {"prompt_tokens": len(asked.text.split(" ")), "completion_tokens": len(spoken)}
        usage = [event({"choices": [], "usage": counts})] if body.get("stream_options") else []
        return stream(*spoken, end=(event(delta(reason)), *usage, event(DONE), LAST))
    message = {"role": "assistant", "content": " ".join(asked.text.split(" ")[: body["max_tokens"]])}
    choice = {"index": 0, "message": message, "finish_reason": reason}
    return [reply(json.dumps({"id": "1", "object": "chat.completion", "choices": [choice]}).encode())]


def listed(*models: str) -> bytes:
    """Return the reply with the models."""
    return reply(json.dumps({"object": "list", "data": [{"id": model} for model in models]}).encode())


@contextmanager
def endpoint(answer: Answer = talk, tls: ssl.SSLContext | None = None) -> Iterator[Endpoint]:
    """Run an endpoint, with TLS if there is a context for it."""
    here, loop = Endpoint(answer=answer), asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(lambda r, w: _connected(here, r, w), "127.0.0.1", 0, ssl=tls))
    here.url = f"http{'s' if tls else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield here
    finally:
        asyncio.run_coroutine_threadsafe(_closed(server), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _closed(server: asyncio.Server) -> None:
    server.close()
    for _ in range(3):  # what is being accepted is a connection by then
        await asyncio.sleep(0)
    own = asyncio.current_task()
    tasks = [task for task in asyncio.all_tasks() if task is not own]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _connected(here: Endpoint, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    here.connections += 1
    with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
        while True:
            asked = await read(reader)
            here.asked.append(asked)
            if not await _act(here, here.answer(asked), reader, writer):
                break
    writer.close()


async def read(reader: asyncio.StreamReader) -> Asked:
    """Return the next request of a connection."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = lines[0].split(" ")
    head = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)}
    return Asked(method, path, head, await reader.readexactly(int(head.get("content-length", "0"))))


async def _act(here: Endpoint, script: Script, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Carry out a script; return whether the connection stays open."""
    for step in script:
        if step is Act.CLOSE:
            return False
        if step is Act.HANG:
            await reader.read()
            here.left.release()
            return False
        assert isinstance(step, bytes)
        writer.write(step)
        await writer.drain()
    return True
