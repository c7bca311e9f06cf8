"""What the page shows of answers, steps and faults, as JSON data: texts are cut, and so are tensors."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from tritonrepo.diagnostics import Stop
from tritonrepo.flows.asking import Found, Passage, Said
from tritonrepo.flows.tracing import Traced, Value
from tritonrepo.plain import hidden

VALUES, CHARACTERS, PASSAGE = 8, 400, 4000
"""The first values of a tensor, and characters of one value and of a passage."""

Data = dict[str, Any]


def said(said: Said) -> Data:
    """Return what arrived of an answer."""
    match said:
        case str():
            return {"piece": said}
        case dict():
            return {"outputs": [_output(name, value) for name, value in said.items()]}
        case Found(passages):
            return {"found": _passages(passages)}
        case _:
            return {"sources": _passages(said)}


def traced(done: Traced) -> Data:
    """Return a step that was called."""
    step = done.step
    about = {"model": step.model, "version": step.version, "backend": step.backend}
    return {
        "step": about,
        "ms": round(done.ms, 1),
        "responses": done.responses,
        "got": [*map(_tensor, done.got)],
        "gave": [*map(_tensor, done.gave)],
    }


def fault(stop: Stop) -> Data:
    """Return what stopped a request: the first fault, with the next step."""
    first = stop.diagnostics[0]
    return {"error": {"message": hidden(first.message), "hint": first.hint, "rule": first.rule}}


def wrong(message: str, hint: str = "") -> Data:
    """Return a fault of the request itself."""
    return {"error": {"message": message, "hint": hint, "rule": ""}}


def _passages(passages: Iterable[Passage]) -> list[Data]:
    return [
        {**each._asdict(), "text": _cut(each.text, PASSAGE), "score": each.score if math.isfinite(each.score) else None}
        for each in passages
    ]


def _tensor(each: Value) -> Data:
    values = each.value.values
    return {
        "name": each.name,
        "tensor": each.tensor,
        "type": each.value.datatype,
        "shape": list(values.shape),
        "first": [*map(_value, values.ravel()[:VALUES].tolist())],
        "more": max(0, int(values.size) - VALUES),
    }


def _output(name: str, value: object) -> Data:
    values = value if isinstance(value, list) else [value]
    shown = [*map(_value, values[:VALUES])]
    return {"name": name, "first": shown, "more": max(0, len(values) - VALUES)}


def _value(value: object) -> str:
    """Return a value as text; JSON has no NaN, and the page shows nothing else."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, float):
        return f"{value:.5g}"
    return _cut(value if isinstance(value, str) else str(value), CHARACTERS)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}…"
