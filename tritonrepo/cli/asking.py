"""One question to a served stack, for `up --ask`: sources go to stderr, the streamed answer to stdout."""

from __future__ import annotations

from tritonrepo.cli.output import piece, say
from tritonrepo.diagnostics import failure
from tritonrepo.flows.asking import Pipelines, answer, passages
from tritonrepo.server.endpoint import Endpoint

EXCERPT = 100


def ask(url: str, names: Pipelines, question: str) -> int:
    """Print the sources to stderr and the answer to stdout as it arrives; raise Stop if no answer arrives."""
    server = Endpoint(url)
    if names.search:
        for number, found in enumerate(passages(server, names.search, question), 1):
            say(f"[{number}] {found.id}  {found.score:.3f}  {found.text[:EXCERPT]}…", err=True)
    assert names.answer is not None  # noqa: S101  `pipelines` raises without one
    length = 0
    for said in answer(server, names.answer, question):
        length += len(said)
        piece(said)
    piece("\n")
    if not length:
        message = f'ensemble "{names.answer}" finished without an answer'
        raise failure("ask-empty", url, message, "Check the ensemble's prompt, or ask again.")
    return 0
