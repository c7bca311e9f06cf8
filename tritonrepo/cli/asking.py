"""Asking a served stack: its sources to stderr and its streamed answer to stdout, for `up --ask`."""

from __future__ import annotations

from tritonrepo.cli.output import piece, say
from tritonrepo.diagnostics import failure
from tritonrepo.flows.asking import Pipelines, answer, passages
from tritonrepo.server.endpoint import Endpoint

EXCERPT = 100


def ask(url: str, names: Pipelines, question: str) -> int:
    """Print sources to stderr and the answer to stdout as it comes; raise Stop where no answer came."""
    server = Endpoint(url)
    if names.search:
        for number, found in enumerate(passages(server, names.search, question), 1):
            say(f"[{number}] {found.id}  {found.score:.3f}  {found.text[:EXCERPT]}…", err=True)
    assert names.answer is not None  # noqa: S101  pipelines sees to it
    length = 0
    for said in answer(server, names.answer, question):
        length += len(said)
        piece(said)
    piece("\n")
    if not length:
        message = f'"{names.answer}" ended without an answer'
        raise failure("ask-empty", url, message, "Ask again, or look at its prompt.")
    return 0
