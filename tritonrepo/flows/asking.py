"""Questions to a served stack: the passages that its search finds, and its streamed answer."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from tritonrepo.diagnostics import fatal
from tritonrepo.server.client import Client
from tritonrepo.server.endpoint import Endpoint
from tritonrepo.spec.stack import Ensemble, Stack
from tritonrepo.spec.wiring import QUERY

ANSWER = "answer"
"""Output of a pipeline that answers questions."""

FOUND = ("ids", "scores", "passages")
"""Outputs of a pipeline that searches."""


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
    answering = [name for name, e in stack.ensembles.items() if _gives(stack, e, {ANSWER})]
    finding = [name for name, e in stack.ensembles.items() if _gives(stack, e, FOUND)]
    if needed and not answering:
        raise fatal(
            "ask-pipeline",
            stack.places[""],
            "the stack cannot answer questions because no ensemble ends in a generator",
            "Add such an ensemble under ensembles.",
        )
    return Pipelines(next(iter(answering), None), next(iter(finding), None))


def _gives(stack: Stack, ensemble: Ensemble, outputs: Collection[str]) -> bool:
    """Return whether a chain takes a query and gives these; steps have tensors of any meaning.

    An own model at its start whose inputs the stack file does not list may take a query.
    """
    if not ensemble.chain:
        return False
    asked, given = _ports(stack, ensemble.chain[0], "input"), _ports(stack, ensemble.chain[-1], "output")
    shown = given if ensemble.outputs is None else given & {*ensemble.outputs}
    return (not asked or QUERY.name in asked) and shown.issuperset(outputs)


def _ports(stack: Stack, name: str, kind: str) -> set[str]:
    """Return the names of the ports of a model; of an own one, those that its config in the stack file lists."""
    part, model = stack.part(name), stack.models[name]
    if part.free:
        return {str(tensor.get("name")) for tensor in getattr(model, "config", {}).get(kind) or ()}
    return {port.name for port in (part.takes if kind == "input" else part.gives)}


def passages(server: Endpoint, pipeline: str, question: str) -> list[Passage]:
    """Return what a pipeline finds; the server sends a single passage without a list."""
    found = Client(server).generate(pipeline, {"query": question})
    columns = [value if isinstance(value, list) else [value] for value in map(found.get, FOUND)]
    return [Passage(str(id_), float(score), str(text)) for id_, score, text in zip(*columns, strict=True)]


def answer(server: Endpoint, pipeline: str, question: str) -> Iterator[str]:
    """Yield the pieces of a pipeline's answer as they arrive."""
    for event in Client(server).stream(pipeline, {"query": question, "stream": True}):
        yield str(event.get(ANSWER, ""))
