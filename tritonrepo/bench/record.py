"""One request as the client saw it, and the times that follow from it.

Definitions: aiperf's, where it and vLLM's `bench serve` differ, apart from the first token: that is the first text that
is not empty (aiperf, src/aiperf/metrics/types; vLLM, vllm/benchmarks/serve.py and lib/endpoint_request_func.py).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple


class Source(StrEnum):
    """Who counted tokens."""

    SERVER = "server"
    TOKENIZER = "tokenizer"
    NOBODY = "nobody"


class Piece(NamedTuple):
    """A message with text, or a whole answer: when it arrived, its characters, its tokens if the server says.

    `at_s` is in seconds on the clock of the record.
    """

    at_s: float
    characters: int
    tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """One request; times in seconds since the start of the run, on one clock that never goes back.

    `due_s` is when the load wanted it to be sent, None in a closed loop. `sent_s` is just before its first byte,
    `ended_s` when the response was complete. `pieces` are the messages with text; of a model without a text, the one
    response. `empty_before` counts the messages before the first text, `empty` all that have none. `items` is the
    number of texts embedded or documents ranked, 1 for others. `error` says why it failed, and `status` as what: an
    HTTP status or the name of gRPC's. `finish` is the reason that the server gives for the end. `streamed`: the answer
    came, or could have come, in pieces.
    """

    number: int
    sent_s: float
    ended_s: float
    pieces: tuple[Piece, ...] = ()
    due_s: float | None = None
    empty_before: int = 0
    empty: int = 0
    prompt_tokens: int | None = None
    answer_tokens: int | None = None
    source: Source = Source.NOBODY
    items: int = 1
    error: str = ""
    status: str = ""
    finish: str = ""
    streamed: bool = True
    warm_up: bool = False
    repeat: int = 0

    @property
    def ok(self) -> bool:
        """Whether it was answered, and to the end."""
        return not self.error

    @property
    def ttft_s(self) -> float | None:
        """Time to the first text that is not empty; None without one, or if the answer does not stream."""
        return self.pieces[0].at_s - self.sent_s if self.pieces and self.streamed else None

    @property
    def latency_s(self) -> float:
        """Time to the last text that is not empty; what follows it, such as a count of tokens, is not part of it."""
        return (self.pieces[-1].at_s if self.pieces else self.ended_s) - self.sent_s

    @property
    def tpot_s(self) -> float | None:
        """Time per output token after the first, as vLLM's: (latency - TTFT) / (tokens - 1); None for one token."""
        return self._per_token(1)

    @property
    def itl_s(self) -> float | None:
        """Inter-token latency, as aiperf's: (latency - TTFT) / (tokens - tokens of the first piece).

        If nobody says how many tokens the first piece has, it counts as one. None if no token came after it.
        """
        return self._per_token((self.pieces[0].tokens or 1) if self.pieces else 1)

    def _per_token(self, first: int) -> float | None:
        ttft_s, tokens = self.ttft_s, self.answer_tokens
        return (
            None
            if ttft_s is None or tokens is None or tokens <= first
            else (self.latency_s - ttft_s) / (tokens - first)
        )

    @property
    def gaps_s(self) -> tuple[float, ...]:
        """Times between its pieces, which may hold several tokens each: inter-chunk latency."""
        times = [piece.at_s for piece in self.pieces]
        return tuple(later - earlier for earlier, later in pairwise(times))

    @property
    def queued_s(self) -> float | None:
        """How long it waited in the client, for a place in flight and for a connection; None in a closed loop."""
        return None if self.due_s is None else max(0.0, self.sent_s - self.due_s)


def moved(record: Record, start_s: float) -> Record:
    """Return a record whose times count from another moment."""
    due_s = None if record.due_s is None else record.due_s - start_s
    pieces = tuple(piece._replace(at_s=piece.at_s - start_s) for piece in record.pieces)
    return replace(record, sent_s=record.sent_s - start_s, ended_s=record.ended_s - start_s, due_s=due_s, pieces=pieces)
