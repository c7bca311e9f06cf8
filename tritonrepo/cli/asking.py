"""One question to a served stack, for `up --ask`: sources go to stderr, the streamed answer to stdout."""

from __future__ import annotations

from tritonrepo.cli.output import piece, say
from tritonrepo.diagnostics import failure
from tritonrepo.flows.asking import Passage, Pipelines, replies
from tritonrepo.server.endpoint import Endpoint

EXCERPT = 100


def ask(url: str, names: Pipelines, question: str) -> int:
    """Print the sources to stderr and the answer to stdout as it arrives; raise Stop if no answer arrives."""
    length = 0
    for said in replies(Endpoint(url), names, question):
        if isinstance(said, list):
            say(*(_line(number, source) for number, source in enumerate(said, 1)), err=True)
        else:
            length += len(said)
            piece(said)
    piece("\n")
    if not length:
        message = f'ensemble "{names.answer}" finished without an answer'
        raise failure("ask-empty", url, message, "Check the ensemble's prompt, or ask again.")
    return 0


def _line(number: int, source: Passage) -> str:
    """Return a source as one line: its number, what names it, its score, and where it is or how it begins."""
    return f"[{number}] {source.title or source.id}  {source.score:.3f}  {source.url or f'{source.text[:EXCERPT]}…'}"
