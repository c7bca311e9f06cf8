"""Questions to a served stack: the passages that its search finds, and its streamed answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tritonrepo.diagnostics import fatal
from tritonrepo.server.client import Client
from tritonrepo.server.endpoint import Endpoint
from tritonrepo.spec.stack import Ensemble, Stack

ANSWER = "answer"
"""Output of a pipeline that answers questions."""


class Pipelines(NamedTuple):
    """Ensemble that answers and ensemble that only searches; None if the stack has no such ensemble."""

    answer: str | None
    search: str | None


class Passage(NamedTuple):
    """One search result."""

    id: str
    score: float
    text: str


def pipelines(stack: Stack, *, needed: bool) -> Pipelines:
    """Return the pipelines that a question goes to; raise Stop if one is needed and the stack has none."""
    answering = [name for name, e in stack.ensembles.items() if _gives(stack, e, ANSWER)]
    finding = [name for name, e in stack.ensembles.items() if _gives(stack, e, "passages")]
    if needed and not answering:
        raise fatal(
            "ask-pipeline",
            stack.places[""],
            "the stack cannot answer questions because no ensemble ends in a generator",
            "Add such an ensemble under ensembles.",
        )
    return Pipelines(next(iter(answering), None), next(iter(finding), None))


def _gives(stack: Stack, ensemble: Ensemble, port: str) -> bool:
    """Return whether a chain takes a query and gives this; steps have tensors of any meaning."""
    return bool(ensemble.chain) and stack.part(ensemble.chain[-1]).answers(port)


def passages(server: Endpoint, pipeline: str, question: str) -> list[Passage]:
    """Return what a pipeline finds; the server sends a single passage without a list."""
    found = Client(server).generate(pipeline, {"query": question})
    columns = [
        value if isinstance(value, list) else [value] for value in (found.get(k) for k in ("ids", "scores", "passages"))
    ]
    return [Passage(str(id_), float(score), str(text)) for id_, score, text in zip(*columns, strict=True)]


def answer(server: Endpoint, pipeline: str, question: str) -> Iterator[str]:
    """Yield the pieces of a pipeline's answer as they arrive."""
    for event in Client(server).stream(pipeline, {"query": question, "stream": True}):
        yield str(event.get(ANSWER, ""))
