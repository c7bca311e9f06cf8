"""A retriever: NAME (python), exact search with NumPy over the vectors in its version directory."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from tritonrepo.diagnostics import Diagnostic, Severity, fatal
from tritonrepo.generate import config
from tritonrepo.generate.config import Ports
from tritonrepo.generate.draft import Draft, json_file, step
from tritonrepo.generate.inputs import Inputs
from tritonrepo.generate.own import own
from tritonrepo.indexing import chunks, files
from tritonrepo.indexing.vectors import EMBEDDINGS, MISSING, PASSAGES
from tritonrepo.parts import recognition
from tritonrepo.smoke import answers, links, reranks, search, sources, wholes
from tritonrepo.smoke.case import Case, Crowd
from tritonrepo.smoke.judge import anything, both
from tritonrepo.smoke.plan import Known
from tritonrepo.smoke.served import Served
from tritonrepo.sources.gather import Gathering
from tritonrepo.spec.declare import config_key, key, places, switch_key
from tritonrepo.spec.part import Part, Places, Port, Recipe, Step, misspelt, origin, wrong
from tritonrepo.spec.stack import Batching, Chunks, Config, Paths, Stack
from tritonrepo.tree import NOT_KNOWN, File

STALE = "index-stale"

QUERY = Port("query", "STRING", (1,), optional=True, by_name=True)
"""The text of the query, which a search by vectors alone does not read."""

GIVES = (
    Port("passages", "STRING", (-1,)),
    Port("ids", "STRING", (-1,)),
    Port("scores", "FP32", (-1,)),
    Port("metadata", "STRING", (-1,), by_name=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retriever:
    """Exact search: `embedding` FP32[dimensions] to `passages`, `ids`, `scores` and `metadata`, best first."""

    role: Literal["retriever"] = key("role of the model", example="retriever")
    index: str = key("directory of the search index, which `tritonrepo index` builds", example="./index")
    documents: Paths = key("files of the documents: a directory, a glob pattern, or a list of them", example="./docs")
    chunks: Chunks = key("how documents are cut into passages", Chunks(), example="{max_tokens: 200, overlap: 40}")
    embed_with: str = key("name of the embedder for documents and queries", example="embedder")
    top_k: int = key("number of passages to return", 4, minimum=1, example="8")
    switch: Literal["overlap", "replace"] = switch_key()
    config: Config = config_key(example="{instance_group: [{kind: KIND_CPU, count: 2}]}")
    places: Places = places()


@dataclass(frozen=True, slots=True)
class IndexFiles:
    """A search index: `embeddings` FP32 [rows, dimensions] as .npy, `passages` as JSON Lines with id and text."""

    embeddings: File
    passages: File
    rows: int
    dimensions: int


def _check(name: str, model: Retriever, stack: Stack) -> Iterator[Diagnostic]:
    embedding = [other for other in stack.models if stack.part(other).embeds is not None]
    if model.embed_with not in embedding:
        message = f'"{model.embed_with}" is not an embedder of this stack'
        if embedding:
            yield misspelt(model.places, "embed_with", message, model.embed_with, embedding)
        else:
            yield wrong(model.places, "embed_with", message, "Add a model with `role: embedder`.")
    size, overlap = model.chunks.max_tokens, model.chunks.overlap
    if size is not None and overlap * 2 >= size:
        message = f"overlap must be less than half of max_tokens, which is {size}, not {overlap}"
        yield wrong(model.chunks.places, "overlap", message, f"Set it to {(size - 1) // 2} or less.")
    other, owner = next((o, m) for o, m in stack.models.items() if isinstance(m, Retriever) and _same(m, model))
    if _index(owner) != _index(model):
        message = f'"{name}" and "{other}" use the same directory for different indexes'
        yield wrong(model.places, "index", message, "Set index to another directory in one of them.")


def _same(one: Retriever, other: Retriever) -> bool:
    """Return whether both write to the same directory, each over the other's index."""
    first, second = (os.path.normpath(Path(m.places["index"].path).parent / m.index) for m in (one, other))
    return first == second


def _fed(name: str, model: Retriever, makers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    maker = makers.get("query_embedding")
    if maker != model.embed_with:
        feeds = "an input of the pipeline" if maker is None else f'"{maker}"'
        message = f'{feeds} cannot feed "{name}", whose index is built with "{model.embed_with}"'
        yield message, f"Use {model.embed_with} before it in the chain."


def _gather(name: str, model: Retriever, gathering: Gathering) -> IndexFiles:
    """Return the index; raise Stop if it is missing, not the pinned one, or of another embedder.

    Vectors of another embedder mean nothing to this one, and a search over them would fail silently.
    """
    at = model.places["index"]
    place = Path(at.path).parent / model.index
    embeddings, passages = gathering.file(place / EMBEDDINGS, at), gathering.file(place / PASSAGES, at)
    hint = f"Run `{gathering.remake}`."
    if embeddings is None or passages is None:
        raise fatal(MISSING, at, f'the index of "{name}" does not exist in {place}', hint)
    pin = gathering.lock.indexes.get(name)
    if pin is None or (pin.embeddings, pin.passages) != (embeddings.sha256, passages.sha256):
        message = f'the index of "{name}" in {place} is not the one that the lock pins'
        raise fatal("index-changed", at, message, hint)
    embeds = gathering.embeds(model.embed_with)
    if pin.embedder != embeds.identity:
        message = f'the index of "{name}" was built with another embedder than the current "{model.embed_with}"'
        raise fatal("index-embedder", at, message, hint)
    rows = sum(chunk.count(b"\n") for chunk in passages.chunks())
    return IndexFiles(embeddings, passages, rows, embeds.dimensions)


def _stand_in(model: Retriever) -> IndexFiles:
    return IndexFiles(NOT_KNOWN, NOT_KNOWN, model.top_k, dimensions=-1)


def _doubts(name: str, model: Retriever, gathering: Gathering) -> Iterator[Diagnostic]:
    at = model.places["documents"]
    pin = gathering.lock.indexes.get(name)
    found = files.digest(files.find(model.documents, at, gathering.links).all)
    hint = f"Run `{gathering.remake}`."
    if pin is not None and found != pin.documents:
        message = f'the documents of "{name}" have changed since its index was built'
        yield Diagnostic(STALE, Severity.WARNING, at, message, hint)
    if pin is not None and chunks.pinned(model.chunks) != pin.chunks:
        message = f'the chunks of "{name}" have changed since its index was built'
        yield Diagnostic(STALE, Severity.WARNING, model.places.get("chunks", at), message, hint)


def _cases(served: Served, known: Known) -> Iterator[Case | Crowd]:
    """Yield the cases of a search, and of a pipeline that contains one: a question that a passage answers."""
    models = known.models
    if served.name in links.searching(models):
        yield from search.cases(served, search.stored(models, served.name, served.version))
    pipeline = links.pipelines(models).get(served.name)
    if pipeline is None:
        return
    found = search.stored(models, pipeline.searches, pipeline.version)
    if served.decoupled:
        judge = sources.listed(found.index, links.listing(models, served.name)) if pipeline.listed else anything
        alone = reranks.alone(models, served.name, found, 0, served.at) if pipeline.listed else None
        judge = judge if alone is None else both(judge, alone.judge)
        streamed = answers.stream(served, pipeline.query, found.index.texts[0], judge)
        yield from wholes.compared(served, streamed if alone is None else replace(streamed, before=alone.case))
        for crowd in answers.echoes(served, pipeline.query):
            cases = (replace(case, judge=both(case.judge, sources.cited)) for case in crowd.cases)
            yield replace(crowd, cases=tuple(cases)) if pipeline.listed else crowd
    elif pipeline.whole:
        apart = pipeline.embeds in models and links.apart(models[pipeline.embeds])
        yield from search.cases(served, replace(found, query=pipeline.query, by_text=True, apart=apart))


def _index(model: Retriever) -> Recipe:
    return Recipe(model.index, model.documents, model.embed_with, model.chunks)


def _make(name: str, model: Retriever, draft: Draft, inputs: Inputs) -> None:
    """Add the model; k is top_k, or the number of passages if there are fewer."""
    found: IndexFiles = inputs.files[name]
    count = min(model.top_k, found.rows)
    batching: Batching = getattr(inputs.stack.models[model.embed_with], "batching", Batching())
    content = {
        "model.py": step("retriever"),
        "settings.json": json_file({"top_k": count}),
        EMBEDDINGS: found.embeddings,
        PASSAGES: found.passages,
    }
    outputs = (
        Port("passages", "STRING", (count,)),
        Port("ids", "STRING", (count,)),
        Port("scores", "FP32", (count,)),
        Port("metadata", "STRING", (count,)),
    )
    takes = (Port("embedding", "FP32", (found.dimensions,)), QUERY)
    draft.configure(
        name,
        config.config(
            name,
            "python",
            draft.number(name, content),
            batching.max_batch_size,
            Ports(takes, outputs),
            dynamic_batching={},
            instance_group=config.on_cpu(),
        ),
        origin(model.places, input=model.places.get("embed_with"), output=model.places.get("top_k")),
        own(model.places, model.config),
    )


PART = Part(
    keys=Retriever,
    takes=(Port("query_embedding", "FP32", (-1,)), QUERY),
    gives=GIVES,
    steps=(Step("", {"embedding": "query_embedding", "query": "query"}, {port.name: port.name for port in GIVES}),),
    check=_check,
    fed=_fed,
    gather=_gather,
    stand_in=_stand_in,
    doubts=_doubts,
    untrue=frozenset({STALE}),
    cases=_cases,
    index=_index,
    make=_make,
    recognize=recognition.retriever,
)
