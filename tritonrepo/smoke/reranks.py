"""What a reranker says by itself of the passages of a pipeline: the pipeline must pass it the query of the request."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tritonrepo.diagnostics import Span
from tritonrepo.smoke import links
from tritonrepo.smoke.case import SOURCES, Case, Check, Flaw, Judge, Reply
from tritonrepo.smoke.expected import Expected
from tritonrepo.smoke.judge import both, text, well_formed
from tritonrepo.smoke.made import ask, given
from tritonrepo.smoke.search import Search
from tritonrepo.smoke.served import of_config

NEAR = 0.02
"""How far scores of one pair may be apart, relative to those above 1: other lists fill the batch, in half precision."""


class Alone(NamedTuple):
    """The case of a reranker by itself, and the judge of a pipeline's reply to the same query, which follows it."""

    case: Case
    judge: Judge


def alone(models: Mapping[str, Expected], name: str, found: Search, row: int, at: Span) -> Alone | None:
    """Return the case of a pipeline's reranker with the best passages for a stored one; None without a reranker."""
    ranker = links.ranker(models, name)
    if ranker is None:
        return None
    model, version = ranker
    index, served = found.index, of_config({**models[model].config, "name": model}, version, at)
    rows = index.best([row], min(found.count or len(index.ids), len(index.ids)))[0].rows.tolist()
    inputs: dict[str, list[Any]] = {
        "query": [index.texts[row]],
        "passages": [[index.texts[each] for each in rows]],
        "ids": [[index.ids[each] for each in rows]],
        "metadata": [[json.dumps(dict(index.metadata[each])) for each in rows]],
    }
    takes = {tensor.name for tensor in served.inputs}
    if not {"query", "passages", "ids"} <= takes:  # the server completes its config
        return None
    request = ask(served, [given(served, kind, *values) for kind, values in inputs.items() if kind in takes])
    scores: dict[str, float] = {}

    def remember(reply: Reply) -> Iterator[Flaw]:
        answer = reply.responses[0]
        if {"passages", "scores"} <= answer.keys():
            texts = [text(value) for value in answer["passages"].values.ravel().tolist()]
            scores.update(zip(texts, answer["scores"].values.ravel().tolist(), strict=False))
        yield from ()

    case = Case(Check.RANKING, request, both(well_formed(served, 1), remember), at, f"for {name}")

    def judge(reply: Reply) -> Iterator[Flaw]:
        known = [(id_, score, scores[passage]) for id_, passage, score in _listed(reply) if passage in scores]
        for id_, score, own in known:
            if abs(score - own) > NEAR * max(1, abs(own)):
                message = (
                    f'"{id_[:60]}" has a score of {score:.4f}, but {model} by itself returns {own:.4f} for this query'
                )
                yield Flaw(message, f"Check that {name} passes the query of the request to {model}.")
                return

    return Alone(case, judge)


def _listed(reply: Reply) -> list[tuple[str, str, float]]:
    """Return id, text and score of each passage of a reply, or of its sources; those that have a score."""
    answer = reply.responses[0]
    if SOURCES in answer:
        sources = json.loads(text(answer[SOURCES].values.ravel()[0]))
        found = [(each["id"], each["text"], each.get("score")) for each in sources]
    else:
        columns = [answer[name].values.ravel().tolist() for name in ("ids", "passages", "scores") if name in answer]
        found = [(text(id_), text(passage), score) for id_, passage, score in zip(*columns, strict=False)]
    return [(id_, passage, float(score)) for id_, passage, score in found if isinstance(score, int | float)]
