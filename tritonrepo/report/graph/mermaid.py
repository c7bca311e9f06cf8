"""Pipelines as a Mermaid flowchart, which Markdown viewers draw."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from tritonrepo.plain import inline
from tritonrepo.report.graph import END, START, Pipeline, edges

SPECIAL = re.compile(r"[^\w .,:/()\[\]-]|^ | $")
"""Characters that Mermaid could read as syntax, even in quotes; it has decimal character codes for them."""


def drawn(pipelines: Iterable[Pipeline]) -> str:
    """Return the flowchart, with a box around each pipeline."""
    return "\n".join(["flowchart LR", *(line for n, each in enumerate(pipelines) for line in _lines(f"p{n}", each))])


def _lines(own: str, pipeline: Pipeline) -> Iterator[str]:
    yield f"  subgraph {own}[{_quoted(pipeline.name)}]"
    for number, tensor in enumerate(pipeline.inputs):
        words = [tensor.name, tensor.type, *(["optional"] if tensor.optional else [])]
        yield f"    {own}i{number}([{_quoted(*words)}])"
    for number, step in enumerate(pipeline.steps):
        yield f"    {own}s{number}[{_quoted(step.model, step.about)}]"
    for number, tensor in enumerate(pipeline.outputs):
        yield f"    {own}o{number}([{_quoted(tensor.name, tensor.type)}])"
    for edge in edges(pipeline):
        source = f"{own}i{edge.out}" if edge.source == START else f"{own}s{edge.source}"
        target = f"{own}o{edge.into}" if edge.target == END else f"{own}s{edge.target}"
        plain = edge.source == START or edge.target == END
        label = "" if plain else f"|{_quoted(edge.tensor, edge.type)}|"
        yield f"    {source} -->{label} {target}"
    for number, step in enumerate(pipeline.steps):
        for place, called in enumerate(step.calls):
            yield f"    {own}s{number} -. calls .-> {own}s{number}c{place}[{_quoted(called)}]"
    yield "  end"


def _quoted(*words: str) -> str:
    """Return the words on a line each, as a text that Mermaid does not interpret."""
    lines = (SPECIAL.sub(lambda found: f"#{ord(found[0])};", inline(word)) for word in words if word)
    return f'"{"<br/>".join(lines)}"'
