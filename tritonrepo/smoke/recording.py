"""Recording a smoke test as a plan: what was sent, and what came back, so that it runs elsewhere without sources."""

from __future__ import annotations

import base64
import json
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tritonrepo.server.tensors import Request, Tensor
from tritonrepo.smoke.case import SOURCES, Answered, Case, Crowd, Protocol, Reply
from tritonrepo.smoke.judge import joined, text
from tritonrepo.smoke.nearness import AGREED, differing
from tritonrepo.smoke.served import Served

SCHEMA = 1
"""Raised by a change that breaks readers; keys are added, never renamed."""

MOST_SENT = 1 << 16
"""How many values an input may have, unless all are equal: it must be sent as a whole."""

MOST_KEPT = 1000
"""How many values of an output are kept: of more, every second, third …"""

LONGEST = 1 << 20
"""How many bytes the strings of a tensor may have."""

WHOLE = 32 << 20
"""How many characters the cases of a plan may have; what is asked after that is left out."""

ECHO = 10
"""From this many characters on, a text that an answer repeats is repeated on purpose."""

Sent = tuple[Request, dict[str, Any]]
"""A request, and what is expected of the response."""


class Recorder:
    """What is kept of a run; several threads may add to it."""

    def __init__(self, safe: Callable[[str], str]) -> None:
        self._safe, self._turn, self._size = safe, threading.Lock(), 0
        self._cases: dict[tuple[str, ...], dict[str, Any]] = {}
        self._left: list[dict[str, str]] = []
        self.served: list[Served] = []

    def single(self, case: Case, replies: Mapping[Protocol, Answered]) -> None:
        """Keep a case with its responses over each protocol."""
        if replies:
            protocols = [str(protocol) for protocol in replies]
            compared = None if case.compared is None else str(case.compared)
            self._add(
                case, lambda: [(case.request, _expectation(case, replies))], protocols=protocols, compared=compared
            )

    def crowd(self, crowd: Crowd, protocol: Protocol, answers: Sequence[Answered]) -> None:
        """Keep requests that were sent all at once, each with its response."""

        def sent() -> list[Sent]:
            return [
                (case.request, _expectation(case, {protocol: answered}) | _repeats(case, answered))
                for case, answered in zip(crowd.cases, answers, strict=True)
            ]

        self._add(crowd.cases[0], sent, at_once=True, batched=crowd.batched)

    def plan(self, server: Mapping[str, object]) -> str:
        """Return the plan as JSON; the cases of each model in the order in which they were sent."""
        models = [{"name": one.name, "version": one.version, "config": one.config} for one in self.served]
        cases = sorted(self._cases.values(), key=lambda case: (str(case["model"]), int(case["version"])))
        whole = {"schema": SCHEMA, "server": server, "models": models, "cases": cases, "left_out": self._left}
        return self._safe(json.dumps(whole, indent=1, allow_nan=False)) + "\n"

    @property
    def count(self) -> int:
        """The number of cases."""
        return len(self._cases)

    def _add(self, case: Case, sent: Callable[[], list[Sent]], **more: object) -> None:
        head = {"model": case.request.model, "version": case.request.version, "check": str(case.check)}
        key = (*head.values(), case.what, str(more.get("at_once", "")))
        try:
            requests = [{**_sent(request), "expect": expect} for request, expect in sent()]
            made = {**head, "case": case.what, "streamed": case.streamed, **more, "requests": requests}
        except ValueError as error:
            self._leave(head, case.what, str(error))
            return
        written = json.dumps(made, allow_nan=False)
        if self._safe(written) != written:
            self._leave(head, self._safe(case.what), "it contains a secret of the headers")
            return
        with self._turn:
            if self._size + len(written) <= WHOLE:
                if self._cases.setdefault(key, made) is made:
                    self._size += len(written)
                return
        self._leave(head, case.what, f"the plan has {WHOLE >> 20} MiB already")

    def _leave(self, head: Mapping[str, str], what: str, reason: str) -> None:
        with self._turn:
            self._left.append({**head, "case": what, "reason": reason})


def _sent(request: Request) -> dict[str, Any]:
    inputs = [_input(tensor) for tensor in request.inputs]
    sequence = {"sequence": request.sequence} if request.sequence else {}
    return {"inputs": inputs, **sequence, **({} if request.ends else {"ends": False})}


def _input(tensor: Tensor) -> dict[str, Any]:
    head = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.values.shape)}
    values = tensor.values.ravel().tolist()
    if len(values) > 1 and all(value == values[0] for value in values):
        return {**head, "all": _value(values[0])}
    if len(values) > MOST_SENT:
        raise ValueError(f"input {tensor.name} has more than {MOST_SENT:,} values")
    return {**head, "data": _values(values, f"input {tensor.name}")}


def _expectation(case: Case, replies: Mapping[Protocol, Answered]) -> dict[str, Any]:
    """Return what is expected of a request: the first right response, else the wrong one and why it is wrong."""
    right = [answered for answered in replies.values() if not answered.wrong]
    reply = (right or [*replies.values()])[0].reply
    varying = {name for one in right[1:] for name in differing(joined(reply), joined(one.reply), AGREED)}
    if case.streamed:
        varying |= {name for name, values in joined(reply).items() if values.dtype == object and name != SOURCES}
    expect: dict[str, Any] = {"outputs": [_output(case, reply, name, varying) for name in joined(reply)]}
    if case.streamed and not varying:
        expect["responses"] = len(reply.responses)
    if not right:
        expect["wrong"] = next(iter(replies.values())).flaws[0].message
    return expect


def _output(case: Case, reply: Reply, name: str, varying: set[str]) -> dict[str, Any]:
    values = joined(reply)[name]
    tensor = next(response[name] for response in reply.responses if name in response)
    head: dict[str, Any] = {"name": name, "datatype": tensor.datatype}
    if name in varying:
        return {**head, "varies": True, "empty": not any(text(value) for value in values.tolist())}
    if not case.streamed and len(reply.responses) == 1:
        head["shape"] = list(tensor.values.shape)
    every = max(1, math.ceil(values.size / MOST_KEPT))
    if every > 1:
        head |= {"count": values.size, "every": every}
    return {**head, "data": _values(values[::every].tolist(), f"output {name}")}


def _repeats(case: Case, answered: Answered) -> dict[str, str]:
    """Return the text of a request that its streamed answer repeats, and must repeat again."""
    if not case.streamed or answered.wrong:
        return {}
    said = "".join(text(value) for values in joined(answered.reply).values() for value in values.tolist())
    given = [text(v) for t in case.request.inputs if t.datatype == "BYTES" for v in t.values.ravel().tolist()]
    return next(({"contains": each} for each in given if len(each) >= ECHO and each in said), {})


def _values(values: Sequence[object], what: str) -> list[Any]:
    if sum(len(value) for value in values if isinstance(value, bytes)) > LONGEST:
        raise ValueError(f"the strings of {what} have more than {LONGEST >> 20} MiB")
    return [_value(value) for value in values]


def _value(value: object) -> Any:  # noqa: ANN401  JSON
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
