"""The dashboard of engines for language models: vLLM, NIM, and Triton's vLLM backend beside vLLM."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from tritonrepo.deploy.observe.exposed import WINDOW, Exposed
from tritonrepo.deploy.observe.panels import Board, Panel, Query, Row, Variable
from tritonrepo.deploy.observe.servers import KINDS, Server, System
from tritonrepo.deploy.observe.watched import Watched

ANYWHERE = ('job=~"$job"', 'namespace=~"$namespace"')
QUANTILES = {"0.5": "p50", "0.95": "p95", "0.99": "p99"}
FIRST = ("prompt_tokens", "generated_tokens", "first_token")
"""Metrics by which a dashboard finds the servers: an engine has at least one of them."""

TIMES = {
    "first_token": "First token",
    "token_gap": "Between two tokens",
    "answer_duration": "Whole answer",
    "answer_queue_duration": "Waiting for the engine",
    "prefill_duration": "Computing the prompt",
    "decode_duration": "Computing the answer",
}
LENGTHS = {"prompt_length": "Length of prompts", "answer_length": "Length of answers"}


class Part(NamedTuple):
    """Engines with the same names and labels of metrics. `variable` is that of their models."""

    title: str
    metrics: Exposed
    variable: str


def engines(servers: Mapping[System, Server], backend: Exposed | None, seen: Watched) -> dict[str, Board]:
    """Return file name → dashboard of the engines that there are; those in Triton are with those of vLLM."""
    found = dict[str, Board]()
    for system in (System.VLLM, System.NIM):
        server = servers.get(system)
        parts = [Part(KINDS[system].says, server.metrics, "model")] if server is not None else []
        if system is System.VLLM and backend is not None:
            parts.append(Part("vLLM in Triton", backend, "model_in_triton"))
        parts = [part for part in parts if any(map(part.metrics.has, FIRST))]
        if parts:
            found[system] = _board(seen, system, parts)
    return found


def values(on: Exposed, meaning: str, label: str) -> str:
    """Return the query for the values that a label of a metric has."""
    names = [name.name for name in on.names(meaning)]
    ending = "_count" if meaning == "first_token" else ""
    matchers = ", ".join([f'__name__=~"{"|".join(f"{name}{ending}" for name in names)}"', *on.matching])
    return f"label_values({{{matchers}}}, {label})"


def _board(seen: Watched, system: System, parts: list[Part]) -> Board:
    says = KINDS[system].says
    variables = dict[str, Variable]()
    jobs = "|".join(dict.fromkeys(part.metrics.where["job"] for part in parts))
    for part in parts:
        on = replace(part.metrics, where={})
        first = next(meaning for meaning in FIRST if on.has(meaning))
        variables.setdefault("job", Variable("job", values(on, first, "job"), jobs if len(parts) == 1 else ""))
        variables.setdefault("namespace", Variable("namespace", values(on, first, "namespace")))
        label = on.label("model")
        variables[part.variable] = Variable(part.variable, values(replace(on, matching=ANYWHERE), first, label))
    rows = [row for part in parts for row in _rows(part)]
    text = f"Engines of {says}: what waits, how full the KV cache is, and how fast answers come."
    return Board(f"{seen.uid}-{system}", f"{seen.name}: {says}", text, tuple(variables.values()), rows)


def _rows(part: Part) -> Iterator[Row]:
    metrics = replace(part.metrics, where={})
    label = metrics.label("model")
    on = replace(metrics, matching=(*ANYWHERE, f'{label}=~"${part.variable}"'))
    model = f"{{{{{label}}}}}"
    yield Row(f"{part.title}: load", [*_load(on, model)])
    yield Row(f"{part.title}: times", [*_quantiles(on, model, TIMES, "s")])
    yield Row(f"{part.title}: lengths", [*_quantiles(on, model, LENGTHS, "short")])


def _load(on: Exposed, model: str) -> Iterator[Panel]:
    states = {"requests_running": "running", "requests_waiting": "waiting"}
    shown = [
        Query(on.total(meaning, "model"), f"{model} {says}") for meaning, says in states.items() if on.has(meaning)
    ]
    if shown:
        yield Panel("Requests", "short", shown, "What waits needs room in the KV cache, or a place among max_num_seqs.")
    if on.has("kv_cache_usage"):
        usage = [Query(on.highest("kv_cache_usage", "model"), model)]
        yield Panel("KV cache", "percentunit", usage, "The fullest replica. Full is fine as long as nothing waits.")
    tokens = {"prompt_tokens": "prompts", "generated_tokens": "answers"}
    shown = [
        Query(on.rate(meaning, WINDOW, "model"), f"{model} {says}")
        for meaning, says in tokens.items()
        if on.has(meaning)
    ]
    if shown:
        yield Panel("Tokens per second", "short", shown)
    if on.has("answers_finished"):
        yield Panel(
            "Answers",
            "reqps",
            [Query(on.rate("answers_finished", WINDOW, "model", "finish"), f"{model} {{{{{on.label('finish')}}}}}")],
            "By why they ended: stop, length, abort, error.",
        )
    if on.has("preemptions"):
        shown = [Query(on.rate("preemptions", WINDOW, "model"), model)]
        yield Panel("Interrupted answers", "ops", shown, "Each of them is computed again from its beginning.")
    if on.has("prefix_cache_hits", "prefix_cache_queries"):
        hits, queries = (on.rate(meaning, WINDOW, "model") for meaning in ("prefix_cache_hits", "prefix_cache_queries"))
        yield Panel(
            "Prefix cache", "percentunit", [Query(f"{hits} / {queries}", model)], "Tokens of prompts that it had."
        )


def _quantiles(on: Exposed, model: str, meanings: Mapping[str, str], unit: str) -> Iterator[Panel]:
    for meaning, title in meanings.items():
        if on.has(meaning):
            shown = [
                Query(on.quantile(each, meaning, WINDOW, "model"), f"{model} {says}")
                for each, says in QUANTILES.items()
            ]
            yield Panel(title, unit, shown)
