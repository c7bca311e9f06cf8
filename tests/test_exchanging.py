"""Connections of who measures: what arrives at the same instant on many of them."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.wires import arrive
from tritonrepo.server.endpoint import Endpoint
from tritonrepo.server.exchanging import Wire, Wires


@asynccontextmanager
async def connected(count: int) -> AsyncIterator[list[tuple[Wire, socket.socket]]]:
    """Yield connections, each with the server's end of it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        wires = Wires(Endpoint(f"http://127.0.0.1:{listener.getsockname()[1]}"))
        found: list[tuple[Wire, socket.socket]] = []
        try:
            for _ in range(count):
                wire = await wires.take()
                found.append((wire, listener.accept()[0]))
            yield found
        finally:
            await wires.close()
            for _, peer in found:
                peer.close()


def test_what_arrives_while_a_task_works_waits_for_no_other_task() -> None:
    async def work() -> tuple[float, list[float]]:
        began: list[float] = []
        async with connected(4) as (*ends, (late, sender)):

            async def answer(wire: Wire) -> None:
                assert [part.content for part in await wire.arrived()] == [b"early"]
                began.append(time.perf_counter())
                if len(began) == 1:
                    sender.send(b"late")
                time.sleep(0.002)

            tasks = [asyncio.create_task(answer(wire)) for wire, _ in ends]
            await asyncio.sleep(0)  # all of them wait
            for _, peer in ends:
                peer.send(b"early")
            await asyncio.gather(*tasks)
            (part,) = await late.arrived()
            return part.at_s, began

    noted, began = asyncio.run(work())
    assert began[0] < noted < began[1]


def test_a_task_that_no_longer_waits_holds_up_no_other() -> None:
    async def work() -> list[bytes]:
        async with connected(3) as ends:
            waiting = [asyncio.create_task(wire.arrived()) for wire, _ in ends]
            await asyncio.sleep(0)
            for (wire, _), content in zip(ends, (b"one", b"two", b"three"), strict=True):
                arrive(wire, content)
            waiting[1].cancel()
            done, _ = await asyncio.wait(waiting, timeout=10)
            assert len(done) == len(waiting)
            again = await ends[1][0].arrived()  # what arrived is kept for who waits next
            return [part.content for parts in (waiting[0].result(), again, waiting[2].result()) for part in parts]

    assert asyncio.run(work()) == [b"one", b"two", b"three"]
