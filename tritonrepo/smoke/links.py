"""Who feeds whom in a repository: which index belongs to an embedder, and what a pipeline does with its query."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tritonrepo.smoke.expected import Expected
from tritonrepo.smoke.index import EMBEDDINGS, PASSAGES

INDEX = (EMBEDDINGS, PASSAGES)


class Pipeline(NamedTuple):
    """An ensemble from a query to a retriever's passages: its input, and the models that its first steps are."""

    query: str
    embedder: str
    retriever: str


def retrievers(models: Mapping[str, Expected]) -> list[str]:
    """Give the models that hold a search index."""
    return [name for name, model in models.items() if model.has(*INDEX)]


def prompts(models: Mapping[str, Expected]) -> list[str]:
    """Give the models that write prompts in a chat template."""
    return [name for name, model in models.items() if model.has("prompt.j2", "chat_template.jinja")]


def pipelines(models: Mapping[str, Expected]) -> dict[str, Pipeline]:
    """Give the ensembles that search, by name."""
    searching = set(retrievers(models))
    found = {name: _pipeline(model, searching) for name, model in models.items()}
    return {name: pipeline for name, pipeline in found.items() if pipeline is not None}


def _pipeline(model: Expected, searching: set[str]) -> Pipeline | None:
    steps = model.config.get("ensemble_scheduling", {}).get("step", [])
    makers = {tensor: step for step in steps for tensor in step.get("output_map", {}).values()}
    for step in steps:
        if step.get("model_name") in searching:
            source = makers.get(step.get("input_map", {}).get("embedding"), {})
            query = source.get("input_map", {}).get("text")
            if query is not None:
                return Pipeline(query, source["model_name"], step["model_name"])
    return None


def embedders(models: Mapping[str, Expected], chosen: Mapping[str, str]) -> dict[str, str]:
    """Give embedder → retriever; `chosen` is what a stack says, ensembles say the rest."""
    found = {pipeline.embedder: pipeline.retriever for pipeline in pipelines(models).values()}
    return {name: retriever for name, retriever in (found | dict(chosen)).items() if name in models}
