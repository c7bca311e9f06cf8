"""Cases of what responds with a stream: a generator, or a pipeline that ends in one."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.smoke.case import SOURCES, Case, Check, Crowd, Flaw, Judge, Protocol, Reply, streams_over_http
from tritonrepo.smoke.judge import anything, both, joined, text, well_formed
from tritonrepo.smoke.made import CONTROLS, SAMPLING, ask, controls, given, made_up
from tritonrepo.smoke.served import Served

ECHO = "exclude_input_in_output"
"""The input that makes vLLM's backend put the prompt before the answer (vllm_backend, src/utils/request.py)."""

TALKS = 4
"""How many requests are sent at once: a language model, which may be slow, reads each prompt."""


def stream(
    served: Served,
    query: str = "",
    question: str = "Which passage was given?",
    judge: Judge = anything,
    *,
    strict: bool = True,
) -> Case:
    """Return the case of a decoupled model: responses arrive, and then the stream ends.

    One with vLLM's control inputs gets a request for few tokens and must return text, the same over both protocols.
    `judge` is for what else it returns, `strict` for its shapes (`well_formed`).
    """
    request = made_up(served)
    if query:
        request = ask(served, [given(served, query, question), *controls(served)])
    talks = {name for name in CONTROLS if name in {tensor.name for tensor in request.inputs}} == set(CONTROLS)
    return Case(
        Check.STREAM,
        request,
        both(well_formed(served, strict=strict), *([_speaks] if talks else []), judge),
        served.at,
        protocols=tuple(Protocol) if streams_over_http(request) else (Protocol.GRPC,),
        streamed=True,
        compared=Severity.WARNING if talks else None,
    )


def _speaks(reply: Reply) -> Iterator[Flaw]:
    said = {name: values for name, values in joined(reply).items() if name != SOURCES}
    if not any(text(value) for values in said.values() for value in values.tolist()):
        count = len(reply.responses)
        message = f"the stream ended after {count} response{'' if count == 1 else 's'} without any text"
        yield Flaw(message, "Check the model's prompt.")


def echoes(served: Served, query: str) -> Iterator[Crowd]:
    """Yield the case of simultaneous prompts: each answer must repeat its own prompt, word for word.

    What a language model says depends on what shares its batch, but its prompt does not. Nothing is yielded if the
    model cannot be told to repeat its prompt.
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
            message = f"told to repeat its prompt, the model answers without {question!r}"
            yield Flaw(
                message,
                "Check that every step passes on the data of its own request.",
                f"an answer with {question!r}",
            )

    return judge
