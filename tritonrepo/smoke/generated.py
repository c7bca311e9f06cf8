"""Made-up requests to a model about which nothing else is known: alone, in batches, and with its optional inputs.

Only the model knows which values it accepts. If it refuses one request, another is sent in its place, up to the last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from math import prod

from tritonrepo.server.tensors import Request
from tritonrepo.smoke.case import Answered, Case, Check, Protocol, Result
from tritonrepo.smoke.judge import well_formed
from tritonrepo.smoke.made import ONES, Form, made_up, unsent
from tritonrepo.smoke.served import Served

SIZES = (16, 224)
"""Sizes of a dimension of any size if 1 is refused: what a filter of a convolution fits into, and a usual image."""

WORDS = (b"{}", b"1")
"""Strings if a word is refused: an empty JSON object, and a number; then the names of a few other models."""

BATCH = 8
"""Maximum number of rows in a made-up request."""

LARGEST, MOST = 256 << 20, 8 << 20
"""Maximum size of the inputs of the first made-up request, and of the others, in bytes."""

ADVICE = (
    "If the model refuses made-up values, give it a case in a stack file, or `model_warmup` with dims in its config."
)


def cases(served: Served, words: Sequence[str] = ()) -> Iterator[Case]:
    """Yield the cases: one row, all inputs, two rows, and a full batch; raise ValueError if it is too large.

    `words` are tried as strings if the model refuses others. A sequence has one row (core,
    src/sequence_batch_scheduler/sequence_batch_scheduler.cc).
    """
    if _size(served, ONES) > LARGEST:
        raise ValueError(f"its inputs have more than {LARGEST >> 20} MiB")
    left_out = bool(unsent(served))
    case = partial(_case, served, words)
    yield case(ONES, "", whole=not left_out)
    if left_out and _size(served, Form(whole=True)) <= MOST:
        yield replace(case(Form(whole=True), "all inputs"), guess=True, follows=True)
    if not served.sequential:
        for rows in sorted({2, min(served.max_batch_size, BATCH)}):
            if 1 < rows <= served.max_batch_size and _size(served, Form(rows)) <= MOST:
                yield replace(case(Form(rows), f"a batch of {rows}", whole=not left_out), follows=True)


def others(served: Served, words: Sequence[str] = (), form: Form = ONES) -> tuple[Request, ...]:
    """Return the requests that are tried after the first, in their order."""
    needed = [tensor for tensor in served.inputs if form.whole or not tensor.optional]
    forms = []
    if any(dim < 0 for tensor in needed for dim in tensor.dims):
        forms += [form._replace(size=size) for size in SIZES]
    if any(tensor.datatype == "BYTES" for tensor in needed):
        forms += [form._replace(word=word) for word in (*WORDS, *(word.encode() for word in words))]
    made = [made_up(served, one) for one in forms if _size(served, one) <= MOST]
    if served.stateful and not served.decoupled:  # some models only know requests that begin or end a sequence
        made.insert(0, replace(made_up(served, form), ends=False))
    return tuple(made)


def _case(served: Served, words: Sequence[str], form: Form, what: str, *, whole: bool = True) -> Case:
    judge = well_formed(served, form.rows, whole=whole, strict=False)
    return Case(Check.ANSWER, made_up(served, form), judge, served.at, what, others=others(served, words, form))


def _size(served: Served, form: Form) -> int:
    """Return the size of a made-up request in bytes, at most 8 for a value."""
    values = (prod(form.size if dim < 0 else dim for dim in tensor.dims) for tensor in served.inputs)
    return 8 * max(form.rows, 1) * sum(values)


def unknown(case: Case, protocol: Protocol, answered: Answered) -> Result | None:
    """Return the result of a guess that was refused, which says nothing about the model."""
    if not case.guess or not answered.flaws or not all(flaw.refused for flaw in answered.flaws):
        return None
    words = answered.flaws[0].message.split("\n")[0]
    reason = f"the model refuses made-up values of its optional inputs: {words}"
    request = case.request
    return Result(request.model, request.version, case.check, case.what, str(protocol), answered.ms, (), reason)


def tried(
    case: Case, protocol: Protocol, answer: Callable[[Case, Protocol], Answered], fits: dict[tuple[str, str], int]
) -> tuple[Case, Answered]:
    """Send a case's requests until one is not refused, and return it with the response; if all are, the first.

    `fits` remembers, by model and version, which of the requests was accepted; a later case begins with it.
    """
    requests = (case.request, *case.others)
    key = case.request.model, case.request.version
    start = min(fits.get(key, 0), len(requests) - 1)
    order = [start] if key in fits and not case.guess else [start, *(n for n in range(len(requests)) if n != start)]
    refused: list[tuple[Case, Answered]] = []
    for number in order:
        asked = replace(case, request=requests[number])
        answered = answer(asked, protocol)
        if not answered.flaws or not all(flaw.refused for flaw in answered.flaws):
            if not answered.wrong:
                fits.setdefault(key, number)
            return asked, answered
        refused.append((asked, answered))
    asked, answered = refused[0]
    if case.check is not Check.ANSWER:
        return asked, answered
    return asked, answered._replace(flaws=[flaw._replace(hint=flaw.hint or ADVICE) for flaw in answered.flaws])
