"""Requests one by one, from the lines that `bench --records` has written."""

from __future__ import annotations

import json
from typing import Any

from tritonrepo.bench.record import Piece, Record, Source
from tritonrepo.diagnostics import Span, Stop, fatal

RULE = "bench-records"
LONGEST_MS = 1e12
"""Most milliseconds that are believed: 31 years."""


def records(text: str, path: str) -> dict[int, tuple[Record, ...]]:
    """Return the records of each result, by its place in the document; raise Stop for a line that is not a record.

    Times are those of the file, rounded as they are there; how many characters a chunk had is not in it.
    """
    found: dict[int, list[Record]] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            place, record = _read(line, Span(path, number))
            found.setdefault(place, []).append(record)
    return {place: tuple(each) for place, each in found.items()}


def _read(line: str, at: Span) -> tuple[int, Record]:
    try:
        data = json.loads(line)
        return _whole(data["result"]), _record(data)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, OverflowError) as error:
        raise _not_one(at, f"{type(error).__name__}: {error}") from None


def _record(data: dict[str, Any]) -> Record:
    sent_s = _seconds(data["sent_ms"])
    chunks = [*zip(data["chunks_ms"], data["chunk_tokens"], strict=True)]
    return Record(
        _whole(data["number"]),
        sent_s,
        sent_s + _seconds(data["ended_ms"]),
        tuple(Piece(sent_s + _seconds(at), 0, tokens) for at, tokens in chunks),
        due_s=None if data["due_ms"] is None else _seconds(data["due_ms"]),
        prompt_tokens=data["prompt_tokens"],
        answer_tokens=data["answer_tokens"],
        source=Source(data["tokens_from"]),
        items=_whole(data["items"]),
        error=str(data["error"]) or ("" if data["ok"] else "failed"),
        status=str(data["status"]),
        finish=str(data["finish"]),
        streamed=bool(data["streamed"]),
        warm_up=bool(data["warm_up"]),
        repeat=_whole(data["repeat"]),
    )


def _whole(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise ValueError(f"a whole number is needed, not {value!r:.40}")


def _seconds(value: object) -> float:
    """Return milliseconds in seconds."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LONGEST_MS:
        return value / 1000
    raise ValueError(f"a number of milliseconds is needed, not {value!r:.40}")


def _not_one(at: Span, why: str) -> Stop:
    message = f"this line is not a request of `tritonrepo bench`: {why:.200}"
    return fatal(RULE, at, message, "Use a file that `--records` has written.")
