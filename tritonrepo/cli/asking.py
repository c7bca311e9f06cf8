"""A question to a running server, for `ask` and `up --ask`: sources go to stderr, the streamed answer to stdout."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

from tritonrepo.cli.output import document, piece, say, talk
from tritonrepo.diagnostics import Stop, failure
from tritonrepo.flows.asking import Found, Passage, Pipelines, Said, replies
from tritonrepo.server.endpoint import Endpoint

EXCERPT = 100


def ask(url: str, names: Pipelines, question: str) -> int:
    """Print the sources to stderr and the answer to stdout as it arrives; raise Stop if no answer arrives."""
    told(url, f'ensemble "{names.answer}"', replies(Endpoint(url), names, question))
    return 0


def told(url: str, who: str, replies: Iterable[Said]) -> None:
    """Print what a model says as it arrives; raise Stop if that is nothing. What a search finds is its result."""
    length, ending = 0, "\n"
    try:
        for said in replies:
            match said:
                case str():
                    length += len(said)
                    piece(said)
                case dict():
                    length, ending = length + 1, ""
                    document(json.dumps(said, ensure_ascii=False))
                case Found(passages):
                    length, ending = length + len(passages), ""
                    say(*_lines(passages))
                case _:
                    talk(*_lines(said))
    except (Stop, KeyboardInterrupt):
        piece(ending if length else "")
        raise
    piece(ending)
    if not length:
        raise empty(url, who)


def _lines(found: Sequence[Passage]) -> Iterator[str]:
    return (_line(number, source) for number, source in enumerate(found, 1))


def empty(url: str, who: str) -> Stop:
    """Return the Stop for an answer without any text."""
    return failure("ask-empty", url, f"{who} finished without an answer", "Check the ensemble's prompt, or ask again.")


def _line(number: int, source: Passage) -> str:
    """Return a source as one line: its number, what names it, its score, and where it is or how it begins."""
    return f"[{number}] {source.title or source.id}  {source.score:.3f}  {source.url or f'{source.text[:EXCERPT]}…'}"
