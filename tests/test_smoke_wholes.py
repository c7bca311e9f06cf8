"""An answer as a stream, compared with the same one in one piece: what was lost, or came in another order."""

from __future__ import annotations

from typing import Any

from tests.tabled import tabled
from tritonrepo.diagnostics import Span
from tritonrepo.server.tensors import of_values
from tritonrepo.smoke import answers, wholes
from tritonrepo.smoke.case import Case, Protocol, Reply
from tritonrepo.smoke.served import Served, of_config

NAMES = {"query": "STRING", "sampling_parameters": "STRING", "stream": "BOOL", "exclude_input_in_output": "BOOL"}


def served(*names: str) -> Served:
    inputs = [{"name": name, "data_type": f"TYPE_{NAMES[name]}", "dims": [1]} for name in names]
    outputs = [{"name": name, "data_type": "TYPE_STRING", "dims": [-1]} for name in ("answer", "sources")]
    policy = {"model_transaction_policy": {"decoupled": True}}
    return of_config({"name": "p", "input": inputs, "output": outputs, **policy}, "1", Span("s"))


def cases(*names: str) -> list[Case]:
    return [*wholes.compared(served(*names), answers.stream(served(*names), "query"))]


def reply(*pieces: str, sources: str = "") -> Reply:
    given = [{"sources": sources}] if sources else []
    given += [{"answer": piece} for piece in pieces]
    return Reply(tuple({k: of_values(k, "BYTES", [text], [1]) for k, text in each.items()} for each in given))


COMPARED: dict[str, tuple[list[str], str, str]] = {
    "the same": (["one ", "two"], "one two", ""),
    "without the last blank": (["one ", "two "], "one two", ""),
    "half": (["one "], "one two", "the stream ends early: it has 3 characters, the same answer in one piece has 7"),
    "the whole is half": (
        ["one ", "two"], "one", "the answer ends early: it has 3 characters, the same answer as a stream has 7",
    ),
    "another order": (["two", "one "], "one two", "the stream has the pieces of the answer in another order"),
    "another answer, which a shared batch explains": (["one ", "too"], "one two", ""),
}  # fmt: skip


@tabled(("pieces", "whole", "message"), COMPARED.values(), ids=COMPARED)
def test_a_stream_is_compared_with_the_answer_in_one_piece(pieces: list[str], whole: str, message: str) -> None:
    streamed, other = cases(*NAMES)
    assert not [*other.judge(reply(whole))]  # the stream itself was wrong, and was reported
    assert not [*streamed.judge(reply(*pieces, sources="[]"))]
    assert [flaw.message for flaw in other.judge(reply(whole))] == ([message] if message else [])


def test_the_same_is_asked_without_a_stream_and_without_the_prompt() -> None:
    streamed, other = cases(*NAMES)
    sent: list[dict[str, Any]] = [{t.name: t.values.item() for t in case.request.inputs} for case in (streamed, other)]
    assert sent[1] == {**sent[0], "stream": False, "exclude_input_in_output": True}
    assert (other.what, other.protocols, other.compared) == ("in one piece", (Protocol.HTTP,), None)


def test_what_cannot_answer_in_one_piece_is_asked_as_before() -> None:
    (streamed,) = cases("query", "stream")
    assert streamed.what == ""
