"""Questions to a running server: the passages that an answer is made from, and the streamed answer."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tritonrepo.diagnostics import failure, fatal
from tritonrepo.server.client import Client
from tritonrepo.server.endpoint import Endpoint
from tritonrepo.server.questions import ANSWER, AS_SERVED, FOUND, AskOptions, Question, question_to
from tritonrepo.server.tensors import Request, of_values
from tritonrepo.spec.forms import BLS, SOURCES, form, outputs
from tritonrepo.spec.stack import Ensemble, Stack
from tritonrepo.spec.wiring import QUERY

OWN = frozenset({"model_name", "model_version", "triton_final_response"})
"""What a response of the generate extension has besides outputs."""


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


class Found(NamedTuple):
    """What a pipeline that searches returns."""

    passages: list[Passage]


Said = list[Passage] | Found | str | dict[str, Any]
"""Sources of an answer, what a search found, a piece of an answer, or the outputs of a response without a text."""


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
    return _passages(Client(server).generate(pipeline, {QUERY.name: question}), server.url)


@dataclass
class Answer:
    """What a model said so far: the text, the sources or passages, the outputs of responses that have no text."""

    model: str
    text: str = ""
    sources: list[Passage] = field(default_factory=list)
    outputs: list[dict[str, Any]] = field(default_factory=list)
    searched: bool = False

    def add(self, said: Said) -> None:
        """Add what arrived."""
        match said:
            case str():
                self.text += said
            case dict():
                self.outputs.append(said)
            case Found(passages):
                self.sources, self.searched = passages, True
            case _:
                self.sources += said

    def __bool__(self) -> bool:
        """Whether there is more than sources of an answer that is yet to come."""
        return bool(self.text or self.outputs or (self.searched and self.sources))

    def as_json(self) -> dict[str, object]:
        """Return it as JSON data."""
        sources = [each._asdict() for each in self.sources]
        return {"model": self.model, "answer": self.text, "sources": sources, "outputs": self.outputs}


def ask(server: Endpoint, model: str, text: str, wanted: AskOptions = AS_SERVED) -> Iterator[Said]:
    """Yield what any model of a server says about a text, which goes to the input that its served config has for it.

    Raise Stop if the server does not serve the model, if that takes no text, or if it sends an error.
    """
    client = Client(server)
    yield from said(client, question_to(client, model, wanted), text)


def said(client: Client, asked: Question, text: str) -> Iterator[Said]:
    """Yield the sources of an answer, if the model lists them, and the pieces of the answer as they arrive.

    Of a pipeline that searches, these are the passages; of a model whose responses have no text, their outputs. Raise
    Stop if the server sends an error.
    """
    for event in _events(client, asked, text):
        if asked.searches:
            yield Found(_passages(event, client.url))
            continue
        if SOURCES.name in event and asked.answer != SOURCES.name:
            yield _sources(client.url, str(event[SOURCES.name]))
        if asked.answer:
            yield _text(event.get(asked.answer, ""))
        else:
            yield {name: value for name, value in event.items() if name not in OWN}


def _events(client: Client, asked: Question, text: str) -> Iterator[Mapping[str, Any]]:
    if asked.axes == 1:
        yield from client.stream(asked.model, {**asked.given, asked.text: text})
        return
    shape = [1] * (asked.axes + asked.batch)
    found = client.infer(Request(asked.model, "", (of_values(asked.text, "BYTES", [text], shape),)))
    yield {name: plain(tensor.values.ravel().tolist()) for name, tensor in found.items()}


def plain(values: list[Any]) -> Any:  # noqa: ANN401  JSON
    """Return values as the generate extension has them: strings as text, one value without a list."""
    values = [each.decode("utf-8", "replace") if isinstance(each, bytes) else each for each in values]
    return values[0] if len(values) == 1 else values


def _text(value: object) -> str:
    return "".join(map(str, value)) if isinstance(value, list) else str(value)


def _passages(found: Mapping[str, Any], url: str) -> list[Passage]:
    """Return the results of a search; raise Stop if they do not belong together."""
    columns = [value if isinstance(value, list) else [value] for value in map(found.get, FOUND)]
    metadata = found.get("metadata", ["{}"] * len(columns[0]))
    told = metadata if isinstance(metadata, list) else [metadata]
    try:
        return [_found(*row) for row in zip(*columns, told, strict=True)]
    except (TypeError, ValueError) as error:
        message = f"the search results cannot be read: {error}"
        raise failure("server-answer", url, message, "Check that the server serves this stack.") from None


def _found(id_: object, score: Any, text: object, metadata: object) -> Passage:  # noqa: ANN401  foreign data
    """Return a search result; metadata that is not a JSON object says nothing."""
    try:
        known = json.loads(str(metadata))
    except (ValueError, RecursionError):
        known = {}
    return _source({**(known if isinstance(known, dict) else {}), "id": id_, "score": score, "text": text})


def replies(server: Endpoint, names: Pipelines, question: str) -> Iterator[Said]:
    """Yield the passages, if any, then the pieces of the answer as they arrive.

    Those that the answer itself lists are in its prompt; others are what a separate search finds.
    """
    if names.search and not names.lists:
        yield passages(server, names.search, question)
    assert names.answer is not None  # noqa: S101  `pipelines` raises without one
    yield from said(Client(server), Question(names.answer), question)


def _sources(url: str, text: str) -> list[Passage]:
    """Return the sources of an answer; raise Stop if they are not a list of passages."""
    try:
        return [_source(each) for each in json.loads(text)]
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        message = f"the sources of the answer cannot be read: {error!r}"
        raise failure("server-answer", url, message, "Check that the server serves this stack.") from None


def _source(each: dict[str, Any]) -> Passage:
    title, url = (str(each.get(key) or "") for key in ("title", "url"))
    return Passage(str(each["id"]), float(each.get("score") or 0), str(each["text"]), title, url)


def answer(server: Endpoint, pipeline: str, question: str) -> Iterator[str]:
    """Yield the pieces of a pipeline's answer as they arrive."""
    for event in Client(server).stream(pipeline, {"query": question, "stream": True}):
        yield _text(event.get(ANSWER, ""))
