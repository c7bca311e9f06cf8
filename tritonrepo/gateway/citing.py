"""The sources of an answer as citations: OpenAI's annotations, and the form of NVIDIA's RAG Blueprint.

Sources of the forms: the official client, types/chat/chat_completion_message.py, `Annotation`; the RAG Blueprint's
server, `citations` with `total_results` and `results`.
"""

from __future__ import annotations

import json
import math
from typing import Any

from tritonrepo.server.calls import BROKEN, CallError

Source = dict[str, Any]


def sources(text: str) -> list[Source]:
    """Return the sources that a pipeline lists; raise CallError if they are no list of passages."""
    try:
        listed = json.loads(text)
    except (ValueError, RecursionError):
        listed = None
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise CallError(BROKEN, "the sources of the answer cannot be read")
    return listed


def citations(listed: list[Source]) -> dict[str, Any]:
    """Return sources in the Blueprint's form."""
    results = [
        {
            "document_id": _text(each.get("id")),
            "content": _text(each.get("text")),
            "document_name": _text(each.get("title")) or _text(each.get("id")),
            "document_type": "text",
            "score": number(each.get("score")),
            "metadata": {**_object(each.get("metadata")), **({"url": each["url"]} if each.get("url") else {})},
        }
        for each in listed
    ]
    return {"total_results": len(results), "results": results}


def annotated(listed: list[Source], length: int) -> list[dict[str, Any]]:
    """Return the sources that have a URL as citations of a whole answer, which has `length` characters."""
    return [
        {
            "type": "url_citation",
            "url_citation": {
                "start_index": 0,
                "end_index": length,
                "title": _text(each.get("title")) or _text(each.get("id")),
                "url": _text(each["url"]),
            },
        }
        for each in listed
        if each.get("url")
    ]


def number(value: object) -> float | None:
    """Return a score, None if it is not a finite number."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if good else None  # type: ignore[arg-type]  # it is a number by now


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
