"""Cases of what answers with a stream: a generator, or a pipeline that ends in one."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.smoke.asking import streams_over_http
from tritonrepo.smoke.case import Case, Check, Crowd, Flaw, Judge, Protocol, Reply
from tritonrepo.smoke.judge import both, joined, text, well_formed
from tritonrepo.smoke.made import CONTROLS, SAMPLING, ask, controls, given, made_up
from tritonrepo.smoke.served import Served

ECHO = "exclude_input_in_output"
"""The input by which vLLM's backend puts the prompt before the answer (vllm_backend, src/utils/request.py)."""

TALKS = 4
"""How many are asked at once: each prompt is read by a language model, which may be slow."""


def stream(served: Served, query: str = "", question: str = "Which passage was given?") -> Case:
    """Return the case of a decoupled model: responses come, and then an end.

    One that takes vLLM's controls is asked for few tokens and must say something, the same over both protocols.
    """
    request = made_up(served)
    if query:
        request = ask(served, [given(served, query, question), *controls(served)])
    talks = {name for name in CONTROLS if name in {tensor.name for tensor in request.inputs}} == set(CONTROLS)
    return Case(
        Check.STREAM,
        request,
        both(well_formed(served), _speaks) if talks else well_formed(served),
        served.at,
        protocols=tuple(Protocol) if streams_over_http(request) else (Protocol.GRPC,),
        streamed=True,
        compared=Severity.WARNING if talks else None,
    )


def _speaks(reply: Reply) -> Iterator[Flaw]:
    if not any(text(value) for values in joined(reply).values() for value in values.tolist()):
        yield Flaw(f"the stream ended after {len(reply.responses)} responses without a word", "Look at its prompt.")


def echoes(served: Served, query: str) -> Iterator[Crowd]:
    """Yield the case of prompts that are read at once: each answer must repeat its own, word for word.

    What a language model says hangs on what shares its batch; what it was asked does not. Nothing where a model cannot
    be told to repeat its prompt.
    """
    inputs = {tensor.name for tensor in served.inputs}
    if served.decoupled and {*CONTROLS, ECHO, query} <= inputs:
        yield Crowd(
            tuple(_echo(served, query, f"Which gauge of hall {n} is read first?") for n in range(TALKS)), batched=False
        )


def _echo(served: Served, query: str, question: str) -> Case:
    request = ask(
        served,
        [
            given(served, query, question),
            given(served, "sampling_parameters", json.dumps(SAMPLING | {"max_tokens": 1})),
            given(served, "stream", False),  # noqa: FBT003  the tensor's value
            given(served, ECHO, False),  # noqa: FBT003
        ],
    )
    judge = both(well_formed(served), _repeats(question))
    return Case(Check.STREAM, request, judge, served.at, f'"{question}"', streamed=True)


def _repeats(question: str) -> Judge:
    def judge(reply: Reply) -> Iterator[Flaw]:
        said = "".join(text(value) for values in joined(reply).values() for value in values.tolist())
        if question not in said:
            message = f"asked to repeat its prompt, it answers without {question!r}"
            yield Flaw(
                message,
                "Check that every step passes on what belongs to its own request.",
                f"an answer with {question!r}",
            )

    return judge
