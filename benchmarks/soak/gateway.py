"""Many clients of a gateway at once: `python -m benchmarks.soak.gateway URL [--clients 50] [--seconds 60] [--seed 1]`.

URL is that of a gateway over the example, served with the engine `script`. Each client does one thing after the other,
chosen at random, with the official client of OpenAI: it reads an answer to its end, leaves in the middle of one, embeds
texts, ranks documents, or sends what must be refused. Printed are how often each was done, the errors, and the time to
the first text. Exit status 1 if something else than expected comes back, if a response takes longer than a minute, or
if the gateway still counts a request in the end.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Awaitable, Callable
from statistics import quantiles
from typing import Any

import openai

WAIT_S = 60
DOCUMENTS = [f"document {number} about {subject}" for number in range(3) for subject in ("cats", "models", "versions")]


class Client:
    """One client, and what it saw."""

    def __init__(self, url: str, chance: random.Random, seen: Counter[str], firsts: list[float]) -> None:
        self.client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=WAIT_S)
        self.chance, self.seen, self.firsts = chance, seen, firsts

    async def run(self, until: float) -> None:
        """Do one thing after the other."""
        while time.monotonic() < until:
            work = self.chance.choice([self.read, self.read, self.leave, self.embed, self.rank, self.wrong])
            await self.counted(work)
        await self.client.close()

    async def counted(self, work: Callable[[], Awaitable[bool]]) -> None:
        """Count what a work comes to."""
        name = getattr(work, "__name__", "")
        try:
            self.seen[name if await work() else f"{name}: not as expected"] += 1
        except Exception as error:  # noqa: BLE001  whatever a client meets is counted
            self.seen[f"{name}: {type(error).__name__}: {error}"] += 1

    async def stream(self, limit: int) -> Any:  # noqa: ANN401  one of two types
        """Begin an answer."""
        model = self.chance.choice(["rag", "generator"])
        turn: Any = {"role": "user", "content": "How do I roll a model back?"}
        return await self.client.chat.completions.create(model=model, messages=[turn], max_tokens=limit, stream=True)

    async def read(self) -> bool:
        """Read an answer to its end."""
        began, count, last = time.monotonic(), 0, None
        async for chunk in await self.stream(20):
            if chunk.choices[0].delta.content and not count:
                self.firsts.append(time.monotonic() - began)
            count += bool(chunk.choices[0].delta.content)
            last = chunk.choices[0].finish_reason
        return (count, last) in {(20, "stop"), (20, "length")}

    async def leave(self) -> bool:
        """Leave in the middle of an answer."""
        stream = await self.stream(1000)
        for _ in range(self.chance.randrange(1, 5)):
            await anext(stream)
        await stream.close()
        return True

    async def embed(self) -> bool:
        """Embed a few texts."""
        texts = ["some text"] * self.chance.randrange(1, 9)
        found = await self.client.embeddings.create(model="embedder-passage", input=texts)
        counted = found.usage.total_tokens == 4 * len(texts)  # two words, and the special tokens around them
        return counted and [len(each.embedding) for each in found.data] == [384] * len(texts)

    async def rank(self) -> bool:
        """Rank documents."""
        body = {"model": "reranker", "query": "versions of models", "documents": DOCUMENTS}
        found: Any = await self.client.post("/rerank", body=body, cast_to=object)
        return sorted(each["index"] for each in found["results"]) == [*range(len(DOCUMENTS))]

    async def wrong(self) -> bool:
        """Send what must be refused."""
        turn: Any = {"role": "user", "content": "x"}
        more: Any = self.chance.choice([{"n": 2}, {"temperature": -1}, {"max_tokens": 1 << 20}, {"messages": []}])
        try:
            await self.client.chat.completions.create(**{"model": "rag", "messages": [turn], "stream": True, **more})
        except openai.BadRequestError:
            return True
        return False


async def soak(url: str, clients: int, seconds: float, seed: int) -> bool:
    """Run the clients and print what they saw; return whether all was as expected."""
    seen: Counter[str] = Counter()
    firsts: list[float] = []
    until = time.monotonic() + seconds
    await asyncio.gather(
        *(Client(url, random.Random(seed + number), seen, firsts).run(until) for number in range(clients))
    )
    for name, count in seen.most_common(20):
        print(f"{count:6} {name}")
    cuts = quantiles(firsts, n=20)
    print(f"time to the first text: {cuts[9]:.2f} s at p50, {cuts[18]:.2f} s at p95")
    return seen.keys() <= {"read", "leave", "embed", "rank", "wrong"} and await idle(url)


async def idle(url: str) -> bool:
    """Return whether the gateway counts no request any more, which it may do for a moment."""
    left = ""
    for _ in range(50):
        with urllib.request.urlopen(f"{url}/metrics") as response:
            text = response.read().decode()
        left = next(line for line in text.splitlines() if line.startswith("tritonrepo_gateway_in_flight"))
        if left.endswith(" 0"):
            break
        await asyncio.sleep(0.1)
    print(left)
    return left.endswith(" 0")


def main() -> int:
    """Read the options and run the clients."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    good = asyncio.run(soak(given.url.rstrip("/"), given.clients, given.seconds, given.seed))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
