"""Asking a served stack: the passages that its search finds, and its streamed answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tritonrepo.diagnostics import fatal
from tritonrepo.server.client import Client
from tritonrepo.server.endpoint import Endpoint
from tritonrepo.spec.stack import Stack

ANSWER = "answer"
"""What a pipeline that is asked a question gives."""


class Pipelines(NamedTuple):
    """Which ensemble answers and which only finds; None where the stack has none of the kind."""

    answer: str | None
    search: str | None


class Passage(NamedTuple):
    """One thing that was found."""

    id: str
    score: float
    text: str


def pipelines(stack: Stack, *, needed: bool) -> Pipelines:
    """Return the pipelines that a question goes to; raise Stop where one is needed and the stack has none."""
    answering = [name for name, e in stack.ensembles.items() if stack.part(e.chain[-1]).answers(ANSWER)]
    finding = [name for name in stack.ensembles if name not in answering]
    if needed and not answering:
        raise fatal(
            "ask-pipeline",
            stack.places[""],
            "no ensemble ends in a generator, so nothing can answer",
            "Add one under ensembles.",
        )
    return Pipelines(next(iter(answering), None), next(iter(finding), None))


def passages(server: Endpoint, pipeline: str, question: str) -> list[Passage]:
    """Return what a pipeline finds; a single passage comes without a list."""
    found = Client(server).generate(pipeline, {"query": question})
    columns = [
        value if isinstance(value, list) else [value] for value in (found.get(k) for k in ("ids", "scores", "passages"))
    ]
    return [Passage(str(id_), float(score), str(text)) for id_, score, text in zip(*columns, strict=True)]


def answer(server: Endpoint, pipeline: str, question: str) -> Iterator[str]:
    """Yield the pieces of a pipeline's answer as they come."""
    for event in Client(server).stream(pipeline, {"query": question, "stream": True}):
        yield str(event.get(ANSWER, ""))
