"""The judge of a pipeline that returns its sources: they come first, as JSON, and are passages of the index."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tritonrepo.smoke.answers import SOURCES
from tritonrepo.smoke.case import Flaw, Judge, Reply
from tritonrepo.smoke.index import Index
from tritonrepo.smoke.judge import text

OTHER = "Check that the pipeline searches exactly this index, and that its model.py is the one that build wrote."
FORM = 'a JSON list of objects such as {"id": "…", "text": "…", "score": 0.5}'


def listed(index: Index) -> Judge:
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
        yield from list(_wrong(index, sources))[:1]

    return judge


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
