"""Asking a served stack: its sources and its streamed answer, for `up --ask`."""

from __future__ import annotations

from typing import NamedTuple

from tritonrepo.cli.output import piece, say
from tritonrepo.diagnostics import failure, fatal
from tritonrepo.server.client import Client
from tritonrepo.spec.stack import Generator, Stack

EXCERPT = 100


class Pipelines(NamedTuple):
    """Which ensemble answers and which only finds; None where the stack has none of the kind."""

    answer: str | None
    search: str | None


def pipelines(stack: Stack, *, needed: bool) -> Pipelines:
    """Give the pipelines that a question goes to; raise Stop where one is needed and the stack has none."""
    answering = [name for name, e in stack.ensembles.items() if isinstance(stack.models[e.chain[-1]], Generator)]
    finding = [name for name in stack.ensembles if name not in answering]
    if needed and not answering:
        raise fatal(
            "ask-pipeline",
            stack.places[""],
            "no ensemble ends in a generator, so nothing can answer",
            "Add one under ensembles.",
        )
    return Pipelines(next(iter(answering), None), next(iter(finding), None))


def ask(url: str, names: Pipelines, question: str) -> int:
    """Print sources to stderr and the answer to stdout as it comes; exit code 1 where no answer came."""
    client = Client(url)
    if names.search:
        found = client.generate(names.search, {"query": question})
        for number, (id_, score, text) in enumerate(_rows(found), 1):
            say(f"[{number}] {id_}  {score:.3f}  {text[:EXCERPT]}…", err=True)
    assert names.answer is not None  # noqa: S101  pipelines sees to it
    length = 0
    for event in client.stream(names.answer, {"query": question, "stream": True}):
        said = str(event.get("answer", ""))
        length += len(said)
        piece(said)
    piece("\n")
    if not length:
        raise failure(
            "ask-empty", url, f'"{names.answer}" ended without an answer', "Ask again, or look at its prompt."
        )
    return 0


def _rows(found: dict[str, object]) -> list[tuple[str, float, str]]:
    """Give id, score and text of each passage; a single one comes without a list."""
    columns = [
        value if isinstance(value, list) else [value] for value in (found.get(k) for k in ("ids", "scores", "passages"))
    ]
    return [(str(id_), float(score), str(text)) for id_, score, text in zip(*columns, strict=True)]
