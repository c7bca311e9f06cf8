"""/v1/rerank, /v2/rerank and /rerank: documents by their relevance for a query.

Source of the form: https://docs.cohere.com/reference/rerank, https://jina.ai/reranker, and vLLM's
entrypoints/score/protocol.py, RerankRequest. `relevance_score` is what the reranker returns in `scores`: no function is
applied to it here.
"""

from __future__ import annotations

import uuid
from typing import Any, NamedTuple

from tritonrepo.gateway.answering import count, read
from tritonrepo.gateway.citing import number
from tritonrepo.gateway.fields import Fields, Number, sendable, shown
from tritonrepo.gateway.gate import Gate
from tritonrepo.gateway.problem import wrong
from tritonrepo.gateway.telling import Asked, Out
from tritonrepo.gateway.together import together
from tritonrepo.server.calls import BROKEN, CallError, Context
from tritonrepo.server.offering import Offer
from tritonrepo.server.tensors import Request, of_values

KNOWN = frozenset({"model", "query", "documents", "top_n", "return_documents"})
MOST = 1000
"""How many documents a request may have."""

AT_ONCE = 8
"""How many requests are sent to the model at once for one of ours."""

Scores = dict[int, float | None]


class Wish(NamedTuple):
    """A query, and the documents whose scores are wanted."""

    query: str
    documents: list[str]


async def rerank(gate: Gate, asked: Asked, out: Out) -> None:
    """Send the documents of a request, the most relevant one first."""
    fields = Fields(asked.body, KNOWN)
    wish = Wish(fields.text("query"), _documents(fields))
    top = fields.number("top_n", Number(1, 1 << 31, whole=True))
    shows = fields.flag("return_documents") if "return_documents" in fields.values else True
    offer = await gate.offers.get(fields.text("model"), "rerank")
    asked.model = offer.name
    most = len(wish.documents) if top is None else min(int(top), len(wish.documents))
    scores, tokens = await _scores(gate, offer, wish, most, asked.context(gate.options.timeout_s))
    order = sorted(scores, key=lambda place: (-_comparable(scores[place]), place))[:most]
    results = [
        {
            "index": place,
            "relevance_score": scores[place],
            **({"document": {"text": wish.documents[place]}} if shows else {}),
        }
        for place in order
    ]
    usage = read(gate, asked.model, [tokens])
    await out.json({"id": f"rerank-{uuid.uuid4().hex}", "model": asked.model, "results": results, "usage": usage})


def _documents(fields: Fields) -> list[str]:
    given = fields.values.get("documents")
    if not isinstance(given, list) or not given:
        raise wrong("`documents` must be a list with at least one document", "documents")
    if len(given) > MOST:
        raise wrong(f"`documents` must have at most {MOST} documents, not {len(given)}", "documents")
    return [_document(each, f"documents[{place}]") for place, each in enumerate(given)]


def _document(value: Any, at: str) -> str:  # noqa: ANN401  foreign data
    text = value.get("text") if isinstance(value, dict) else value
    if not isinstance(text, str):
        raise wrong(f'`{at}` must be a string or {{"text": "…"}}, not {shown(value)}', at)
    return sendable(text)


async def _scores(gate: Gate, offer: Offer, wish: Wish, most: int, about: Context) -> tuple[Scores, int | None]:
    """Return the scores of at least the best documents, by place, and how many tokens all documents and the query have.

    A reranker returns only its `top_k` best ones, which no config shows: the first response does. The score of a
    document does not depend on the others, so that the rest is sent in groups of that size.
    """
    places = [*range(len(wish.documents))]
    found, tokens = await _asked(gate, offer, wish, places, about)
    size = len(found)
    rest = [place for place in places if place not in found]
    if not rest or size >= most:
        return found, tokens

    async def group(own: list[int]) -> Scores:
        scores, _ = await _asked(gate, offer, wish, own, about)
        if len(scores) != len(own):
            raise CallError(BROKEN, f"the reranker returned {len(scores)} of {len(own)} documents, but {size} before")
        return scores

    groups = await together(group, [rest[at : at + size] for at in range(0, len(rest), size)], AT_ONCE)
    return found | {place: score for scores in groups for place, score in scores.items()}, tokens


async def _asked(gate: Gate, offer: Offer, wish: Wish, places: list[int], about: Context) -> tuple[Scores, int | None]:
    shape = offer.shape("passages", len(places))
    inputs = (
        of_values("query", "BYTES", [wish.query], offer.shape("query")),
        of_values("passages", "BYTES", [wish.documents[place] for place in places], shape),
        of_values("ids", "BYTES", [str(place) for place in places], shape),
    )
    made = await gate.calls.infer(Request(offer.name, "", inputs), about)
    try:
        ids = [int(bytes(each)) for each in made["ids"].values.ravel()]
        scores = [number(float(each)) for each in made["scores"].values.ravel()]
        found = dict(zip(ids, scores, strict=True))
    except (KeyError, TypeError, ValueError) as error:
        raise CallError(BROKEN, f"the response is not that of a reranker: {error}") from None
    if not found or not found.keys() <= {*places}:
        raise CallError(BROKEN, "the response is not that of a reranker: its ids are not those of the documents")
    return found, count(made, "num_input_tokens")


def _comparable(score: float | None) -> float:
    return float("-inf") if score is None else score
