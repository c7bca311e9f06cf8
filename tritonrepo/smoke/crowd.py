"""Many requests at the same moment: whether each gets its own response although the server joins them to batches."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from tritonrepo.diagnostics import Stop
from tritonrepo.smoke.asking import SINGLE, Asking, unasked
from tritonrepo.smoke.case import Answered, Case, Check, Crowd, Flaw, Protocol, Result
from tritonrepo.smoke.pace import still, together

WAVES = 5
"""How often the requests are sent until some have shared a batch: a fast model may answer each before the next."""


class _Wave(NamedTuple):
    """The responses to one wave, and how many requests have shared a batch since the server began, and in it.

    None if the server does not count that.
    """

    answers: Sequence[Answered]
    shared: int | None
    joined: int | None


def run(asking: Asking, crowd: Crowd) -> Iterator[Result]:
    """Yield the single result of a crowd: over gRPC, or over HTTP for streams or without gRPC.

    What is already wrong with a single request is not reported again.
    """
    first = crowd.cases[0]
    request = first.request
    protocol = Protocol.HTTP if first.streamed or asking.connection.rpc is None else Protocol.GRPC
    whole = Case(Check.AT_ONCE, request, first.judge, first.at, f"{len(crowd.cases)} {first.check}")
    if lost := asking.barred(request):
        yield unasked(whole, protocol, lost)
    elif (request.model, request.version) in asking.standing.wrong:
        yield Result(request.model, request.version, Check.AT_ONCE, whole.what, unchecked=SINGLE)
    else:
        yield _asked(asking, crowd, whole, protocol)


def _asked(asking: Asking, crowd: Crowd, whole: Case, protocol: Protocol) -> Result:
    began = time.monotonic()
    wave = _wave(asking, crowd, protocol, _shared(asking, crowd))
    for _ in range(WAVES - 1 if crowd.batched else 0):
        if wave.joined or any(answered.flaws for answered in wave.answers):
            break
        wave = _wave(asking, crowd, protocol, wave.shared)
    ms = round((time.monotonic() - began) * 1000)
    if asking.recorder is not None:
        asking.recorder.crowd(crowd, protocol, wave.answers)
    wrong = _wrong(crowd.cases, wave.answers)
    if wrong is not None:
        case, answered = wrong
        sent = replace(whole, request=case.request, streamed=case.streamed)
        return asking.told(sent, protocol, answered._replace(ms=ms))
    unchecked = ""
    if crowd.batched and not wave.joined:
        why = "no two of them shared a batch" if wave.joined == 0 else "the server does not count its batches"
        unchecked = f"{len(crowd.cases)} requests were sent at once, {WAVES} times, but {why}"
    request = whole.request
    return Result(request.model, request.version, Check.AT_ONCE, whole.what, str(protocol), ms, (), unchecked)


def _wave(asking: Asking, crowd: Crowd, protocol: Protocol, before: int | None) -> _Wave:
    answers = together([partial(asking.answer, case, protocol) for case in crowd.cases])
    after = _shared(asking, crowd)
    return _Wave(answers, after, None if before is None or after is None else after - before)


def _shared(asking: Asking, crowd: Crowd) -> int | None:
    """Return how many more requests than executions this version has had so far; None if unknown, or of no interest."""
    request = crowd.cases[0].request
    try:
        return still(partial(asking.connection.http.shared, request.model, request.version)) if crowd.batched else None
    except Stop:
        return None


def _wrong(cases: Sequence[Case], answers: Sequence[Answered]) -> tuple[Case, Answered] | None:
    """Return the first wrong response; if it is the right one for another request, the flaw says so."""
    wrong = [number for number, answered in enumerate(answers) if answered.flaws]
    if not wrong:
        return None
    first = wrong[0]
    case, answered = cases[first], answers[first]
    others = (other for other in cases if other is not case)
    reply = answered.reply
    theirs = None if not reply.responses else next((o for o in others if not list(o.judge(reply))), None)
    are = "is" if len(wrong) == 1 else "are"
    count = f"{len(wrong)} of {len(cases)} responses {are} wrong; the first, for {case.what}"
    if theirs is None:
        flaws = [flaw._replace(message=f"{count}: {flaw.message}") for flaw in answered.flaws]
    else:
        message = f"{count}, belongs to another request, the one for {theirs.what}"
        expected = next((flaw.expected for flaw in answered.flaws if flaw.expected), f"the response for {case.what}")
        flaws = [Flaw(message, "Check that the model returns each request of a batch its own rows.", expected)]
    return case, answered._replace(flaws=flaws)
