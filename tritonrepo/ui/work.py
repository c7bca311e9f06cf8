"""What the page asks for: the server's models, drawings, answers and steps, each by a client of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tritonrepo.diagnostics import Stop
from tritonrepo.flows import graph, served
from tritonrepo.flows.asking import said
from tritonrepo.flows.tracing import trace
from tritonrepo.report.graph import Pipeline
from tritonrepo.server.client import Client, ModelState
from tritonrepo.server.endpoint import Endpoint
from tritonrepo.server.questions import READY, of_config, question_to
from tritonrepo.ui import shown
from tritonrepo.ui.shown import Data

LOOKED_AT = 64
"""Of how many models the configs are read at once, to tell which of them take a text."""

Lines = Callable[[Client], Iterator[Data]]


@dataclass(frozen=True, slots=True)
class Work:
    """One server, and the pipelines that a stack or repository has beyond what the server says of them."""

    server: Endpoint
    known: Mapping[str, Pipeline]

    def overview(self, client: Client) -> Data:
        """Return the server's models: what answers first, then what searches, then what else takes a text."""
        states = client.index()
        models = {state.name: state for state in states}
        models |= {state.name: state for state in states if state.state == READY}
        ready = [name for name, state in models.items() if state.state == READY]
        kinds = {name: self._kind(client, name) for name in ready[:LOOKED_AT]}
        listed = [_model(state, kinds.get(name, UNKNOWN)) for name, state in models.items()]
        places = {kind: place for place, kind in enumerate(ORDER)}
        listed.sort(key=lambda model: (not model["pipeline"], places[model["kind"]], model["name"]))
        return {"url": client.url, "server": _about(client), "models": listed}

    def _kind(self, client: Client, name: str) -> tuple[str, bool]:
        config = client.config(name)
        pipeline = bool(served.steps(config)) or (name in self.known and not self.known[name].alone)
        try:
            asked = of_config(client.url, name, config)
        except Stop:
            return "none", pipeline
        return "searches" if asked.searches else "answers" if asked.answer else "outputs", pipeline

    def drawing(self, client: Client, model: str) -> Data:
        """Return the picture of a pipeline, and the same in words."""
        question_to(client, model)
        found = [served.pipeline(client, model, self.known)]
        return {"svg": graph.drawn(found, "svg"), "text": graph.drawn(found, "text"), "alone": found[0].alone}

    def ask(self, model: str, text: str) -> Lines:
        """Return what yields the answer of a model."""

        def lines(client: Client) -> Iterator[Data]:
            for each in said(client, question_to(client, model), text):
                yield shown.said(each)

        return lines

    def steps(self, model: str, text: str) -> Lines:
        """Return what yields the steps of a pipeline, each once it has ended."""

        def lines(client: Client) -> Iterator[Data]:
            asked = question_to(client, model)
            pipeline = served.pipeline(client, model, self.known)
            yield {"steps": [step.model for step in pipeline.steps], "alone": pipeline.alone}
            for each in trace(client, pipeline, asked, text):
                yield shown.traced(each)

        return lines


ORDER = ("answers", "searches", "outputs", "unknown", "none")
"""What a model returns for a text; `unknown`: nobody has looked yet, `none`: it takes no text alone."""

UNKNOWN = ("unknown", False)


def _model(state: ModelState, kind: tuple[str, bool]) -> Data:
    ready = state.state == READY
    return {
        "name": state.name,
        "ready": ready,
        "reason": state.reason,
        "kind": kind[0] if ready else "none",
        "pipeline": ready and kind[1],
    }


def _about(client: Client) -> str:
    """Return the server's name and version, as far as it says them."""
    try:
        told: Any = json.loads(client.peek("/v2")[1])
        return f"{told['name']} {told['version']}"
    except (KeyError, TypeError, ValueError):
        return ""
