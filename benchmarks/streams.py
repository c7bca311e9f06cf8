"""Measure streams of the example's answers: `python -m benchmarks.streams [STREAMS]` (50 without a number).

The example is built so that its answers have sources, and served on this machine's CPU; an echo of the prompt stands in
for the generator, with 5 ms per token. Printed are the medians, in milliseconds, of the first token of the generator
alone, of a whole search, and of the sources and the first token of `rag`, one request at a time; how many streams end
when as many run at once; and how soon an answer begins after as many clients left theirs. Exit status 1 if the first
token of `rag` takes more than 50 ms longer than those of the generator and a search together, or a stream does not end.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from tritonrepo import api

EXAMPLE = Path(__file__).parent.parent / "examples" / "models" / "rag"
QUESTION = "How do I roll a model back?"
ROUNDS = 30
BUDGET_MS = 50
LEAVE_AFTER = 3
SAMPLING = json.dumps({"max_tokens": 32, "ignore_eos": True})
LONG = json.dumps({"max_tokens": 400, "ignore_eos": True})


def built(place: Path, work: api.Workspace) -> Path:
    """Build the example, whose answers have their sources."""
    stack = shutil.copytree(EXAMPLE, place / "rag") / "tritonrepo.yaml"
    text, count = re.subn(r"outputs: \[answer[^]]*\]", "outputs: [answer, sources]", stack.read_text("utf-8"))
    assert count == 1
    stack.write_text(text, "utf-8")
    api.apply_build(api.plan_build(api.load([stack], work), place / "models"))
    return place / "models"


class Asking:
    """A client of one server."""

    def __init__(self, url: str) -> None:
        self.url = url

    def events(self, model: str, body: object) -> Generator[dict[str, Any], None, None]:
        """Yield the events of a stream; its end closes the connection."""
        request = urllib.request.Request(f"{self.url}/v2/models/{model}/generate_stream", json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=120) as response:
            for line in response:
                if line.startswith(b"data: "):
                    event: dict[str, Any] = json.loads(line[len(b"data: ") :])
                    if "error" in event:
                        raise RuntimeError(event["error"])
                    yield event

    def rag(self, sampling: str = SAMPLING, question: str = QUESTION) -> Generator[dict[str, Any], None, None]:
        """Yield the events of an answer."""
        return self.events("rag", {"query": question, "stream": True, "sampling_parameters": sampling})

    def search(self) -> None:
        """Search once."""
        body = json.dumps({"query": QUESTION}).encode()
        with urllib.request.urlopen(f"{self.url}/v2/models/search/generate", body, timeout=120) as response:
            response.read()

    def whole(self, number: int) -> tuple[int, int]:
        """Return how many responses with sources and with text a stream has."""
        found = [*self.rag(question=f"How do I roll model {number} back?")]
        return sum("sources" in event for event in found), sum("answer" in event for event in found)

    def leave(self) -> int:
        """Leave a long answer after a few tokens; return how many arrived."""
        with closing(self.rag(LONG)) as events:
            return sum(1 for _, event in zip(range(LEAVE_AFTER + 1), events) if "answer" in event)  # noqa: B905


def first(events: Iterator[dict[str, Any]], key: str) -> None:
    """Read a stream up to the first event with this key."""
    next(event for event in events if key in event)


def begun(client: Asking, key: str) -> None:
    """Read an answer up to its sources or its first token."""
    first(client.rag(), key)


def median_ms(act: Callable[[], object]) -> float:
    """Return the median time of an act, in milliseconds."""
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        act()
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


def measured(client: Asking, streams: int) -> bool:
    """Print the measurements, and return whether they keep to the budget."""
    prompt = {"text_input": "word " * 300, "stream": True, "sampling_parameters": SAMPLING}
    alone = median_ms(lambda: first(client.events("generator", prompt), "text_output"))
    search = median_ms(client.search)
    rag, sources = (median_ms(partial(begun, client, key)) for key in ("answer", "sources"))
    limit = alone + search + BUDGET_MS
    print(f"first token of the generator {alone:.1f} ms, a search {search:.1f} ms")
    print(f"rag: sources after {sources:.1f} ms, first token after {rag:.1f} ms; the limit is {limit:.1f} ms")
    with ThreadPoolExecutor(streams) as pool:
        began = time.perf_counter()
        found = [*pool.map(client.whole, range(streams))]
        took = time.perf_counter() - began
        left = [*pool.map(lambda _: client.leave(), range(streams))]
    ended, soon = found.count((1, 32)), median_ms(partial(begun, client, "answer"))
    print(f"{ended} of {streams} streams at once ended with their sources and 32 tokens, in {took:.1f} s")
    print(f"after {len(left)} clients left answers of 400 tokens, the first token of the next ones took {soon:.1f} ms")
    return rag <= limit and ended == streams


def main(streams: int) -> int:
    """Serve the example and measure it."""
    work = api.Workspace(os.environ)
    with tempfile.TemporaryDirectory() as place:
        options = api.ServeOptions(api.Ports(0, 0, 0), engine="script")
        with api.serve(built(Path(place), work), options, work) as server:
            first(Asking(server.http).rag(), "answer")
            return 0 if measured(Asking(server.http), streams) else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else 50))
