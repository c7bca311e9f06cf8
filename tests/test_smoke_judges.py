"""What `smoke` accepts of a reply, at both sides of each bound: types, shapes, finite numbers, vectors, agreement."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from math import cos, sin, sqrt
from typing import Any

import numpy as np
import pytest

from tests.tabled import tabled
from tritonrepo.diagnostics import Diagnostic, Severity, Span
from tritonrepo.server.tensors import Tensor, of_values
from tritonrepo.smoke.case import RULES, Case, Check, Crowd, Flaw, Outcome, Reply, Result, found
from tritonrepo.smoke.index import Index, load
from tritonrepo.smoke.judge import both, described, differences, excerpt, joined, well_formed
from tritonrepo.smoke.meaning import reference
from tritonrepo.smoke.search import Search
from tritonrepo.smoke.search import cases as searches
from tritonrepo.smoke.served import Declared, Served, of_config
from tritonrepo.tree import of_bytes, of_text

AT = Span("http://x/v2/models/m")


def config(max_batch_size: int = 0, *, decoupled: bool = False) -> Served:
    """Return a model with the outputs X, FP32 of any size, and Y, two strings."""
    outputs = [
        {"name": "X", "data_type": "TYPE_FP32", "dims": [-1]},
        {"name": "Y", "data_type": "TYPE_STRING", "dims": ["2"]},
    ]
    policy = {"model_transaction_policy": {"decoupled": decoupled}}
    return of_config({"name": "m", "max_batch_size": max_batch_size, "output": outputs, **policy}, "1", AT)


def x(*values: float, shape: tuple[int, ...] = (), kind: str = "FP32") -> Tensor:
    return of_values("X", kind, list(values), shape or (len(values),))


def y(*values: str, shape: tuple[int, ...] = ()) -> Tensor:
    return of_values("Y", "BYTES", list(values), shape or (len(values),))


def reply(*responses: tuple[Tensor, ...], flat: bool = False) -> Reply:
    return Reply(tuple({tensor.name: tensor for tensor in response} for response in responses), flat=flat)


AB = y("a", "b")
INF = float("inf")
ALONE, BATCHED, STREAMED = config(), config(4), config(decoupled=True)
FORMS: dict[str, tuple[Served, int, Reply, list[str]]] = {
    "as declared": (ALONE, 1, reply((x(1, 2, 3), AB)), []),
    "no values where any size will do": (ALONE, 1, reply((x(shape=(0,)), AB)), []),
    "an output missing": (ALONE, 1, reply((AB,)), ["the response lacks the declared output X; it has Y"]),
    "both missing": (ALONE, 1, reply(()), ["the response lacks the declared outputs X, Y; it has no outputs"]),
    "an output that is not declared": (
        ALONE, 1, reply((x(1), AB, x(1)._replace(name="Z"))),
        ["the response has output Z, which the config does not declare"],
    ),
    "another type": (
        ALONE, 1, reply((x(1, kind="FP64"), AB)), ["output X is FP64, but the config declares FP32"],
    ),
    "a dimension too many": (
        ALONE, 1, reply((x(1, shape=(1, 1)), AB)), ["output X has shape [1, 1], but the config declares [-1]"],
    ),
    "another size": (
        ALONE, 1, reply((x(1), y("a"))), ["output Y has shape [1], but the config declares [2]"],
    ),
    "a batch of one": (BATCHED, 1, reply((x(1, shape=(1, 1)), y("a", "b", shape=(1, 2)))), []),
    "a batch of two": (BATCHED, 2, reply((x(1, 2, shape=(2, 1)), y(*"abcd", shape=(2, 2)))), []),
    "a row too few": (
        BATCHED, 2, reply((x(1, shape=(1, 1)), y(*"abcd", shape=(2, 2)))),
        ["output X has shape [1, 1], but the config declares [2, -1]"],
    ),
    "no batch dimension": (
        BATCHED, 2, reply((x(1, 2), y(*"abcd", shape=(2, 2)))),
        ["output X has shape [2], but the config declares [2, -1]"],
    ),
    "not a number": (
        ALONE, 1, reply((x(1, float("nan")), AB)),
        ["output X is not finite: 1 of 2 values, first nan at index 1"],
    ),
    "infinity": (
        ALONE, 1, reply((x(INF, 1, INF), AB)), ["output X is not finite: 2 of 3 values, first inf at index 0"],
    ),
    "less than any number": (
        ALONE, 1, reply((x(1, 2, -INF), AB)), ["output X is not finite: 1 of 3 values, first -inf at index 2"],
    ),
    "the second response of a stream": (
        STREAMED, 1, reply((x(1), AB), (x(INF), AB)), ["output X is not finite: 1 of 1 values, first inf at index 0"],
    ),
    "a stream that leaves outputs out": (STREAMED, 1, reply((AB,), (x(1),)), []),
    "a stream without a response": (STREAMED, 1, reply(), ["the stream ended without a response"]),
    "a stream of empty events": (
        STREAMED, 1, reply((), (), flat=True), ["the stream ended without any output in its 2 events"],
    ),
    "a stream without shapes": (STREAMED, 1, reply((y("a"),), flat=True), []),
    "a stream without shapes, of another type": (
        STREAMED, 1, reply((x(1, kind="INT64"),), flat=True), ["output X is INT64, but the config declares FP32"],
    ),
    "a stream with another shape": (
        STREAMED, 1, reply((y("a"),)), ["output Y has shape [1], but the config declares [2]"],
    ),
    "every fault": (
        ALONE, 1, reply((x(INF, shape=(1, 1), kind="FP64"), y("a"))),
        [
            "output X is FP64, but the config declares FP32",
            "output X has shape [1, 1], but the config declares [-1]",
            "output X is not finite: 1 of 1 values, first inf at index 0",
            "output Y has shape [1], but the config declares [2]",
        ],
    ),
}  # fmt: skip


@tabled(("served", "rows", "came", "messages"), FORMS.values(), ids=FORMS)
def test_a_reply_has_what_its_config_promises(served: Served, rows: int, came: Reply, messages: list[str]) -> None:
    assert [flaw.message for flaw in well_formed(served, rows)(came)] == messages


LENIENT: dict[str, tuple[Served, int, Reply, list[bool]]] = {
    "the last dimension, of size one": (BATCHED, 3, reply((x(1, 2, 3), y(*"abcdef", shape=(3, 2)))), [True]),
    "of one row": (BATCHED, 1, reply((x(1), y(*"ab", shape=(1, 2)))), [True]),
    "all dimensions": (ALONE, 1, reply((of_values("X", "FP32", [1], []), AB)), [True]),
    "a dimension that is larger": (BATCHED, 1, reply((x(1), AB)), [True, False]),
    "the batch": (BATCHED, 1, reply((x(1, shape=(1, 1)), AB)), [False]),
    "rows in one": (BATCHED, 2, reply((x(1, 2, shape=(1, 2)), y(*"abcd", shape=(2, 2)))), [False]),
    "a row": (BATCHED, 2, reply((x(1), y(*"abcd", shape=(2, 2)))), [False]),
    "none, but one more": (ALONE, 1, reply((x(1, shape=(1, 1)), AB)), [False]),
}  # fmt: skip


@tabled(("served", "rows", "came", "minor"), LENIENT.values(), ids=LENIENT)
def test_a_lost_last_dimension_of_one_is_a_warning_where_nothing_else_is_known(
    served: Served, rows: int, came: Reply, minor: list[bool]
) -> None:
    assert [flaw.minor for flaw in well_formed(served, rows, strict=False)(came)] == minor
    assert not any(flaw.minor for flaw in well_formed(served, rows)(came))


def test_the_next_judge_is_asked_only_if_the_one_before_found_nothing() -> None:
    def finding(*messages: str) -> Iterator[Flaw]:
        return (Flaw(message) for message in messages)

    judge = both(lambda _: finding(), lambda _: finding("a", "b"), lambda _: finding("c"))
    assert [flaw.message for flaw in judge(reply())] == ["a", "b"]
    assert not list(both(lambda _: finding(), lambda _: finding())(reply()))


AGREE: dict[str, tuple[Reply, Reply, str]] = {
    "numbers a thousandth apart": (reply((x(1000),)), reply((x(1000.9),)), ""),
    "numbers further apart": (reply((x(1000),)), reply((x(1001.2),)), "X differs between the protocols: [1000] over"),
    "small numbers a thousandth apart": (reply((x(0),)), reply((x(0.0009),)), ""),
    "small numbers further apart": (reply((x(0),)), reply((x(0.0011),)), "X differs between the protocols: [0] over"),
    "no number on both sides": (reply((x(float("nan")),)), reply((x(float("nan")),)), ""),
    "integers one apart": (
        reply((x(100000, kind="INT64"),)), reply((x(100001, kind="INT64"),)),
        "X differs between the protocols: [100000] over gRPC, [100001] over HTTP",
    ),
    "a text in other pieces": (reply((y("ab"),), (y("c"),)), reply((y("a"),), (y("bc"),)), ""),
    "a text in two pieces or whole": (reply((y("ab"),), (y("c"),)), reply((y("abc"),)), ""),
    "another text": (reply((y("a"),), (y("c"),)), reply((y("a"),), (y("d"),)), "Y differs between the protocols"),
    "strings that only look the same when joined": (reply((y("ab", "c"),)), reply((y("a", "bc"),)), "Y differs"),
    "an output over gRPC only": (reply((x(1), AB)), reply((AB,)), "X arrives over only one protocol"),
    "an output over HTTP only": (reply((x(1),)), reply((x(1), AB)), "Y arrives over only one protocol"),
}  # fmt: skip


@tabled(("one", "other", "message"), AGREE.values(), ids=AGREE)
def test_replies_over_two_protocols_agree_within_a_thousandth(one: Reply, other: Reply, message: str) -> None:
    flaws = list(differences(one, other))
    assert [flaw.message.startswith(f"output {message}") for flaw in flaws] == [True] * bool(message)


def test_a_stream_is_joined_in_its_order() -> None:
    whole = joined(reply((x(1, 2), y("a", "b")), (x(3), y("c"))))
    assert (whole["X"].tolist(), whole["Y"].tolist()) == ([1, 2, 3], [b"abc"])
    assert joined(reply((y("a", "b"),)))["Y"].tolist() == [b"a", b"b"]


EXCERPTS = {
    "six values": (np.arange(6.0), "[0, 1, 2, 3, 4, 5]"),
    "one more": (np.arange(7.0), "[0, 1, 2, 3, 4, 5, …]"),
    "six digits": (np.array([1.23456789]), "[1.23457]"),
    "rows": (np.array([[1, 2], [3, 4]]), "[1, 2, 3, 4]"),
    "80 characters": (np.array([b"a" * 80], object), f'["{"a" * 80}"]'),
    "one character more": (np.array([b"a" * 81], object), f'["{"a" * 80}…"]'),
    "no UTF-8": (np.array([b"caf\xe9"], object), '["caf\ufffd"]'),
    "nothing": (np.array([]), "[]"),
}


@tabled(("values", "text"), EXCERPTS.values(), ids=EXCERPTS)
def test_values_are_shown_shortened(values: np.ndarray[Any, Any], text: str) -> None:
    assert excerpt(values) == text


def test_tensors_are_described_in_one_line() -> None:
    assert described([x(1, 2, shape=(1, 2)), AB]) == 'X FP32[1, 2] [1, 2]; Y BYTES[2] ["a", "b"]'
    assert described([]) == "nothing"


S = Severity
OUTCOMES: dict[str, tuple[list[Severity], str, Outcome]] = {
    "nothing found": ([], "", Outcome.PASSED),
    "nothing found, nothing checked": ([], "no reference", Outcome.NOT_CHECKED),
    "something good to know": ([S.INFO], "", Outcome.PASSED),
    "something good to know, nothing checked": ([S.INFO], "no reference", Outcome.NOT_CHECKED),
    "a warning": ([S.INFO, S.WARNING], "", Outcome.WARNING),
    "a warning, and something unchecked": ([S.WARNING], "no reference", Outcome.WARNING),
    "an error among warnings": ([S.WARNING, S.ERROR], "", Outcome.FAILED),
    "a fatal error": ([S.FATAL], "", Outcome.FAILED),
}


@tabled(("severities", "unchecked", "outcome"), OUTCOMES.values(), ids=OUTCOMES)
def test_a_result_is_as_bad_as_its_worst_diagnostic(
    severities: list[Severity], unchecked: str, outcome: Outcome
) -> None:
    diagnostics = tuple(Diagnostic("r", severity, AT, "") for severity in severities)
    assert Result("m", "1", Check.FILES, diagnostics=diagnostics, unchecked=unchecked).outcome is outcome


@tabled("check", RULES)
def test_a_failed_check_is_reported_under_its_own_name(check: Check) -> None:
    flaw = Flaw("bad", "Mend it.", "good")
    assert found(check, S.WARNING, AT, flaw, "m") == Diagnostic(f"smoke-{check}", S.WARNING, AT, "bad", "Mend it.", "m")


def index(vectors: object) -> Index:
    """Return an index of these vectors, whose passages are p0, p1 …"""
    rows = np.array(vectors, np.float32)
    buffer = io.BytesIO()
    np.save(buffer, rows)
    lines = "".join(f'{{"id": "p{n}", "text": "text {n}"}}\n' for n in range(len(rows)))
    return load(of_bytes(buffer.getvalue()), of_text(lines))


def embedder(max_batch_size: int = 0, **more: object) -> Served:
    text = {"name": "text", "data_type": "TYPE_STRING", "dims": [1]}
    vector = {"name": "embedding", "data_type": "TYPE_FP32", "dims": [-1]}
    return of_config(
        {"name": "e", "max_batch_size": max_batch_size, "input": [text], "output": [vector]} | more, "1", AT
    )


SIZES = {
    "one passage, no batch": (0, 1, ["1 passage"], 0),
    "one passage, in a batch": (8, 1, ["1 passage"], 0),
    "no batch": (0, 3, ["1 passage"], 3),
    "a batch of one": (1, 3, ["1 passage"], 3),
    "fewer passages than a batch": (64, 3, ["1 passage", "3 passages"], 3),
    "a smaller batch": (4, 20, ["1 passage", "4 passages"], 20),
    "the largest batch and crowd": (64, 70, ["1 passage", "8 passages"], 32),
}


@tabled(("batch", "passages", "whats", "at_once"), SIZES.values(), ids=SIZES)
def test_an_embedder_is_asked_for_one_passage_a_batch_and_many_at_once(
    batch: int, passages: int, whats: list[str], at_once: int
) -> None:
    asked = [*reference(embedder(batch), index(np.eye(passages, 3) + 1))]
    assert [case.what for case in asked if isinstance(case, Case)] == whats
    crowds = [case for case in asked if isinstance(case, Crowd)]
    assert [len(crowd.cases) for crowd in crowds] == [at_once] * bool(at_once)
    sent = [case.request.inputs[0].values.ravel().tolist() for crowd in crowds for case in crowd.cases]
    assert len({text for (text,) in sent}) == at_once


def judged(case: Case, vectors: object) -> list[Flaw]:
    values = np.array(vectors, np.float32)
    tensor = of_values("embedding", "FP32", values.ravel().tolist(), values.shape)
    return list(case.judge(Reply(({"embedding": tensor},))))


def test_an_embedder_that_tells_passages_from_queries_is_told_that_it_gets_passages() -> None:
    kind = {"name": "input_type", "data_type": "TYPE_STRING", "dims": [1], "optional": True}
    text = {"name": "text", "data_type": "TYPE_STRING", "dims": [1]}
    asked = [*reference(embedder(2, input=[text, kind]), index([[1, 0], [0, 2]]))]
    cases = [each for one in asked for each in (one.cases if isinstance(one, Crowd) else [one])]
    for case in cases:
        texts, kinds = case.request.inputs
        assert (texts.name, kinds.name) == ("text", "input_type")
        assert kinds.values.tolist() == [[b"passage"]] * len(texts.values)
    assert len(cases) == 4


def batch_of_two() -> Case:
    """Return the case of an embedder that gets two passages, whose vectors are [1, 0] and [0, 2]."""
    _, case, _ = reference(embedder(2), index([[1, 0], [0, 2]]))
    assert isinstance(case, Case)
    assert case.request.inputs[0].values.tolist() == [[b"text 0"], [b"text 1"]]
    assert case.compared is Severity.ERROR
    return case


ANGLE = 0.0141
"""Radians at which the cosine is 0.9999006; at 0.0142 it is 0.9998992."""

COSINE = 'the vector of passage "{}" has a cosine of {} with the stored one, but must have at least 0.9999; {} vectors '
COSINE += "differ"
VECTORS: dict[str, tuple[object, str]] = {
    "the stored ones": ([[1, 0], [0, 2]], ""),
    "within a cosine of 0.9999": ([[cos(ANGLE), sin(ANGLE)], [0, 2]], ""),
    "beyond it": (
        [[cos(0.0142), sin(0.0142)], [0, 2]],
        COSINE.format("p0", "0.9999", "1 of 2"),
    ),
    "the worst of two": (
        [[0.8, 0.6], [2, 0]],
        COSINE.format("p1", "0.0000", "2 of 2"),
    ),
    "the opposite": (
        [[1, 0], [0, -2]],
        COSINE.format("p1", "-1.0000", "1 of 2"),
    ),
    "nothing": (
        [[0, 0], [0, 2]],
        COSINE.format("p0", "0.0000", "1 of 2"),
    ),
    "a little longer": ([[1, 0], [0, 2.028]], ""),
    "a little shorter": ([[1, 0], [0, 1.972]], ""),
    "too long": ([[1, 0], [0, 2.03]], "a vector has length 2.0300, but the stored one has 2.0000"),
    "too short": ([[0.985, 0], [0, 2]], "a vector has length 0.9850, but the stored one has 1.0000"),
    "of another size": (
        [[1, 0, 0], [0, 2, 0]], "the embedding has 3 dimensions, but the stored index has 2"
    ),
}  # fmt: skip


@tabled(("vectors", "message"), VECTORS.values(), ids=VECTORS)
def test_each_vector_of_a_batch_must_be_the_stored_one(vectors: object, message: str) -> None:
    flaws = judged(batch_of_two(), vectors)
    assert [flaw.message for flaw in flaws] == [message] * bool(message)
    assert all("run `tritonrepo index`" in flaw.hint for flaw in flaws)


def test_a_vector_that_is_no_output_is_told() -> None:
    served = embedder(output=[{"name": "other", "data_type": "TYPE_FP32", "dims": [2]}])
    (case,) = reference(served, index([[1, 0]]))
    assert isinstance(case, Case)
    flaws = list(case.judge(Reply(({"other": of_values("other", "FP32", [1, 0], [2])},))))
    assert [flaw.message for flaw in flaws] == ["output embedding is missing from the response"]


def retriever(query: str = "embedding", kind: str = "FP32", **more: object) -> Served:
    asked = {"name": query, "data_type": f"TYPE_{kind}", "dims": [-1 if kind == "FP32" else 1]}
    outputs = [{"name": n, "data_type": "TYPE_STRING", "dims": [-1]} for n in ("ids", "passages")]
    outputs += [{"name": "scores", "data_type": "TYPE_FP32", "dims": [-1]}]
    return of_config({"name": "r", "input": [asked], "output": outputs} | more, "1", AT)


def found_in(rows: list[int], scores: list[float]) -> Reply:
    """Return the reply of a search that found these passages."""
    ids, passages = [f"p{n}" for n in rows], [f"text {n}" for n in rows]
    tensors = {"ids": of_values("ids", "BYTES", ids, [len(rows)])}
    tensors |= {"passages": of_values("passages", "BYTES", passages, [len(rows)])}
    return Reply(({**tensors, "scores": of_values("scores", "FP32", scores, [len(rows)])},))


METADATA: dict[str, tuple[list[str], str]] = {
    "as stored": (['{"b": [2], "a": "é"}', "{}"], ""),
    "more places than passages": (['{"a": "é", "b": [2]}', "{}", ""], ""),
    "of another passage": (
        ["{}", '{"a": "é", "b": [2]}'],
        'metadata \'{}\' for "p0", whose stored one is {"a": "é", "b": [2]}',
    ),
    "of none": (['{"a": "é", "b": [2]}', ""], "metadata '' for \"p1\", whose stored one is {}"),
    "no JSON": (['{"a": "é"', "{}"], 'metadata \'{"a": "é"\' for "p0"'),
    "too deep": (["[" * 100_000, "{}"], "metadata '[["),
    "too few": (['{"a": "é", "b": [2]}'], "2 passages but 1 values of metadata"),
}


@tabled(("said", "message"), METADATA.values(), ids=METADATA)
def test_the_metadata_of_a_passage_is_that_of_the_index(said: list[str], message: str) -> None:
    known = replace(index([[1, 0], [0.5, 0]]), metadata=({"a": "é", "b": [2]}, {}))
    search, earlier = Search(known, "embedding", 2, by_text=False), retriever()
    declared = Declared("metadata", "BYTES", (-1,))
    case, old = (next(searches(s, search)) for s in (replace(earlier, outputs=(*earlier.outputs, declared)), earlier))
    assert isinstance(case, Case)
    assert isinstance(old, Case)
    (answer,) = found_in([0, 1], [1, 0.5]).responses
    flaws = [*case.judge(Reply(({**answer, "metadata": of_values("metadata", "BYTES", said, [len(said)])},)))]
    start = f'a search for passage "p0" returned {message}'
    assert [flaw.message.startswith(start) for flaw in flaws] == [True] * bool(message)
    assert not list(old.judge(Reply((answer,))))  # a repository of an earlier version returns none


LONG = [[2, 0], [1, 0], [0, 2]]
"""Vectors of the lengths 2, 1 and 2: the first scores 4 with itself, 2 with the second, 0 with the last."""

SCORES: dict[str, tuple[list[float], str]] = {
    "exact": ([4, 2], ""),
    "within a thousandth of both lengths": ([4.0039, 1.9981], ""),
    "the first beyond it": ([4.0041, 2], 'a score of 4.0041 for "p0", but by the stored vectors it is 4.0000'),
    "the second beyond it": ([4, 1.9979], 'a score of 1.9979 for "p1", but by the stored vectors it is 2.0000'),
    "equal scores where they are not": ([4, 4], 'a score of 4.0000 for "p1", but by the stored vectors it is 2.0000'),
}


@tabled(("scores", "message"), SCORES.values(), ids=SCORES)
def test_a_score_may_be_off_by_a_thousandth_of_both_vectors_lengths(scores: list[float], message: str) -> None:
    asked = [*searches(retriever(), Search(index(LONG), "embedding", 2, by_text=False))]
    case = next(case for case in asked if isinstance(case, Case) and case.what == '"p0"')
    said = [flaw.message for flaw in case.judge(found_in([0, 1], scores))]
    assert said == [f'a search for passage "p0" returned {message}'] * bool(message)


@pytest.mark.parametrize(("less", "swapped"), [(0.0019, True), (0.0021, False)], ids=["less", "more"])
def test_two_passages_may_be_swapped_if_their_scores_differ_by_no_more_than_the_error_of_both(
    less: float, *, swapped: bool
) -> None:
    """All vectors have the length 1: each score may be off by 0.001."""
    scores = [1, 0.9, 0.9 - less]
    search = Search(index([[score, sqrt(1 - score**2)] for score in scores]), "embedding", 3, by_text=False)
    (crowd,) = [asked for asked in searches(retriever(), search) if isinstance(asked, Crowd)]
    (case,) = [case for case in crowd.cases if case.what == '"p0"']
    said = [flaw.message for flaw in case.judge(found_in([0, 2, 1], [1, 0.89905, 0.89905]))]
    worse = (
        'a search for passage "p0" returned "p2" at place 2 of 3, with a score of 0.8979 by the stored vectors, '
        'not "p1" with 0.9000'
    )
    assert said == [worse] * (not swapped)


def test_a_passage_that_may_score_less_leaves_its_place_to_the_next() -> None:
    """The second has the length 10, so its score may be off by 0.01: it may well be the last."""
    scores, lengths = [1, 0.9, 0.899, 0.8932], [1, 10, 1, 1]
    vectors = [[score, sqrt(length**2 - score**2)] for score, length in zip(scores, lengths, strict=True)]
    search = Search(index(vectors), "embedding", 3, by_text=False)
    (crowd,) = [asked for asked in searches(retriever(), search) if isinstance(asked, Crowd)]
    (case,) = [case for case in crowd.cases if case.what == '"p0"']
    assert not list(case.judge(found_in([0, 2, 3], [1, 0.899, 0.8932])))


def test_what_a_search_lacks_is_named() -> None:
    config = retriever(output=[{"name": "scores", "data_type": "TYPE_FP32", "dims": [-1]}])
    (case,) = searches(config, Search(index([[1, 0]]), "embedding", 1, by_text=False))
    assert isinstance(case, Case)
    answer = Reply(({"scores": of_values("scores", "FP32", [1], [1])},))
    assert [flaw.message for flaw in case.judge(answer)] == [
        "the response lacks ids, passages, which a search must return"
    ]


ASKED: dict[str, tuple[int, int, bool, list[str], int]] = {
    "one by one": (0, 5, False, ["p", "p"], 5),
    "a batch of one": (1, 5, False, ["p", "p"], 5),
    "a batch": (3, 5, False, ["p", "p", "3 passages"], 5),
    "the largest batch and crowd": (100, 200, False, ["p", "p", "64 passages"], 32),
    "a pipeline, which takes one query": (100, 200, True, ["p", "p"], 32),
    "one passage": (8, 1, False, ["p"], 0),
}


@tabled(("batch", "passages", "by_text", "whats", "at_once"), ASKED.values(), ids=ASKED)
def test_a_search_is_asked_one_by_one_in_a_batch_and_at_once(
    batch: int, passages: int, whats: list[str], at_once: int, *, by_text: bool
) -> None:
    served = retriever("query", "STRING", max_batch_size=batch) if by_text else retriever(max_batch_size=batch)
    vectors = np.random.default_rng(3).normal(size=(passages, 4))
    search = Search(index(vectors), "query" if by_text else "embedding", 2, by_text=by_text)
    asked = [*searches(served, search)]
    cases = [case for case in asked if isinstance(case, Case)]
    assert ["p" if case.what.startswith('"p') else case.what for case in cases] == whats
    assert {case.compared for case in cases} == {Severity.WARNING}
    assert [len(crowd.cases) for crowd in asked if isinstance(crowd, Crowd)] == [at_once] * bool(at_once)


def test_the_questions_with_the_most_distinct_scores_are_asked_one_by_one() -> None:
    """The least difference between the first three scores is 2 for p2, 1.5 for p4, and no more than 1 for others."""
    vectors = [[1, 0, 0], [1, 0, 0], [0, 2, 0], [0, 1, 0], [0, 0, 3], [0, 0, 1], [0, 0, 0.5]]
    asked = [*searches(retriever(), Search(index(vectors), "embedding", 2, by_text=False))]
    assert [case.what for case in asked if isinstance(case, Case)] == ['"p2"', '"p4"']


SAMPLES = {
    "all": (4, 4, [0, 1, 2, 3]),
    "more than there are": (4, 9, [0, 1, 2, 3]),
    "spread evenly": (10, 3, [0, 3, 6]),
    "one": (10, 1, [0]),
    "half": (10, 5, [0, 2, 4, 6, 8]),
}


@tabled(("passages", "count", "rows"), SAMPLES.values(), ids=SAMPLES)
def test_a_sample_is_spread_over_the_index(passages: int, count: int, rows: list[int]) -> None:
    assert index(np.ones((passages, 2))).sample(count) == rows


def test_of_equal_scores_the_earlier_row_is_the_better() -> None:
    best = index([[1, 0], [0, 1], [1, 0], [1, 0]]).best([0, 1], 3)
    assert [(one.rows.tolist(), one.scores.tolist()) for one in best] == [
        ([0, 2, 3], [1, 1, 1]),
        ([1, 0, 2], [1, 0, 0]),
    ]


def test_a_row_is_found_by_id_and_text_and_only_once() -> None:
    two = '{"id": "a", "text": "x"}\n{"id": "a", "text": "y"}\n{"id": "a", "text": "x"}\n'
    buffer = io.BytesIO()
    np.save(buffer, np.ones((3, 2), np.float32))
    read = load(of_bytes(buffer.getvalue()), of_text(two))
    assert [read.row("a", "x", ()), read.row("a", "x", [0]), read.row("a", "x", [0, 2])] == [0, 2, None]
    assert [read.row("a", "y", ()), read.row("a", "z", ()), read.row("b", "x", ())] == [1, None, None]
