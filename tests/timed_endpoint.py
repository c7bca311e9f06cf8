"""An endpoint with OpenAI's API that answers at known times, in a process of its own, and notes when it sent what.

The last message of a request is the schedule of its answer, as JSON. All times are on `time.perf_counter`, which is the
same clock for all processes of a Linux machine (CLOCK_MONOTONIC). `python -m tests.timed_endpoint` runs one, prints
its URL, and ends with its standard input; GET /sent gives the notes.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.openai_endpoint import DONE, HEAD, LAST, Asked, delta, event, listed, read, refusal, reply

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Schedule:
    """When which pieces are sent: the first text after `first_s`, later ones after `gap_s` times the turn of each.

    `bundle` are the tokens of the pieces, the last of which repeats. `empty`: an empty piece is sent at once. `end`:
    the answer is done, cut off, ends with an error, or stalls. `usage`: tokens are counted with each piece, at the
    end, or never.
    """

    id: int = 0
    pieces: int = 4
    first_s: float = 0.0
    gap_s: float = 0.0
    turns: tuple[float, ...] = (1.0,)
    bundle: tuple[int, ...] = (1,)
    empty: bool = True
    end: str = "done"
    usage: str = "each"

    def tokens(self, number: int) -> int:
        """Return how many tokens a piece has."""
        return self.bundle[min(number, len(self.bundle) - 1)]

    def pause_s(self, number: int) -> float:
        """Return how long nothing is sent before a piece."""
        return self.gap_s * self.turns[(number - 1) % len(self.turns)] if number else self.first_s

    @property
    def total(self) -> int:
        """The tokens of the whole answer."""
        return sum(map(self.tokens, range(self.pieces)))

    def text(self) -> str:
        """Return it as the text of a prompt."""
        return json.dumps(asdict(self))


def schedule(text: str) -> Schedule:
    """Return the schedule that a text is."""
    told: dict[str, Any] = json.loads(text)
    return Schedule(**{**told, "turns": tuple(told["turns"]), "bundle": tuple(told["bundle"])})


class Notes:
    """What was sent when: id of a request → when it was read, and when each of its pieces with text was sent."""

    def __init__(self) -> None:
        self.read: dict[int, float] = {}
        self.sent: dict[int, list[float]] = {}

    async def answer(self, asked: Asked, writer: asyncio.StreamWriter) -> bool:
        """Answer a request; return whether the connection stays open."""
        if asked.method == "GET":
            notes = {"read": self.read, "sent": self.sent}
            writer.write(reply(json.dumps(notes).encode()) if asked.path == "/sent" else listed("timed"))
            return True
        try:
            wanted = schedule(asked.text)
        except (KeyError, TypeError, ValueError) as error:
            writer.write(refusal(400, f"this is not a schedule: {error!r}"))
            return True
        self.read[wanted.id], self.sent[wanted.id] = time.perf_counter(), []
        return await self._stream(wanted, writer)

    async def _stream(self, wanted: Schedule, writer: asyncio.StreamWriter) -> bool:
        counted, due_s = 0, time.perf_counter()
        first = event(told(delta(role="assistant", content=""), wanted, 0))
        writer.write(HEAD + (first if wanted.empty else b""))
        for number in range(wanted.pieces):
            due_s += wanted.pause_s(number)
            counted += wanted.tokens(number)
            content = event(told(delta(content="word " * wanted.tokens(number)), wanted, counted))
            await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
            self.sent[wanted.id].append(time.perf_counter())
            writer.write(content)
        if wanted.end == "stall":
            await asyncio.Event().wait()
        if wanted.end == "error":
            writer.write(event({"error": {"message": "it failed", "code": 500}}) + event(DONE) + LAST)
            return True
        if wanted.end == "cut":
            return False
        counts = {"prompt_tokens": 3, "completion_tokens": counted, "total_tokens": counted + 3}
        usage = b"" if wanted.usage == "never" else event({"choices": [], "usage": counts})
        writer.write(event(told(delta("length"), wanted, counted)) + usage + event(DONE) + LAST)
        return True


def told(piece: dict[str, Any], wanted: Schedule, counted: int) -> dict[str, Any]:
    """Return the data of an event, with the tokens so far if they are counted with each piece."""
    return {**piece, "usage": {"prompt_tokens": 3, "completion_tokens": counted}} if wanted.usage == "each" else piece


async def _serve() -> None:
    notes = Notes()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while await notes.answer(await read(reader), writer):
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=1 << 20)
    sys.stdout.write(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)


@contextmanager
def timed() -> Iterator[str]:
    """Run an endpoint in a process of its own and yield its URL."""
    command = [sys.executable, "-m", "tests.timed_endpoint"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()
            process.wait(10)


def notes(url: str) -> tuple[dict[int, float], dict[int, list[float]]]:
    """Return when an endpoint read each request, and when it sent each piece of its answer."""
    with urllib.request.urlopen(f"{url}/sent", timeout=30) as response:
        said = json.load(response)
    return ({int(n): at for n, at in said["read"].items()}, {int(n): list(at) for n, at in said["sent"].items()})


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve())
