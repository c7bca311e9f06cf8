"""Requests one by one, as lines of JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from tritonrepo.bench.record import Record
from tritonrepo.bench.result import Result
from tritonrepo.plain import escaped, hidden
from tritonrepo.report.bench.shown import at

PLACES = 4
"""Decimals of a millisecond: a tenth of a microsecond, below what a clock is read for."""


def lines(result: Result, records: Sequence[Record], number: int = 0) -> Iterator[str]:
    """Yield a line of JSON for each request; `number` is the place of the result among those of the document.

    Times are in milliseconds: `sent_ms` since the start of the run, the others since the request was sent. What does
    not exist is null. An error is shown without passwords of URLs in it.
    """
    for record in records:
        said = {
            "result": number,
            "target": hidden(result.target),
            "load": at(result.load),
            "number": record.number,
            "repeat": record.repeat,
            "warm_up": record.warm_up,
            "ok": record.ok,
            "due_ms": _ms(record.due_s),
            "sent_ms": _ms(record.sent_s),
            "ended_ms": _ms(record.ended_s - record.sent_s),
            "queued_ms": _ms(record.queued_s),
            "ttft_ms": _ms(record.ttft_s),
            "latency_ms": _ms(record.latency_s),
            "itl_ms": _ms(record.itl_s),
            "tpot_ms": _ms(record.tpot_s),
            "prompt_tokens": record.prompt_tokens,
            "answer_tokens": record.answer_tokens,
            "tokens_from": str(record.source),
            "items": record.items,
            "streamed": record.streamed,
            "chunks_ms": [_ms(piece.at_s - record.sent_s) for piece in record.pieces],
            "chunk_tokens": [piece.tokens for piece in record.pieces],
            "empty_before": record.empty_before,
            "empty": record.empty,
            "finish": record.finish,
            "status": record.status,
            "error": hidden(record.error),
        }
        yield escaped(json.dumps(said, ensure_ascii=True))


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(1000 * seconds, PLACES)
