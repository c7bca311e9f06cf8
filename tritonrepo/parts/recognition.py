"""What a repository shows of the keys of its parts: a build wrote it, and its stack file is lost.

What is returned is a proposal: it only counts if a build of it gives the same files and equal configs.
"""

from __future__ import annotations

import glob
import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tritonrepo.generate.draft import HEADER
from tritonrepo.indexing.vectors import EMBEDDINGS, PASSAGES
from tritonrepo.parts.prompting import DEFAULT_PROMPT
from tritonrepo.parts.talking import MAX_TOKENS
from tritonrepo.pbtxt.convert import to_plain
from tritonrepo.repository import Model
from tritonrepo.repository.pipelines import scripted
from tritonrepo.shared import SETTINGS, SETTINGS_BYTES, is_shared
from tritonrepo.sources.given import TOKENIZER
from tritonrepo.sources.reranker import LATE
from tritonrepo.spec.source import HUB, Local, NotASourceError, parse_source
from tritonrepo.spec.stack import Batching
from tritonrepo.tree import File

ENGINE, ADAPTERS, PROMPT, GRAPH = "model.json", "multi_lora.json", "prompt.j2", "model.onnx"


EXPORTED = "the exported graph: the repository does not say from which weights"
DEEPEST = 20
"""How deep the values of our own JSON files can be, which become values of a stack file."""


class Proposal(NamedTuple):
    """Keys of a model besides its role, comments of them, keys of the pipeline that has it, and models that it needs.

    It only holds if nobody has changed the files of the models in `matching` since the build: vectors do not say from
    which embedder they are. `files` have to be next to the stack file, since a bucket cannot be their source: each with
    its path in the repository.
    """

    keys: Mapping[str, Any]
    notes: Mapping[str, str]
    pipeline: Mapping[str, Any] = {}
    needs: tuple[str, ...] = ()
    matching: tuple[str, ...] = ()
    files: Mapping[str, str] = {}


class Found(NamedTuple):
    """A repository: its models, what its paths begin with in a stack file, and the local source of each Hub id."""

    models: Mapping[str, Model]
    base: str
    remote: bool
    local: Mapping[str, str]

    def ours(self, name: str) -> Model | None:
        """Return a model whose config a build wrote and of which one version is served."""
        model = self.models.get(name)
        if model is None or model.parsed is None or model.parsed.faults or self.version(name) is None:
            return None
        return model if model.config.source.text.startswith(HEADER.encode()) else None

    def version(self, name: str) -> int | None:
        """Return the version of a model that is served, if it is one that a build numbers."""
        model = self.models[name]
        number = model.served[0] if len(model.served) == 1 else 0
        return number if number > 0 and str(number) in model.directories else None

    def files(self, name: str) -> dict[str, File]:
        """Return the files of the version that is served."""
        head = f"{self.version(name)}/"
        entries = self.models[name].entries.items()
        return {path.removeprefix(head): e for path, e in entries if path.startswith(head) and isinstance(e, File)}

    def json(self, name: str, path: str) -> dict[str, Any]:
        """Return the object in a JSON file of the version that is served; an empty one if it has none."""
        file = self.files(name).get(path)
        try:
            said = json.loads(file.content()) if file is not None and file.size <= SETTINGS_BYTES else None
        except (ValueError, RecursionError):
            return {}
        return said if isinstance(said, dict) and _is_shallow(said, DEEPEST) else {}

    def steps(self, name: str) -> list[dict[str, Any]]:
        """Return the steps of an ensemble, or the calls of a pipeline that is a Python model."""
        model = self.models[name]
        return list(to_plain(model.config).get("ensemble_scheduling", {}).get("step", [])) or scripted(model)

    def place(self, name: str, path: str = "") -> str:
        """Return a path in the version that is served as a stack file names it."""
        return f"{self.base}/{name}/{self.version(name)}/{path}".rstrip("/")


def embedder(name: str, found: Found) -> Proposal | None:
    """Return the keys of an embedder, whose source is its exported graph."""
    graph = f"{name}_model"
    step, model = found.ours(name), found.ours(graph)
    if step is None or model is None:
        return None
    said = found.json(name, SETTINGS)
    top, _, file = str(said.get("tokenizer")).partition("/")
    if not is_shared(top) or file != TOKENIZER or type(said.get("max_tokens")) is not int or "score" in said:
        return None
    keys = {
        "source": found.place(graph, GRAPH),
        "tokenizer": f"{found.base}/{name}/{top}/{file}",
        "max_tokens": said["max_tokens"],
        "prefixes": said.get("prefixes"),
        "batching": dict(_batching(step)),
        "instances": dict(_instances(model)),
    }
    return Proposal(_filled(keys), {"source": EXPORTED})


def reranker(name: str, found: Found) -> Proposal | None:
    """Return the keys of a reranker, whose source is its exported graph."""
    graph = f"{name}_model"
    step, model, said = (
        found.ours(name),
        found.ours(graph) if graph in found.models else None,
        found.json(name, SETTINGS),
    )
    top, _, file = str(said.get("tokenizer")).partition("/")
    if step is None or model is None or not is_shared(top) or file != TOKENIZER or "score" not in said:
        return None
    late = said["score"] == LATE
    keys = {
        "source": found.place(graph, GRAPH),
        "kind": LATE if late else None,
        "tokenizer": f"{found.base}/{name}/{top}/{file}",
        "top_k": said.get("top_k"),
        "max_tokens": said.get("max_tokens"),
        "label": None if late else str(said.get("label")),
        "activation": None if late else said["score"],
        "batching": dict(_batching(step)),
        "instances": dict(_instances(model)),
    }
    return Proposal(_filled(keys), {"source": EXPORTED})


def _batching(model: Model) -> Iterator[tuple[str, Any]]:
    said = to_plain(model.config).get("dynamic_batching") or {}
    if model.max_batch_size != Batching().max_batch_size:
        yield "max_batch_size", model.max_batch_size
    if said.get("preferred_batch_size"):
        yield "preferred", said["preferred_batch_size"]
    if delay := said.get("max_queue_delay_microseconds"):
        yield "max_queue_delay", f"{delay}us" if delay % 1000 else f"{delay // 1000}ms"


def _instances(model: Model) -> Iterator[tuple[str, Any]]:
    group = [*to_plain(model.config).get("instance_group", []), {}][0]
    if group.get("count", 1) != 1:
        yield "count", group["count"]
    kind = str(group.get("kind", "")).removeprefix("KIND_").lower()
    if kind in {"cpu", "gpu"}:
        yield "kind", kind
    if group.get("gpus"):
        yield "gpus", group["gpus"]


def retriever(name: str, found: Found) -> Proposal | None:
    """Return the keys of a retriever, whose documents are its passages."""
    if found.ours(name) is None or not {EMBEDDINGS, PASSAGES} <= found.files(name).keys():
        return None
    makers = {*_makers(name, found)} or {each for each in found.models if embedder(each, found)}
    if len(makers) != 1:
        return None
    maker = makers.pop()
    here, inside = f"./{name}_index", f"{name}/{found.version(name)}"
    place = here if found.remote else found.place(name)
    keys = {
        "index": place,
        "documents": glob.escape(f"{place}/{PASSAGES}"),
        "embed_with": maker,
        "top_k": found.json(name, SETTINGS).get("top_k"),
    }
    notes = {"documents": "the passages: the repository does not have the documents themselves"}
    copied = {f"{here}/{each}": f"{inside}/{each}" for each in (EMBEDDINGS, PASSAGES)} if found.remote else {}
    matching = (name, maker, f"{maker}_model")
    return Proposal(_filled(keys), notes, needs=(maker,), matching=matching, files=copied)


def _makers(name: str, found: Found) -> Iterator[str]:
    """Yield the models whose vectors reach a retriever in a pipeline."""
    for pipeline in found.models:
        steps = found.steps(pipeline)
        wanted = {s.get("input_map", {}).get("embedding") for s in steps if s.get("model_name") == name}
        yield from (
            s["model_name"] for s in steps if "model_name" in s and wanted & {*s.get("output_map", {}).values()}
        )


def generator(name: str, found: Found) -> Proposal | None:
    """Return the keys of a generator, whose tokenizer and chat template are those of its prompt step."""
    step = f"{name}_prompt"
    if found.ours(name) is None or found.ours(step) is None:
        return None
    engine, said, adapters = found.json(name, ENGINE), found.json(step, SETTINGS), found.json(name, ADAPTERS)
    asked = found.json(name, SETTINGS) if not engine else {}
    source = _endpoint(asked) if asked else _source(engine)
    message = found.files(step).get(PROMPT)
    sampling = said.get("sampling")
    if source is None or message is None or not isinstance(sampling, dict):
        return None
    default = message.content() == DEFAULT_PROMPT.encode()
    local = found.local.get(str(engine.get("model")), "")
    from_model = {"model", "revision", *(("enable_lora",) if adapters else ())}
    keys = {
        **source,
        "tokenizer": f"{found.base}/{step}" if "tokenizer" in said else None,
        "local": local if local and not isinstance(_parsed(local), Local) else None,
        "args": {"max_model_len": said.get("max_model_len")}
        if asked
        else {key: value for key, value in engine.items() if key not in from_model},
        "lora": {key: {"path": path} if str(path)[:1] == "/" else f"hf://{path}" for key, path in adapters.items()},
        "sampling": {key: value for key, value in sampling.items() if (key, value) != ("max_tokens", MAX_TOKENS)},
        "chat_template_kwargs": said.get("chat_template_kwargs"),
    }
    here = f"./{name}_{PROMPT}"
    copied = {here: f"{step}/{found.version(step)}/{PROMPT}"} if found.remote and not default else {}
    prompt = {
        "file": None if default else here if found.remote else found.place(step, PROMPT),
        "system": said.get("system"),
        "max_context_tokens": said.get("max_context_tokens"),
    }
    return Proposal(_filled(keys), {}, _filled({"prompt": _filled(prompt)}), files=copied)


def _endpoint(asked: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the keys of an endpoint; None if settings.json does not have our form."""
    times, extra, headers = (asked.get(name) for name in ("timeouts", "extra", "headers"))
    if not (isinstance(times, dict) and isinstance(extra, dict) and isinstance(headers, dict) and "url" in asked):
        return None
    key = asked.get("api_key")
    names = ("url", "model", "retries", "connections", "check", "usage", "limit")
    said = {
        **{name: asked.get(name) for name in names},
        "api_key": {"env": key} if key else None,
        "headers": {name: {"env": variable} for name, variable in headers.items()},
        "timeouts": {name: f"{seconds:g}s" for name, seconds in times.items() if isinstance(seconds, int | float)},
        "extra": {name: value for name, value in extra.items() if name != "chat_template_kwargs"},
    }
    return {"engine": "openai", "endpoint": _filled(said)}


def _source(engine: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the keys that say where the weights are; None if model.json does not have our form."""
    model, revision = engine.get("model"), engine.get("revision")
    if not isinstance(model, str):
        return None
    if model.startswith("/") and revision is None:
        return {"source": model, "weights": {"path": model}}
    text = f"hf://{model}@{revision}"  # without a revision, the next build would pin one
    return {"source": text} if isinstance(revision, str) and HUB.fullmatch(text) else None


def _parsed(text: str) -> object:
    try:
        return parse_source(text)
    except NotASourceError:
        return Local(text, text)


def _is_shallow(value: object, depth: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return depth > 0 and all(_is_shallow(each, depth - 1) for each in inner)


def _filled(keys: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys that have a value."""
    return {key: value for key, value in keys.items() if value is not None and value != {}}
