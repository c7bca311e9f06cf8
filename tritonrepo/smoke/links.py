"""How models of a repository are connected: which index holds whose vectors, and what a pipeline does with a query."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from tritonrepo.indexing.vectors import EMBEDDINGS, PASSAGES
from tritonrepo.repository import pipelines as scripts
from tritonrepo.smoke.case import SOURCES
from tritonrepo.smoke.expected import Expected
from tritonrepo.tree import File

INDEX = (EMBEDDINGS, PASSAGES)
FOUND = {"ids", "passages", "scores"}
"""What a search returns."""


class Pipeline(NamedTuple):
    """A pipeline from a query to the passages of an index: its input, its embedding model, and its search model.

    `version` is that of the search model, empty for the latest; `whole`: the search result is the pipeline's response;
    `listed`: its first response lists the passages of the answer that follows.
    """

    query: str
    embeds: str
    searches: str
    version: str
    whole: bool
    listed: bool = False


class Reranked(NamedTuple):
    """An ensemble whose response is what a reranker makes of a search; its version is empty for the latest."""

    search: Pipeline
    reranks: str
    version: str


class Listing(NamedTuple):
    """How a pipeline lists its sources: with metadata of the index, and in the order of the scores that they have."""

    described: bool = True
    ranked: bool = True


def searching(models: Mapping[str, Expected]) -> list[str]:
    """Return the models that hold a search index."""
    return [name for name, model in models.items() if model.has(*INDEX)]


def prompting(models: Mapping[str, Expected]) -> list[str]:
    """Return the models that render prompts with a template of the stack."""
    return [name for name, model in models.items() if model.has("prompt.j2", "settings.json")]


def reranking(models: Mapping[str, Expected]) -> list[str]:
    """Return the models that rank the passages of a request."""
    steps = {name: model for name, model in models.items() if model.has("calls.json", "settings.json")}
    return [name for name, model in steps.items() if "score" in _settings(model, model.versions[-1])]


def reranked(models: Mapping[str, Expected]) -> dict[str, Reranked]:
    """Return the ensembles that search with the query of the request and return what a reranker makes of it."""
    rankers, found = {*reranking(models)}, {}
    for name, pipeline in pipelines(models).items():
        search = next(step for step in _steps(models[name]) if step.get("model_name") == pipeline.searches)
        for step in _steps(models[name]):
            feeds = step.get("input_map", {}).get("ids") == search.get("output_map", {}).get("ids", "")
            whole = set(step.get("output_map", {}).values()) & _outputs(models[name].config) >= FOUND
            if step.get("model_name") in rankers and feeds and whole:
                version = int(step.get("model_version", -1))
                found[name] = Reranked(pipeline, step["model_name"], str(version) if version > 0 else "")
    return found


def ranker(models: Mapping[str, Expected], name: str) -> tuple[str, str] | None:
    """Return the reranker, and its version, that a pipeline gives its query and what its search finds; None without."""
    pipeline, rankers = pipelines(models).get(name), {*reranking(models)}
    if pipeline is None:
        return None
    search = next(step for step in _steps(models[name]) if step.get("model_name") == pipeline.searches)
    for step in _steps(models[name]):
        takes, model = step.get("input_map", {}), str(step.get("model_name"))
        feeds = takes.get("ids") == search.get("output_map", {}).get("ids", "")
        if model in rankers and feeds and takes.get("query") == pipeline.query:
            version = int(step.get("model_version", -1))
            return model, str(version) if version > 0 else models[model].versions[-1]
    return None


def listing(models: Mapping[str, Expected], name: str) -> Listing:
    """Return what the sources of a pipeline must be: only what a search or a reranker of the stack gave is known."""
    model = models[name]
    named = _settings(model, model.versions[-1]).get("sources")
    tensors = named if isinstance(named, dict) else {}
    own, makers = {*searching(models), *reranking(models)}, _makers(model)
    given = {kind for kind, tensor in tensors.items() if makers.get(tensor, {}).get("model_name") in own}
    return Listing("metadata" in given, {"ids", "scores"} <= given)


def pipelines(models: Mapping[str, Expected]) -> dict[str, Pipeline]:
    """Return the pipelines that search with the query as it is in the request, by name."""
    found = _searches(models)
    return {name: pipeline for name, pipeline in found.items() if pipeline.query not in _makers(models[name])}


def _searches(models: Mapping[str, Expected]) -> dict[str, Pipeline]:
    holders = set(searching(models))
    found = {name: _pipeline(model, holders) for name, model in models.items()}
    return {name: pipeline for name, pipeline in found.items() if pipeline is not None}


def _steps(model: Expected) -> list[Mapping[str, Any]]:
    """Return the steps of an ensemble, or of a pipeline that is a Python model."""
    if "ensemble_scheduling" in model.config or not model.versions:
        return list(model.config.get("ensemble_scheduling", {}).get("step", []))
    return [*scripts.steps(model.contents.get(model.versions[-1], {}))]


def _makers(model: Expected) -> dict[str, Mapping[str, Any]]:
    """Return the step that makes each tensor."""
    return {tensor: step for step in _steps(model) for tensor in step.get("output_map", {}).values()}


def _pipeline(model: Expected, holders: set[str]) -> Pipeline | None:
    makers = _makers(model)
    for step in _steps(model):
        if step.get("model_name") in holders:
            source = makers.get(step.get("input_map", {}).get("embedding"), {})
            query = source.get("input_map", {}).get("text")
            if query is not None:
                version = int(step.get("model_version", -1))
                whole = set(step.get("output_map", {}).values()) & _outputs(model.config) >= FOUND
                pinned = str(version) if version > 0 else ""
                listed = SOURCES in _outputs(model.config) and "ensemble_scheduling" not in model.config
                return Pipeline(query, source["model_name"], step["model_name"], pinned, whole, listed)
    return None


def _outputs(config: Mapping[str, Any]) -> set[str]:
    return {str(tensor.get("name")) for tensor in config.get("output", [])}


def embedding(models: Mapping[str, Expected], chosen: Mapping[str, str]) -> dict[str, str]:
    """Return embedding model → search model of its vectors; `chosen` comes from a stack, the rest from pipelines."""
    found = {pipeline.embeds: pipeline.searches for pipeline in _searches(models).values()}
    return {name: searches for name, searches in (found | dict(chosen)).items() if name in models}


def apart(model: Expected) -> bool:
    """Return whether a model reads another prefix before queries than before passages, by the settings of its step.

    Then a passage that is sent as a query has another vector than the stored one.
    """
    said = _settings(model, model.versions[-1]).get("prefixes") if model.versions else None
    return isinstance(said, dict) and said.get("query") != said.get("passage")


def count(model: Expected, version: str) -> int | None:
    """Return how many passages a search finds, by its config or its settings; None if neither says it."""
    ids: Mapping[str, Any] = next(
        (tensor for tensor in model.config.get("output", []) if tensor.get("name") == "ids"), {}
    )
    dims = [int(dim) for dim in ids.get("dims", [])]
    if dims and dims[0] > 0:
        return dims[0]
    top_k = _settings(model, version).get("top_k")
    return top_k if isinstance(top_k, int) and top_k > 0 else None


def limit(model: Expected, version: str) -> int:
    """Return how many passages a reranker returns at most; raise ValueError if its settings do not say it."""
    top_k = _settings(model, version).get("top_k")
    if not isinstance(top_k, int) or top_k < 1:
        raise ValueError("settings.json is not a JSON object with a top_k")
    return top_k


def _settings(model: Expected, version: str) -> Mapping[str, Any]:
    """Return the object in a version's settings.json; an empty one if it has none."""
    if not isinstance(model.contents.get(version, {}).get("settings.json"), File):
        return {}
    try:
        settings = json.loads(model.file(version, "settings.json").content())
    except (ValueError, RecursionError):
        return {}
    return settings if isinstance(settings, dict) else {}
