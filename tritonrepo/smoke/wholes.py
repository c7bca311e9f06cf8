"""An answer as a stream and in one piece: the stream must not end early, and its pieces must be in their order.

What a language model says depends on what shares its batch, so that two answers may differ. But one is not the
beginning of the other, nor made of the same characters, unless pieces were lost or swapped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tritonrepo.smoke.answers import ECHO
from tritonrepo.smoke.case import SOURCES, Case, Flaw, Protocol, Reply, streams_over_http
from tritonrepo.smoke.judge import both, joined, text
from tritonrepo.smoke.made import CONTROLS, ask, given
from tritonrepo.smoke.served import Served

WHAT = "in one piece"
HINT = "Check that each piece of an answer is sent as it comes, and the last one before the final flag."
SHOWN = 60


def compared(served: Served, streamed: Case) -> Iterator[Case]:
    """Yield the case of a stream and, if the model can also answer in one piece, that of the same answer in one."""
    if not {*CONTROLS, ECHO} <= {tensor.name for tensor in served.inputs}:
        yield streamed
        return
    said: list[str] = []

    def remember(reply: Reply) -> Iterator[Flaw]:
        said[:] = [_answer(reply)]
        yield from ()

    def judge(reply: Reply) -> Iterator[Flaw]:
        flaw = _different(said[0], _answer(reply)) if said else None
        if flaw is not None:
            yield flaw

    yield replace(streamed, judge=both(streamed.judge, remember))
    others = [tensor for tensor in streamed.request.inputs if tensor.name not in {"stream", ECHO}]
    request = ask(served, [*others, given(served, "stream", False), given(served, ECHO, True)])  # noqa: FBT003  the tensors' values
    protocol = Protocol.HTTP if streams_over_http(request) else Protocol.GRPC
    yield replace(streamed, request=request, judge=judge, what=WHAT, protocols=(protocol,), compared=None, before=None)


def _answer(reply: Reply) -> str:
    return "".join(
        text(value) for name, values in joined(reply).items() if name != SOURCES for value in values.tolist()
    )


def _different(streamed: str, whole: str) -> Flaw | None:
    """Return what is wrong with a stream by the answer in one piece."""
    one, other = streamed.rstrip(), whole.rstrip()
    expected = f"the same text as the stream's, {one[-SHOWN:]!r} at its end"
    if one == other:
        return None
    if other.startswith(one):
        message = f"the stream ends early: it has {len(one)} characters, the same answer in one piece has {len(other)}"
        return Flaw(message, HINT, expected)
    if one.startswith(other):
        message = f"the answer ends early: it has {len(other)} characters, the same answer as a stream has {len(one)}"
        return Flaw(message, HINT, expected)
    if sorted("".join(one.split())) == sorted("".join(other.split())):
        return Flaw("the stream has the pieces of the answer in another order", HINT, expected)
    return None
