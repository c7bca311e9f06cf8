"""The judge of a pipeline that returns its sources: they come first, as JSON, and are passages of the index."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tritonrepo.smoke import search
from tritonrepo.smoke.case import SOURCES, Flaw, Judge, Reply
from tritonrepo.smoke.index import Index
from tritonrepo.smoke.judge import joined, text
from tritonrepo.smoke.links import Listing

OTHER = "Check that the pipeline searches exactly this index, and that its model.py is the one that build wrote."
FORM = 'a JSON list of objects such as {"id": "…", "text": "…", "score": 0.5}'


KNOWN = Listing()
ORDER = "Check that model.py lists the passages in the order of the prompt: an answer cites them by their numbers."


def listed(index: Index, listing: Listing = KNOWN) -> Judge:
    """Return the judge of a stream whose first response lists passages of an index, and whose answer follows."""

    def judge(reply: Reply) -> Iterator[Flaw]:
        having = [number for number, response in enumerate(reply.responses, 1) if SOURCES in response]
        if having != [1]:
            where = f"responses {', '.join(map(str, having))}" if having else "no response"
            yield Flaw(f"the sources are in {where}, but must be in the first one and no other", OTHER)
            return
        value = text(reply.responses[0][SOURCES].values.ravel()[0])
        sources = _read(value)
        if sources is None:
            yield Flaw(f"the sources are {value[:80]!r}, but must be {FORM}", OTHER)
            return
        found = [*_wrong(index, sources), *_mismatched(index, sources, listing)]
        yield from found[:1]

    return judge


def cited(reply: Reply) -> Iterator[Flaw]:
    """Yield what is wrong with the sources of a response that repeats its prompt: they are there in their order.

    A message template may change the texts of all passages, and the last one may be cut. Then nothing is known of them.
    """
    said = {name: "".join(map(text, values.tolist())) for name, values in joined(reply).items()}
    sources = _read(said.pop(SOURCES, ""))
    prompt, end, before = "".join(said.values()), 0, ""
    if sources is None or sum(source["text"] in prompt for source in sources) < 2:  # noqa: PLR2004  an order needs two
        return
    for number, source in enumerate(sources, 1):
        at = prompt.find(source["text"], end)
        if at < 0 and source["text"] in prompt:
            message = f'source {number}, "{source["id"][:60]}", is in the prompt before source {number - 1}, "{before}"'
            yield Flaw(message, ORDER)
            return
        if at < 0 and number < len(sources):
            yield Flaw(f'source {number}, "{source["id"][:60]}", is not in the prompt', ORDER)
            return
        end, before = at + 1, source["id"][:60]


def _read(value: str) -> list[dict[str, Any]] | None:
    """Return the list of sources; None if it does not have their form."""
    try:
        sources = json.loads(value)
    except (ValueError, RecursionError):
        return None
    fits = isinstance(sources, list) and all(
        isinstance(each, dict) and isinstance(each.get("id"), str) and isinstance(each.get("text"), str)
        for each in sources
    )
    return sources if fits else None


def _mismatched(index: Index, sources: list[dict[str, Any]], listing: Listing) -> Iterator[Flaw]:
    """Yield the first source that has the title, address or metadata of another passage, or a higher score."""
    for source in sources if listing.described else ():
        stored = [_stored(index, row) for row in index.rows.get(source["id"], ())]
        kinds = [kind for kind in ("title", "url", "metadata") if kind in source]
        for kind in kinds if not any(all(source[k] == known[k] for k in kinds) for known in stored) else ():
            if stored and source[kind] != stored[0][kind]:
                shown, right = (_shown(value[kind]) for value in (source, stored[0]))
                yield Flaw(
                    f'the source "{source["id"][:60]}" does not have its stored {kind}: {shown}, not {right}', OTHER
                )
                return
    scores = [source["score"] for source in sources if isinstance(source.get("score"), int | float)]
    rise = search.rise(scores) if listing.ranked else ""
    if rise:
        yield Flaw(f"the sources have {rise}", ORDER)


def _stored(index: Index, row: int) -> dict[str, Any]:
    """Return what a source says of a passage of the index."""
    said = dict(index.metadata[row])
    return {"title": said.pop("title", None), "url": said.pop("url", None), "metadata": said}


def _shown(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)[:80]


def _wrong(index: Index, sources: list[dict[str, Any]]) -> Iterator[Flaw]:
    """Yield what is wrong with the passages."""
    if not sources:
        yield Flaw("the answer has no sources, although its question is the text of a passage", OTHER)
    rows: list[int] = []
    for source in sources:
        id_ = source["id"]
        row = index.row(id_, source["text"], rows)
        if row is not None:
            rows.append(row)
        elif id_ not in index.rows:
            yield Flaw(f'the id "{id_[:60]}" of a source is not in the index', OTHER)
        else:
            twice = index.row(id_, source["text"], ()) is not None
            what = "is listed twice" if twice else f'does not have the stored text: "{source["text"][:60]}…"'
            yield Flaw(f'the source "{id_[:60]}" {what}', OTHER)
