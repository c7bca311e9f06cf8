"""Records → figures: distributions of what succeeded, rates, and the window in which the load was whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from tritonrepo.bench.figures import Distribution, Figures, Goodput, Slo, distribution
from tritonrepo.bench.load import Load, Shape
from tritonrepo.bench.record import Record, Source

MOST_FAILED = 0.01
"""Share of failed requests above which figures say nothing of a server that works."""
BOUND = 0.05
"""Share of what is measured that the client's own delay may be."""
AGAINST = ("itl", "tpot", "ttft", "latency")
"""What it is held against: the first of these that was measured."""
PIECE_BYTES = 110
"""Memory of a piece of an answer, of which a load keeps all; a record without pieces takes about 260."""
WORST_REASONS = 20
"""Reasons of failure that are counted each; the others are counted together."""


class Interval(NamedTuple):
    """A time from `start_s`, which is outside, to `end_s`, which is inside."""

    start_s: float
    end_s: float

    @property
    def length_s(self) -> float:
        """Its length in seconds."""
        return self.end_s - self.start_s

    def holds(self, at_s: float) -> bool:
        """Whether a moment is in it."""
        return self.start_s < at_s <= self.end_s

    def overlap_s(self, start_s: float, end_s: float) -> float:
        """Return how much of another interval lies in it, in seconds."""
        return max(0.0, min(self.end_s, end_s) - max(self.start_s, start_s))


class _Part(NamedTuple):
    """The requests of one repeat that are measured, and when it lasted and was whole."""

    sent: tuple[Record, ...]
    whole: Interval
    steady: Interval | None

    @property
    def watched(self) -> Interval:
        """The time over which means are taken."""
        return self.steady or self.whole


def figures(records: Sequence[Record], lags_s: Sequence[float], slo: Slo | None) -> Figures:
    """Return the figures of records, those of several repeats together; requests of a warm-up are passed over.

    The durations of repeats are added up. `steady_s` of several repeats is from the first window's start to the last
    one's end, and what lies between two windows is in no rate and in no mean.
    """
    parts = _parts(records)
    sent = [record for part in parts for record in part.sent]
    done = [record for record in sent if record.ok]
    duration_s = sum(part.whole.length_s for part in parts)
    steady = [part.steady for part in parts if part.steady is not None]
    steady_s = sum(window.length_s for window in steady)
    inside = [(part.steady, record) for part in parts if part.steady for record in part.sent if record.ok]
    streams = any(record.ttft_s is not None for record in done)
    counted = [record.answer_tokens for record in done if record.answer_tokens is not None]
    read = [record.prompt_tokens for record in done if record.prompt_tokens is not None]
    arrived = sum(_arrived(record, window) for window, record in inside)
    return Figures(
        sent=len(sent),
        succeeded=len(done),
        errors=_errors(sent),
        duration_s=duration_s,
        steady_s=(steady[0].start_s, steady[-1].end_s) if steady else None,
        in_flight=_mean(parts, _in_flight),
        decoding=_mean(parts, _decoding) if streams else None,
        requests_per_s=_rate(len(done), duration_s),
        items_per_s=_rate(sum(record.items for record in done), duration_s),
        steady_requests_per_s=(
            _rate(sum(1 for window, record in inside if window.holds(record.ended_s)), steady_s) if steady else None
        ),
        output_tokens_per_s=_rate(sum(counted), duration_s) if counted else None,
        steady_output_tokens_per_s=_rate(arrived, steady_s) if steady and counted else None,
        input_tokens_per_s=_rate(sum(read), duration_s) if read else None,
        tokens_from=_tokens_from(done),
        ttft_ms=_milliseconds(record.ttft_s for record in done),
        itl_ms=_milliseconds(record.itl_s for record in done),
        tpot_ms=_milliseconds(record.tpot_s for record in done),
        chunk_ms=_milliseconds(gap for record in done if record.streamed for gap in record.gaps_s),
        latency_ms=_milliseconds(record.latency_s for record in done),
        queued_ms=_milliseconds(record.queued_s for record in done),
        input_tokens=distribution([float(tokens) for tokens in read]),
        output_tokens=distribution([float(tokens) for tokens in counted]),
        lag_ms=_milliseconds(lags_s),
        empty_first=sum(record.empty_before > 0 for record in done),
        single=sum(_single(record) for record in done),
        goodput=_goodput(sent, slo, duration_s) if slo else None,
    )


def client_bound(measured: Figures, load: Load) -> bool:
    """Whether the client was too slow for what it measures."""
    return late(measured) or idle(measured, load)


def idle(measured: Figures, load: Load) -> bool:
    """Whether a closed loop left 5 % of its places unused, since the client was late to send the next requests."""
    if load.shape is not Shape.CLOSED or measured.steady_s is None or too_many_failed(measured):
        return False
    return measured.in_flight <= (1 - BOUND) * (load.concurrency or 1)


def late(measured: Figures) -> bool:
    """Whether the client's own loop was late by 5 % of what it measures, so that the figures are partly its own.

    The 99th percentile of its delays (the largest under 100 of them) against the median of what was measured.
    """
    lag = measured.lag_ms
    found: list[Distribution | None] = [getattr(measured, f"{name}_ms") for name in AGAINST]
    against = next((each for each in found if each is not None), None)
    if lag is None or against is None:
        return False
    return (lag.most if lag.p99 is None else lag.p99) >= BOUND * against.p50


def too_many_failed(measured: Figures) -> bool:
    """Whether more than 1 % of the requests failed, or nothing succeeded at all."""
    return not measured.succeeded or measured.sent - measured.succeeded > MOST_FAILED * measured.sent


def value_ms(record: Record, metric: str) -> float | None:
    """Return a metric of an SLO (ttft, itl, tpot or latency) of a request in milliseconds; None if it has none."""
    value_s = {
        "ttft": record.ttft_s,
        "itl": record.itl_s,
        "tpot": record.tpot_s,
        "latency": record.latency_s,
    }[metric]
    return None if value_s is None else value_s * 1000


def good(record: Record, slo: Slo) -> bool:
    """Whether a request succeeded and kept every limit.

    An answer that came whole with its first text has no time between tokens, and a limit on it is not judged, as in
    vLLM's `bench serve`, where its TPOT is 0. Any other value that a request lacks keeps no limit.
    """
    return record.ok and all(_keeps(record, metric, most_ms) for metric, most_ms in slo.most_ms.items())


def _keeps(record: Record, metric: str, most_ms: float) -> bool:
    found_ms = value_ms(record, metric)
    if found_ms is not None:
        return found_ms <= most_ms
    return metric in {"itl", "tpot"} and record.ttft_s is not None and record.answer_tokens is not None


def _goodput(sent: Sequence[Record], slo: Slo, duration_s: float) -> Goodput | None:
    """Return the goodput; None if a limit is on something that no answer has, such as the first token of a vector."""
    done = [record for record in sent if record.ok]
    if any(done and all(value_ms(record, metric) is None for record in done) for metric in slo.most_ms):
        return None
    kept = [record for record in done if good(record, slo)]
    counted = any(record.answer_tokens is not None for record in done)
    tokens = sum(record.answer_tokens or 0 for record in kept)
    return Goodput(
        slo,
        len(kept),
        len(kept) / len(sent) if sent else 0.0,
        _rate(len(kept), duration_s),
        _rate(tokens, duration_s) if counted else None,
    )


def _parts(records: Sequence[Record]) -> list[_Part]:
    measured = sorted((record for record in records if not record.warm_up), key=attrgetter("repeat", "sent_s"))
    return [_part(tuple(each)) for _, each in groupby(measured, key=attrgetter("repeat"))]


def _part(sent: tuple[Record, ...]) -> _Part:
    whole = Interval(sent[0].sent_s, max(record.ended_s for record in sent))
    return _Part(sent, whole, _steady(sent))


def _steady(sent: Sequence[Record]) -> Interval | None:
    """Return the window in which the load was whole.

    The requests that were sent before the first answer are the first of the load: in a closed loop one for each that
    is in flight. It begins when all of them have ended, and if that leaves less than half of the time of sending, when
    the last of them was sent. It ends with the last request.
    """
    first_s = min((record.ended_s for record in sent if record.ok), default=None)
    if first_s is None:
        return None
    early = [record for record in sent if record.sent_s < first_s]
    if not early:
        return None
    begun_s, answered_s, end_s = early[-1].sent_s, max(record.ended_s for record in early), sent[-1].sent_s
    start_s = answered_s if end_s - answered_s >= (end_s - begun_s) / 2 else begun_s
    return Interval(start_s, end_s) if end_s > start_s else None


def _errors(sent: Sequence[Record]) -> dict[str, int]:
    found = Counter(record.error for record in sent if not record.ok).most_common()
    named = dict(found[:WORST_REASONS])
    if rest := found[WORST_REASONS:]:
        named[f"{len(rest)} other reasons"] = sum(times for _, times in rest)
    return named


def _in_flight(record: Record, window: Interval) -> float:
    return window.overlap_s(record.sent_s, record.ended_s)


def _decoding(record: Record, window: Interval) -> float:
    if not record.pieces or not record.streamed:
        return 0.0
    return window.overlap_s(record.pieces[0].at_s, record.pieces[-1].at_s)


def _mean(parts: Sequence[_Part], time_s: Callable[[Record, Interval], float]) -> float:
    length_s = sum(part.watched.length_s for part in parts)
    return _rate(sum(time_s(record, part.watched) for part in parts for record in part.sent), length_s)


def _arrived(record: Record, window: Interval) -> float:
    """Return how many tokens of an answer came within a window.

    Tokens that the server does not count for each piece are shared out by the pieces' characters.
    """
    if record.answer_tokens is None or not window.overlap_s(record.sent_s, record.ended_s):
        return 0.0
    if not record.pieces:
        return record.answer_tokens * window.holds(record.ended_s)
    weights = _weights(record)
    arrived = [weight for weight, piece in zip(weights, record.pieces, strict=True) if window.holds(piece.at_s)]
    return record.answer_tokens * sum(arrived) / sum(weights)


def _weights(record: Record) -> Sequence[int]:
    counted = [piece.tokens for piece in record.pieces if piece.tokens is not None]
    if len(counted) == len(record.pieces) and any(counted):
        return counted
    characters = [piece.characters for piece in record.pieces]
    return characters if any(characters) else [1] * len(characters)


def _tokens_from(done: Sequence[Record]) -> str:
    """Return who counted the tokens, with the number of requests if several did."""
    found = Counter(record.source for record in done).most_common()
    if not found:
        return Source.NOBODY.value
    return found[0][0].value if len(found) == 1 else ", ".join(f"{source} ({times})" for source, times in found)


def _single(record: Record) -> bool:
    return record.streamed and record.answer_tokens is not None and record.answer_tokens <= 1


def _milliseconds(values_s: Iterable[float | None]) -> Distribution | None:
    return distribution(list(_known_ms(values_s)))


def _known_ms(values_s: Iterable[float | None]) -> Iterator[float]:
    return (value_s * 1000 for value_s in values_s if value_s is not None)


def _rate(count: float, duration_s: float) -> float:
    return count / duration_s if duration_s > 0 else 0.0
