"""Questions to a served stack: the passages that an answer is made from, and the streamed answer."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from tritonrepo.diagnostics import failure, fatal
from tritonrepo.server.client import Client
from tritonrepo.server.endpoint import Endpoint
from tritonrepo.spec.forms import BLS, SOURCES, form, outputs
from tritonrepo.spec.stack import Ensemble, Stack
from tritonrepo.spec.wiring import QUERY

ANSWER = "answer"
"""Output of a pipeline that answers questions."""

FOUND = ("ids", "scores", "passages")
"""Outputs of a pipeline that searches."""


class Pipelines(NamedTuple):
    """Pipeline that answers and pipeline that only searches; None if the stack has no such pipeline.

    `lists`: the one that answers also returns the passages in its prompt.
    """

    answer: str | None
    search: str | None
    lists: bool = False


class Passage(NamedTuple):
    """One search result, or one source of an answer; `title` and `url` are "" if its document has none."""

    id: str
    score: float
    text: str
    title: str = ""
    url: str = ""


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
    first = next(iter(answering), None)
    lists = first is not None and _lists(stack, stack.ensembles[first])
    return Pipelines(first, next(iter(finding), None), lists)


def _lists(stack: Stack, ensemble: Ensemble) -> bool:
    """Return whether a pipeline that answers also returns its sources."""
    chain = [(name, stack.part(name)) for name in ensemble.chain]
    return form(ensemble, chain) == BLS and SOURCES.name in outputs(ensemble, chain)


def _gives(stack: Stack, ensemble: Ensemble, wanted: Collection[str]) -> bool:
    """Return whether a chain takes a query and gives these; steps have tensors of any meaning.

    An own model at its start whose inputs the stack file does not list may take a query.
    """
    if not ensemble.chain:
        return False
    asked, given = _ports(stack, ensemble.chain[0], "input"), _ports(stack, ensemble.chain[-1], "output")
    shown = given if ensemble.outputs is None else given & {*ensemble.outputs}
    return (not asked or QUERY.name in asked) and shown.issuperset(wanted)


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
    metadata = found.get("metadata", ["{}"] * len(columns[0]))
    said = metadata if isinstance(metadata, list) else [metadata]
    return [_found(*row) for row in zip(*columns, said, strict=True)]


def _found(id_: object, score: Any, text: object, metadata: object) -> Passage:  # noqa: ANN401  foreign data
    """Return a search result; metadata that is not a JSON object says nothing."""
    try:
        said = json.loads(str(metadata))
    except (ValueError, RecursionError):
        said = {}
    return _source({**(said if isinstance(said, dict) else {}), "id": id_, "score": score, "text": text})


def replies(server: Endpoint, names: Pipelines, question: str) -> Iterator[list[Passage] | str]:
    """Yield the passages, if any, then the pieces of the answer as they arrive.

    Those that the answer itself lists are in its prompt; others are what a separate search finds.
    """
    if names.search and not names.lists:
        yield passages(server, names.search, question)
    assert names.answer is not None  # noqa: S101  `pipelines` raises without one
    for event in Client(server).stream(names.answer, {"query": question, "stream": True}):
        if names.lists and SOURCES.name in event:
            yield _sources(server, str(event[SOURCES.name]))
        yield str(event.get(ANSWER, ""))


def _sources(server: Endpoint, text: str) -> list[Passage]:
    """Return the sources of an answer; raise Stop if they are not a list of passages."""
    try:
        return [_source(each) for each in json.loads(text)]
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        message = f"the sources of the answer cannot be read: {error!r}"
        raise failure("server-answer", server.url, message, "Check that the server serves this stack.") from None


def _source(each: dict[str, Any]) -> Passage:
    said = (str(each.get(key) or "") for key in ("title", "url"))
    return Passage(str(each["id"]), float(each.get("score") or 0), str(each["text"]), *said)


def answer(server: Endpoint, pipeline: str, question: str) -> Iterator[str]:
    """Yield the pieces of a pipeline's answer as they arrive."""
    for event in Client(server).stream(pipeline, {"query": question, "stream": True}):
        yield str(event.get(ANSWER, ""))
