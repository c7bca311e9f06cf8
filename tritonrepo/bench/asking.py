"""What a load needs of a client, whatever the protocol."""

from __future__ import annotations

from typing import Protocol, Self

from tritonrepo.bench.load import Prompt
from tritonrepo.bench.record import Record


class Client(Protocol):
    """A connection to one target, within one event loop."""

    @property
    def limits(self) -> bool:
        """Whether requests say how long an answer may be, which is known once it is connected."""

    async def __aenter__(self) -> Self:
        """Connect."""

    async def __aexit__(self, *_: object) -> None:
        """Disconnect; what is unanswered is left."""

    async def ask(self, prompt: Prompt) -> Record:
        """Return the record of one request, its times on `time.perf_counter`, its number 0.

        Whatever a server does, and a network, is the record's `error`; nothing is raised for it.
        """
