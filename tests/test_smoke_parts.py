"""The parts of `smoke` separately: declared cases in the stack file, expectations, templates, drift, the reports."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from tests.tabled import tabled
from tests.test_spec import GOOD
from tritonrepo import spec
from tritonrepo.cli import run
from tritonrepo.diagnostics import Diagnostic, Severity, Span, Stop, failure
from tritonrepo.parts import PARTS
from tritonrepo.report.junit import Row, junit
from tritonrepo.report.table import table
from tritonrepo.repository import read, target
from tritonrepo.server.client import Client, ModelState
from tritonrepo.server.endpoint import Endpoint
from tritonrepo.server.tensors import Request, Tensor, of_values, packed
from tritonrepo.server.unpacking import unpacked
from tritonrepo.smoke import drift, expected, files, links
from tritonrepo.smoke.answers import stream
from tritonrepo.smoke.case import Case, Check, Crowd, Outcome, Reply, Result
from tritonrepo.smoke.index import Index, load
from tritonrepo.smoke.judge import differences
from tritonrepo.smoke.made import made_up
from tritonrepo.smoke.meaning import reference
from tritonrepo.smoke.plan import Known, cases
from tritonrepo.smoke.search import Search
from tritonrepo.smoke.search import cases as searches
from tritonrepo.smoke.served import of_config, survey
from tritonrepo.smoke.wanted import meets
from tritonrepo.spec.expectation import Expectation
from tritonrepo.tree import Entry, File, Tree, Unreadable, of_bytes, of_text

CASE = "smoke: [{{model: {model}, inputs: {{text: x}}, expect: {expect}}}]\n"
SMOKE_FAULTS = {
    "no such model": (
        CASE.format(model="e_modl", expect="{embedding: {not_empty: true}}"),
        'a.yaml:12:17: fatal: "e_modl" is not a model that this stack builds [stack-meaning]\n  Did you mean "e_mod',
    ),
    "nothing expected": (CASE.format(model="e", expect="{}"), '"expect" is empty'),
    "an expectation of nothing": (
        CASE.format(model="e", expect="{embedding: {}}"),
        '"expect" says nothing about output "embedding"',
    ),
    "an unknown word": (
        CASE.format(model="e", expect="{embedding: {contain: x}}"),
        'a.yaml:12:60: fatal: unknown key "contain" [stack-schema]\n  Did you mean "contains"?',
    ),
    "no expectation": ("smoke: [{model: e, inputs: {}}]\n", 'required key "expect" is missing [stack-schema]'),
    "a text for a flag": (
        CASE.format(model="e", expect="{embedding: {not_empty: maybe}}"),
        '"not_empty" must be true or false, not "maybe"',
    ),
    "within without close": (
        CASE.format(model="e", expect="{embedding: {equals: 1, within: 2}}"),
        '"within" is set without "close"',
    ),
    "a text to be close to": (
        CASE.format(model="e", expect="{embedding: {close: [1, x]}}"),
        '"close" of "embedding" must be a number or a list of numbers, not [1, "x"]',
    ),
    "no list": ("smoke: {model: e}\n", '"smoke" must be a list'),
}


@tabled(("text", "message"), SMOKE_FAULTS.values(), ids=SMOKE_FAULTS)
def test_a_wrong_case_is_told_with_its_place(text: str, message: str) -> None:
    with pytest.raises(Stop) as stop:
        spec.read([("a.yaml", (GOOD + text).encode())], {}, PARTS)
    assert all(d.severity is Severity.FATAL and d.at.line >= 12 for d in stop.value.diagnostics)
    assert message in str(stop.value)


def test_a_case_is_read_with_its_values() -> None:
    text = CASE.format(model="e_model", expect="{embedding: {close: [1, 0.5], within: 0.1}}")
    (case,) = spec.read([("a.yaml", (GOOD + text).encode())], {}, PARTS).smoke
    assert (case.model, case.inputs) == ("e_model", {"text": "x"})
    assert (case.expect["embedding"].close, case.expect["embedding"].within) == ([1, 0.5], 0.1)
    assert case.places[""] == Span("a.yaml", 12, 9)


IDS = of_values("o", "BYTES", ["kb-17", "kb-1"], [2])
NUMBERS = of_values("o", "FP32", [1.0, 2.0], [2])
EXPECTATIONS: dict[str, tuple[Expectation, Tensor, str]] = {
    "holds something": (Expectation(not_empty=True), IDS, ""),
    "holds nothing": (Expectation(not_empty=True), of_values("o", "BYTES", [""], [1]), "output o is empty"),
    "is to be empty": (Expectation(not_empty=False), IDS, "output o is not empty"),
    "contains": (Expectation(contains="b-17"), IDS, ""),
    "contains it not": (
        Expectation(contains="kb-18"),
        IDS,
        'output o does not contain "kb-18"; it is ["kb-17", "kb-1"]',
    ),
    "begins with": (Expectation(first="kb-17"), IDS, ""),
    "begins with another": (Expectation(first="kb-1"), IDS, 'output o does not start with the value "kb-1"'),
    "equals texts": (Expectation(equals=["kb-17", "kb-1"]), IDS, ""),
    "equals one of them": (Expectation(equals="kb-17"), IDS, "output o does not equal 'kb-17'"),
    "equals numbers": (Expectation(equals=[1, 2]), NUMBERS, ""),
    "equals other numbers": (Expectation(equals=[1, 3]), NUMBERS, "output o does not equal [1, 3]"),
    "is close": (Expectation(close=[1.0005, 2]), NUMBERS, ""),
    "is close enough": (Expectation(close=[1.4, 2], within=0.5), NUMBERS, ""),
    "is not close": (Expectation(close=[1.4, 2]), NUMBERS, "output o is not within 0.001 of [1.4, 2]"),
    "is close to fewer": (Expectation(close=[1]), NUMBERS, "output o is not within"),
    "texts are close to nothing": (Expectation(close=[1, 2]), IDS, "output o is not within"),
    "two at once": (Expectation(first="kb-17", contains="x"), IDS, 'output o does not contain "x"'),
}


@tabled(("expectation", "tensor", "message"), EXPECTATIONS.values(), ids=EXPECTATIONS)
def test_an_expectation_is_judged(expectation: Expectation, tensor: Tensor, message: str) -> None:
    faults = list(meets({"o": expectation})(Reply(({"o": tensor},))))
    assert [fault.message.startswith(message) for fault in faults] == ([True] if message else [])


def test_the_pieces_of_a_stream_are_judged_as_one_text() -> None:
    pieces = tuple({"o": of_values("o", "BYTES", [piece], [1])} for piece in ("ver", "sion"))
    assert not list(meets({"o": Expectation(contains="version", equals="version")})(Reply(pieces)))
    assert [f.message for f in meets({"no": Expectation(not_empty=True)})(Reply(pieces))] == [
        "output no is missing from the response"
    ]


WHERE = Span("http://x/v2/models/m")
REPOSITORY = """backend: "python"
max_batch_size: 8
input { name: "IN" data_type: TYPE_FP32 dims: [ 2 ] }
output { name: "OUT" data_type: TYPE_FP32 dims: [ 2 ] }
dynamic_batching { max_queue_delay_microseconds: 100 priority_queue_policy { key: 1 value { max_queue_size: 7 } } }
instance_group { kind: KIND_AUTO }
parameters { key: "a" value { string_value: "b" } }
"""
SERVED = {
    "name": "m", "platform": "", "backend": "python", "runtime": "", "max_batch_size": 8,
    "version_policy": {"latest": {"num_versions": 1}},
    "input": [{"name": "IN", "data_type": "TYPE_FP32", "format": "FORMAT_NONE", "dims": [2], "optional": False}],
    "output": [{"name": "OUT", "data_type": "TYPE_FP32", "dims": [2], "label_filename": ""}],
    "optimization": {"priority": "PRIORITY_DEFAULT", "input_pinned_memory": {"enable": True}},
    "dynamic_batching": {
        "preferred_batch_size": [8], "max_queue_delay_microseconds": 100, "preserve_ordering": False,
        "priority_queue_policy": {"1": {"timeout_action": "REJECT", "max_queue_size": 7}},
    },
    "instance_group": [{"name": "m_0", "kind": "KIND_CPU", "count": 1, "gpus": [], "passive": False}],
    "default_model_filename": "model.py", "parameters": {"a": {"string_value": "b"}}, "model_warmup": [],
}  # fmt: skip
OUT = {"name": "OUT", "data_type": "TYPE_FP32", "dims": [2]}
DRIFTS: dict[str, tuple[dict[str, object], str]] = {
    "none": ({}, ""),
    "another batch": ({"max_batch_size": 4}, "max_batch_size: the repository says 8, but the server serves 4"),
    "dims": ({"output": [OUT | {"dims": [3]}]}, "output OUT.dims[0]: the repository says 2, but the server serves 3"),
    "one output more": ({"output": [OUT, OUT | {"name": "MORE"}]}, "the server serves the output MORE"),
    "a parameter gone": (
        {"parameters": {}},
        "parameters.a.string_value: the repository says b, but the server serves no",
    ),
    "a field that nobody wrote": (
        {"sequence_batching": {"max_sequence_idle_microseconds": 5}},
        "sequence_batching.max_sequence_idle_microseconds: the repository says nothing, but the server serves 5",
    ),
    "a GPU is the server's choice": ({"instance_group": [{"kind": "KIND_GPU", "count": 1, "gpus": [0]}]}, ""),
    "two instances": ({"instance_group": [{"kind": "KIND_GPU"}, {"kind": "KIND_CPU"}]}, "instance_group: "),
    "another backend": ({"backend": "vllm"}, "backend: the repository says python, but the server serves vllm"),
}


@tabled(("change", "message"), DRIFTS.values(), ids=DRIFTS)
def test_drift_is_what_the_core_did_not_fill_in(change: dict[str, object], message: str) -> None:
    model = expected.of(read({"m/config.pbtxt": of_text(REPOSITORY), "m/1/model.py": of_text("")}, target()), "r")["m"]
    result = drift.config(model, of_config(SERVED | change, "1", WHERE))
    assert [d.message.startswith(f"m: {message}") for d in result.diagnostics] == ([True] if message else [])


POLICIES = {
    "none: the latest": ("", ("10",)),
    "latest of two": ("version_policy { latest { num_versions: 2 } }", ("2", "10")),
    "all": ("version_policy { all { } }", ("1", "2", "10")),
    "empty: all": ("version_policy { }", ("1", "2", "10")),
    "specific, of which one is not there": ("version_policy { specific { versions: [ 1, 4 ] } }", ("1",)),
}


@tabled(("policy", "versions"), POLICIES.values(), ids=POLICIES)
def test_the_versions_that_a_repository_names(policy: str, versions: tuple[str, ...]) -> None:
    tree = {"m/config.pbtxt": of_text(policy)} | {f"m/{n}/model.py": of_text("") for n in ("1", "2", "10", "old")}
    assert expected.of(read(tree, target()), "r")["m"].versions == versions


def test_names_of_directories_are_versions_as_the_server_counts_them() -> None:
    tree = {"m/config.pbtxt": of_text("version_policy { all { } }")}
    tree |= {f"m/{name}/model.py": of_text("") for name in ("007", "+3", "1", "\u00b2", "configs")}
    model = expected.of(read(tree, target()), "r")["m"]
    assert model.versions == ("1", "3")
    assert "model.py" in model.contents["3"]


STATES = {
    "unloaded": (ModelState("m", "1", "UNAVAILABLE", "unloaded"), []),
    "on its way out": (ModelState("m", "1", "UNLOADING", ""), []),
    "not asked for": (ModelState("m", "", "", ""), []),
    "refused": (ModelState("m", "1", "UNAVAILABLE", "no such file"), ["UNAVAILABLE: no such file"]),
    "not there yet": (ModelState("m", "1", "LOADING", ""), ["LOADING"]),
}


@tabled(("state", "said"), STATES.values(), ids=STATES)
def test_a_version_is_at_fault_only_where_it_should_serve(state: ModelState, said: list[str]) -> None:
    results = [*survey(Client(Endpoint("http://127.0.0.1:1")), [state], frozenset())]
    messages = [d.message for result in results if isinstance(result, Result) for d in result.diagnostics]
    assert [message.rpartition("its state is ")[2] for message in messages] == said


def test_a_model_without_a_config_is_completed_by_the_server() -> None:
    models = expected.of(read({"n/1/model.py": of_text(""), "n/2/model.py": of_text("")}, target()), "r")
    (result,) = drift.versions(models, {"n": ["2"]}, Span("r"))
    assert not result.diagnostics
    assert not drift.config(models["n"], of_config({"name": "n", "backend": "python"}, "2", WHERE)).diagnostics


def test_a_config_that_cannot_be_read_is_told() -> None:
    tree: Tree = {"m/config.pbtxt": of_text("max_batch_size: x"), "n/config.pbtxt": Unreadable.FIFO}
    models = expected.of(read(tree, target()), "r")
    results = {result.model: result for result in drift.versions(models, {"m": ["1"], "n": ["1"]}, Span("r"))}
    assert results["m"].diagnostics[0].at == Span("r/m/config.pbtxt", 1, 17)
    assert "the config in the repository cannot be read: " in results["m"].diagnostics[0].message
    assert "config.pbtxt is not a readable file" in results["n"].diagnostics[0].message


def test_a_hand_written_ensemble_is_no_search() -> None:
    text = 'platform: "ensemble" ensemble_scheduling { step { model_name: "a" } }'
    assert links.pipelines(expected.of(read({"e/config.pbtxt": of_text(text)}, target()), "r")) == {}


def saved(shape: tuple[int, ...]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.ones(shape, np.float32))
    return buffer.getvalue()


PASSAGE = '{"id": "a", "text": "b"}\n'
INDEXES = {
    "fewer vectors": (
        saved((1, 2)),
        PASSAGE * 2,
        r"embeddings.npy has shape \[1, 2\], but passages.jsonl has 2 passages",
    ),
    "no rows": (saved((2,)), PASSAGE * 2, "has shape"),
    "no JSON": (saved((1, 2)), "{", "must have JSON with id and text on each line"),
    "no text": (saved((1, 2)), '{"id": "a"}', "must have JSON with id and text on each line"),
    "no vectors": (b"x", PASSAGE, "pickled"),
}


@tabled(("vectors", "passages", "message"), INDEXES.values(), ids=INDEXES)
def test_a_broken_index_is_told(vectors: bytes, passages: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load(of_bytes(vectors), of_text(passages))


CONTROLLED = {
    "name": "m",
    "model_transaction_policy": {"decoupled": True},
    "input": [
        {"name": name, "data_type": kind, "dims": [1], "optional": name != "q"}
        for name, kind in (("q", "TYPE_STRING"), ("sampling_parameters", "TYPE_STRING"), ("stream", "TYPE_BOOL"))
    ],
    "output": [{"name": "o", "data_type": "TYPE_STRING", "dims": [-1]}],
}
SAID = {"a word": (["", "x"], 0), "no word": (["", ""], 1), "nothing": ([], 1)}


@pytest.mark.parametrize(("pieces", "faults"), SAID.values(), ids=SAID)
def test_what_takes_vllms_controls_must_say_something(pieces: list[str], faults: int) -> None:
    asked = stream(of_config(CONTROLLED, "1", WHERE), "q", "Why?")
    names = [tensor.name for tensor in asked.request.inputs]
    assert (names, asked.compared) == (["q", "sampling_parameters", "stream"], Severity.WARNING)
    reply = Reply(tuple({"o": of_values("o", "BYTES", [piece], [1])} for piece in pieces), flat=True)
    assert len(list(asked.judge(reply))) == faults


FINDS: dict[str, object] = {
    "name": "r",
    "input": [{"name": "embedding", "data_type": "TYPE_FP32", "dims": [-1]}],
    "output": [{"name": n, "data_type": "TYPE_STRING", "dims": [-1]} for n in ("ids", "passages")]
    + [{"name": "scores", "data_type": "TYPE_FP32", "dims": [-1]}],
}
LINES = "".join(f'{{"id": "{i}", "text": "{i.upper()}"}}\n' for i in "abcde")
VECTORS = np.array([[1, 0, 0], [0.8, 0.6, 0], [0.7999, 0.6001, 0], [0, 0, 1], [0.795, 0, 0.6066]], np.float32)
"""The second and the third are so close to the first that half precision cannot distinguish them; the last is not."""


def stored(vectors: object = VECTORS, lines: str = LINES) -> Index:
    buffer = io.BytesIO()
    np.save(buffer, np.array(vectors, dtype=np.float32))
    return load(of_bytes(buffer.getvalue()), of_text(lines))


def found(rows: list[str], scores: list[float], shape: list[int] | None = None) -> dict[str, Tensor]:
    """Return the response of a search: "a" is that id with its own passage, "a:B" with another's."""
    pairs = [row.partition(":") for row in rows]
    passages = [passage or id_.upper() for id_, _, passage in pairs]
    return {
        "ids": of_values("ids", "BYTES", [id_ for id_, *_ in pairs], shape or [len(rows)]),
        "passages": of_values("passages", "BYTES", passages, shape or [len(rows)]),
        "scores": of_values("scores", "FP32", scores, shape or [len(scores)]),
    }


FOUND: dict[str, tuple[list[str], list[float], str]] = {
    "the right three": (["a", "b", "c"], [1, 0.8, 0.7999], ""),
    "near ones in each other's place": (["a", "c", "b"], [1, 0.8, 0.7999], ""),
    "scores of half precision": (["a", "b", "c"], [1.0009, 0.7992, 0.7991], ""),
    "the worst for the last": (["a", "b", "d"], [1, 0.8, 0], '"d" at place 3 of 3, with a score of'),
    "one that is little worse": (["a", "b", "e"], [1, 0.8, 0.795], '"e" at place 3 of 3, with a score of'),
    "another first": (["b", "a", "c"], [1, 0.8, 0.7], '"b" at place 1 of 3, with a score of'),
    "one twice": (["a", "b", "b"], [1, 0.8, 0.8], 'the passage "b" twice'),
    "two of three": (["a", "b"], [1, 0.8], "2 passages, not 3"),
    "one more": (["a", "b", "c", "d"], [1, 0.8, 0.8, 0], "4 passages, not 3"),
    "nothing": ([], [], "0 passages, not 3"),
    "wrong scores": (["a", "b", "c"], [2, 0.8, 0.8], 'a score of 2.0000 for "a", but by the stored vectors it is 1.0'),
    "scores that rise": (["a", "b", "c"], [1, 0.79, 0.8], "scores that are not in descending order: 0.79 at"),
    "a score fewer": (["a", "b", "c"], [1, 0.8], "3 passages but 2 scores"),
    "ids for passages": (["A:a", "B:b", "C:c"], [1, 0.8, 0.8], 'the id "A", which is a passage'),
    "an unknown id": (["a", "z", "c"], [1, 0.8, 0.8], 'the id "z", which is not in the index'),
    "another's passage": (["a", "b:C", "c:B"], [1, 0.8, 0.8], 'a passage for id "b" that is not the stored one: "C…"'),
}  # fmt: skip


def judged(config: dict[str, object], search: Search, answer: dict[str, Tensor]) -> list[str]:
    """Return the flaws of a response to a search for the passage "a"."""
    asked = [case for case in searches(of_config(config, "1", WHERE), search) if isinstance(case, Case)]
    about = next(case for case in asked if case.what == '"a"')
    return [fault.message for fault in about.judge(Reply((answer,)))]


@tabled(("rows", "scores", "message"), FOUND.values(), ids=FOUND)
def test_a_search_is_judged_by_the_stored_index(rows: list[str], scores: list[float], message: str) -> None:
    said = judged(FINDS, Search(stored(), "embedding", 3, by_text=False), found(rows, scores))
    assert [one.removeprefix('a search for passage "a" returned ').startswith(message) for one in said] == [
        True
    ] * bool(message)


def test_a_pipeline_may_be_off_by_what_its_embedder_may_be() -> None:
    answer = found(["a", "b", "c"], [1, 0.81, 0.79])
    asks = FINDS | {"input": [{"name": "query", "data_type": "TYPE_STRING", "dims": [1]}]}
    assert not judged(asks, Search(stored(), "query", 3, by_text=True), answer)
    assert judged(FINDS, Search(stored(), "embedding", 3, by_text=False), answer)


def test_a_pipeline_that_reads_queries_otherwise_than_passages_is_not_judged_by_their_ranks() -> None:
    asks = FINDS | {"input": [{"name": "query", "data_type": "TYPE_STRING", "dims": [1]}]}
    search = Search(stored(), "query", 3, by_text=True, apart=True)
    assert not judged(asks, search, found(["d", "b", "c"], [0.9, 0.8, 0.1]))
    assert judged(asks, search, found(["b", "b", "c"], [0.9, 0.8, 0.1]))
    assert judged(asks, search, found(["a:B", "b", "c"], [0.9, 0.8, 0.1]))
    assert judged(asks, search, found(["a", "b", "c"], [0.1, 0.8, 0.9]))


COUNTS: dict[str, tuple[int | None, list[str], list[float], str]] = {
    "more than there are": (9, ["a", "b"], [1, 0.6], ""),
    "more than there are, filled up": (9, ["a", "b", "", ""], [1, 0.6, 0, 0], ""),
    "more than there are, filled with what was there": (9, ["a", "b", "b"], [1, 0.6, 0.6], 'the passage "b" twice'),
    "fewer than there are": (9, ["a"], [1], "1 passage, not 2"),
    "not known": (None, ["a"], [1], ""),
    "not known, and none": (None, [], [], "0 passages, not 1"),
}


@tabled(("count", "rows", "scores", "message"), COUNTS.values(), ids=COUNTS)
def test_a_search_gives_no_more_than_there_is(
    count: int | None, rows: list[str], scores: list[float], message: str
) -> None:
    index = stored([[1, 0], [0.6, 0.8]], LINES[: 2 * len('{"id": "a", "text": "A"}\n')])
    (said,) = judged(FINDS, Search(index, "embedding", count, by_text=False), found(rows, scores)) or [""]
    assert message in said
    assert bool(said) == bool(message)


def test_passages_may_share_an_id() -> None:
    index = stored([[1, 0], [0.6, 0.8]], '{"id": "a", "text": "A"}\n{"id": "a", "text": "B"}\n')
    search = Search(index, "embedding", 2, by_text=False)
    assert not judged(FINDS, search, found(["a", "a:B"], [1, 0.6]))
    assert judged(FINDS, search, found(["a", "a"], [1, 0.6])) == [
        'a search for passage "a" returned the passage "a" twice'
    ]


def test_an_index_of_many_chunks_is_searched_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tritonrepo.smoke.index.CHUNK", 3)
    vectors = np.random.default_rng(2).normal(size=(10, 4)).astype(np.float32)
    index = stored(vectors, "".join(f'{{"id": "{n}", "text": "t"}}\n' for n in range(10)))
    scores = vectors[[1, 7]] @ vectors.T
    for best, row in zip(index.best([1, 7], 4), scores, strict=True):
        assert best.rows.tolist() == np.argsort(-row, kind="stable")[:4].tolist()
        assert np.allclose(best.scores, np.sort(row)[::-1][:4])


def test_an_index_with_a_nan_is_no_reference() -> None:
    with pytest.raises(ValueError, match="not finite"):
        stored([[1, np.nan]], PASSAGE).best([0], 1)


MANY = FINDS | {"max_batch_size": 8, "dynamic_batching": {}}


@pytest.mark.parametrize(("last", "message"), [("c", ""), ("c:B", 'a passage for id "c" that is not the stored one')])
def test_a_search_is_asked_for_many_passages_in_one_batch(last: str, message: str) -> None:
    index = stored(np.eye(3), LINES[: 3 * len('{"id": "a", "text": "A"}\n')])
    *_, asked, crowd = searches(of_config(MANY, "1", WHERE), Search(index, "embedding", 1, by_text=False))
    assert isinstance(asked, Case)
    assert (asked.what, asked.request.inputs[0].values.shape) == ("3 passages", (3, 3))
    answer = found(["a", "b", last], [1, 1, 1], [3, 1])
    said = [fault.message for fault in asked.judge(Reply((answer,)))]
    assert any(message in one for one in said) if message else not said
    assert isinstance(crowd, Crowd)
    assert (len(crowd.cases), crowd.batched) == (3, True)


@pytest.mark.parametrize(
    ("config", "joins"), [({}, False), ({"dynamic_batching": {}}, True)], ids=["one by one", "joined"]
)
def test_a_server_joins_what_has_a_dynamic_batcher_and_room(config: dict[str, object], joins: bool) -> None:  # noqa: FBT001
    served = {size: of_config(FINDS | config | {"max_batch_size": size}, "1", WHERE).joins for size in (0, 1, 2)}
    assert served == {0: False, 1: False, 2: joins}


SAYS = {
    "its config": ('output { name: "ids" dims: [ 4 ] }', '{"top_k": 5}', 4),
    "its settings": ('output { name: "ids" dims: [ -1 ] }', '{"top_k": 5}', 5),
    "settings of another kind": ("", "[]", None),
    "settings of another form": ("", "{", None),
    "no settings": ("", None, None),
}


@tabled(("config", "settings", "count"), SAYS.values(), ids=SAYS)
def test_how_many_passages_a_retriever_finds(config: str, settings: str | None, count: int | None) -> None:
    tree = {"r/config.pbtxt": of_text(config), "r/1/model.py": of_text("")}
    tree |= {} if settings is None else {"r/1/settings.json": of_text(settings)}
    assert links.count(expected.of(read(tree, target()), "x")["r"], "1") == count


def test_of_one_passage_nothing_can_be_swapped() -> None:
    index = stored([[1, 0]], PASSAGE)
    asked = [*searches(of_config(MANY, "1", WHERE), Search(index, "embedding", 1, by_text=False))]
    assert [type(case) for case in asked] == [Case]


def model(content: dict[str, Entry]) -> expected.Expected:
    return expected.of(read({f"m/{path}": entry for path, entry in content.items()}, target()), "r")["m"]


def unreadable(_offset: int, _count: int) -> bytes:
    raise OSError(5, "Input/output error")


def refused(_offset: int, _count: int) -> bytes:
    raise failure("store-access", "s3://b/p", "reading was refused", "Grant s3:GetObject.")


RIGHT: dict[str, Entry] = {
    "config.pbtxt": of_text(""),
    "1/model.json": of_text('{"model": "a"}'),
    "labels.txt": of_text("x"),
}
READS: dict[str, tuple[dict[str, Entry], Outcome, str]] = {
    "the same": ({}, Outcome.PASSED, ""),
    "another config, which is compared as it is served": ({"config.pbtxt": of_text("#")}, Outcome.PASSED, ""),
    "another version beside it": ({"2/model.json": of_text("x")}, Outcome.PASSED, ""),
    "another of the same size": (
        {"1/model.json": of_text('{"model": "b"}')},
        Outcome.FAILED,
        "1/model.json differs: the server's copy has the SHA-256 595c",
    ),
    "another size": (
        {"1/model.json": of_text("{}")}, Outcome.FAILED, "1/model.json differs: the server's copy has 2 bytes, not",
    ),
    "a FIFO": ({"1/model.json": Unreadable.FIFO}, Outcome.FAILED, "the server's 1/model.json is not a file: a FIFO"),
    "what cannot be read": (
        {"1/model.json": File(14, unreadable)}, Outcome.FAILED, "1/model.json cannot be read: Input/output error",
    ),
    "what a bucket refuses": (
        {"1/model.json": File(14, refused)}, Outcome.FAILED, "1/model.json cannot be read: reading was refused",
    ),
    "another beside the version": ({"labels.txt": of_text("y")}, Outcome.FAILED, "labels.txt differs"),
    "one more": ({"1/x.py": of_text("")}, Outcome.WARNING, "1/x.py is not expected"),
}  # fmt: skip


@tabled(("change", "outcome", "message"), READS.values(), ids=READS)
def test_the_files_that_a_server_reads_are_compared(change: dict[str, Entry], outcome: Outcome, message: str) -> None:
    result = files.compared(model(RIGHT), model(RIGHT | change), of_config({"name": "m"}, "1", WHERE), "s3://b/p")
    assert result.outcome is outcome
    assert [d.message.startswith(message) for d in result.diagnostics] == [True] * bool(message)
    assert {d.at.path for d in result.diagnostics} <= {"s3://b/p/m"}


def test_a_model_that_is_not_there_lacks_all_its_files() -> None:
    result = files.compared(model(RIGHT), None, of_config({"name": "m"}, "1", WHERE), "there")
    assert [d.message for d in result.diagnostics] == ["1/model.json is missing", "labels.txt is missing"]


EMBEDS: dict[str, object] = {
    "name": "e",
    "input": [{"name": "text", "data_type": "TYPE_STRING", "dims": [1]}],
    "output": [{"name": "embedding", "data_type": "TYPE_FP32", "dims": [-1]}],
}
EMBEDDED = {
    "the stored one": ([1.0, 0.0], ""),
    "another direction": ([0.0, 1.0], "has a cosine of 0.0000 with the stored one"),
    "another length": ([2.0, 0.0], "a vector has length 2.0000, but the stored one has 1.0000"),
}


@pytest.mark.parametrize(("vector", "message"), EMBEDDED.values(), ids=EMBEDDED)
def test_an_embedder_is_judged_by_the_stored_vectors(vector: list[float], message: str) -> None:
    (asked,) = reference(of_config(EMBEDS, "1", WHERE), stored([[1, 0]], PASSAGE))
    assert isinstance(asked, Case)
    said = [f.message for f in asked.judge(Reply(({"embedding": of_values("embedding", "FP32", vector, [2])},)))]
    assert any(message in one for one in said) if message else not said


def test_every_row_of_a_batch_is_judged() -> None:
    _, asked, crowd = reference(
        of_config(EMBEDS | {"max_batch_size": 4}, "1", WHERE), stored(np.eye(5)[:4], LINES[: 4 * len(LINES) // 5])
    )
    assert isinstance(asked, Case)
    assert isinstance(crowd, Crowd)
    assert (asked.what, len(crowd.cases), crowd.batched) == ("4 passages", 4, False)
    right = np.eye(5, dtype=np.float32)[:4]
    for values, faults in ((right, 0), (np.vstack([right[:3], right[:1]]), 1), (np.full((4, 5), np.inf), 1)):
        tensor = of_values("embedding", "FP32", values.ravel().tolist(), [4, 5])
        assert len(list(asked.judge(Reply(({"embedding": tensor},))))) == faults


def test_a_version_too_many_is_told() -> None:
    models = expected.of(read({"m/1/model.py": of_text(""), "m/config.pbtxt": of_text("")}, target()), "r")
    (result,) = drift.versions(models, {"m": ["1", "2"]}, Span("r"))
    assert [d.message for d in result.diagnostics] == [
        "m: the server serves versions 1, 2, but the repository selects version 1"
    ]


DATATYPES = ["BOOL", "INT8", "UINT64", "FP16", "BF16", "FP64", "BYTES"]


@tabled("datatype", DATATYPES)
def test_a_tensor_goes_and_comes_in_binary(datatype: str) -> None:
    tensor = of_values("t", datatype, ["1", "22"] if datatype == "BYTES" else [1, 0], [1, 2])
    body, length = packed(Request("m", "1", (tensor, tensor._replace(name="u"))))
    size = (len(body) - length) // 2
    head = [
        {"name": n, "datatype": datatype, "shape": [1, 2], "parameters": {"binary_data_size": size}} for n in ("t", "u")
    ]
    assert unpacked({"outputs": head}, body[length:])["u"].values.tolist() == tensor.values.tolist()


def test_made_up_inputs_fill_the_shapes_of_the_config() -> None:
    inputs = [
        {"name": "A", "data_type": "TYPE_STRING", "dims": [-1, 2]},
        {"name": "B", "data_type": "TYPE_INT64", "dims": [3]},
        {"name": "C", "data_type": "TYPE_INT64", "dims": [3], "optional": True},
        {"name": "query", "data_type": "TYPE_STRING", "dims": [1], "optional": True},
        {"name": "stream", "data_type": "TYPE_BOOL", "dims": [1], "optional": True},
    ]
    config = {"name": "m", "max_batch_size": 4, "input": inputs, "sequence_batching": {}}
    request = made_up(of_config(config, "7", WHERE))
    shapes = [(tensor.name, tensor.values.shape) for tensor in request.inputs]
    assert shapes == [("A", (1, 1, 2)), ("B", (1, 3)), ("query", (1, 1)), ("stream", (1, 1))]
    assert (request.version, bool(request.sequence)) == ("7", True)


PAIRS = {
    "equal": (NUMBERS, NUMBERS, ""),
    "a thousandth apart": (NUMBERS, of_values("o", "FP32", [1.0005, 2], [2]), ""),
    "apart": (NUMBERS, of_values("o", "FP32", [1.1, 2], [2]), "output o differs between the protocols: [1, 2] over"),
    "other texts": (IDS, of_values("o", "BYTES", ["a", "b"], [2]), "output o differs"),
    "fewer": (IDS, of_values("o", "BYTES", ["kb-17"], [1]), "output o differs"),
    "another name": (IDS, IDS._replace(name="p"), "output o arrives over only one protocol"),
}  # fmt: skip


@tabled(("one", "other", "message"), PAIRS.values(), ids=PAIRS)
def test_two_protocols_agree_or_not(one: Tensor, other: Tensor, message: str) -> None:
    faults = list(differences(Reply(({one.name: one},)), Reply(({other.name: other},))))
    assert [fault.message.startswith(message) for fault in faults[:1]] == ([True] if message else [])


@contextmanager
def dripping(head: bytes, drop: bytes, pause_s: float) -> Iterator[str]:
    """Run a server that sends the same drop of a response again and again until its client has left."""
    done = threading.Event()
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def drip() -> None:
            connection, _ = server.accept()
            with connection, suppress(OSError):
                connection.recv(1 << 16)
                connection.sendall(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n")
                end = time.monotonic() + 3  # far beyond the deadline, and yet an end for a client that has none
                while not done.wait(pause_s) and time.monotonic() < end:
                    connection.sendall(drop)

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            done.set()
            thread.join()


def test_a_server_that_is_silent_from_the_start_is_exit_2(capsys: pytest.CaptureFixture[str]) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        assert run(["smoke", f"http://127.0.0.1:{server.getsockname()[1]}", "--timeout", "0.3"]) == 2
    assert "fatal: the response was not complete within 0.3 s [server-late]" in capsys.readouterr().err


def test_a_case_for_a_model_that_is_not_served_fails_at_its_place() -> None:
    declared = spec.read(
        [("a.yaml", (GOOD + CASE.format(model="e", expect="{o: {first: x}}")).encode())], {}, PARTS
    ).smoke
    (result,) = cases(Known(declared=declared), [])
    assert isinstance(result, Result)
    assert [(d.at, d.message) for d in result.diagnostics] == [
        (Span("a.yaml", 12, 17), "case 1 is for e, which the server does not serve")
    ]


def test_a_served_model_that_is_not_the_repositorys_is_told_and_still_asked() -> None:
    ensemble = """platform: "ensemble" ensemble_scheduling {
        step { model_name: "e" input_map { key: "text" value: "q" } output_map { key: "embedding" value: "v" } }
        step { model_name: "r" input_map { key: "embedding" value: "v" } } }"""
    index = {"r/1/embeddings.npy": of_bytes(saved((1, 2))), "r/1/passages.jsonl": of_text(PASSAGE)}
    tree = {"r/config.pbtxt": of_text(""), "e/config.pbtxt": of_text(""), "p/config.pbtxt": of_text(ensemble), **index}
    served = of_config({"name": "e", "input": [OUT | {"name": "other"}]}, "1", WHERE)
    told, asked = cases(Known(Span("r"), expected.of(read(tree, target()), "r"), parts=PARTS), [served])
    assert isinstance(told, Result)
    assert told.diagnostics[0].message == 'e cannot be compared: unknown input "text"; the model has other'
    assert isinstance(asked, Case)
    assert asked.check is Check.ANSWER


CHUNKED, SIZED = b"Transfer-Encoding: chunked\r\n", b"Content-Length: 1000000\r\n"
DRIPS: dict[str, tuple[bytes, bytes, float, Callable[[Client], object]]] = {
    "a stream": (CHUNKED, b"1\r\n \r\n", 0.02, lambda c: [*c.stream("m", {})]),
    "a stream without a pause": (CHUNKED, b"1\r\n \r\n", 0, lambda c: [*c.stream("m", {})]),
    "a stream that pauses": (CHUNKED, b"", 0.02, lambda c: [*c.stream("m", {})]),
    "the size of a chunk": (CHUNKED, b"0", 0.02, lambda c: [*c.stream("m", {})]),
    "a header": (b"X: ", b"a", 0.02, lambda c: c.live()),
    "a body in chunks": (CHUNKED, b"1\r\n \r\n", 0.02, lambda c: c.config("m")),
    "a body of a known length": (SIZED, b" ", 0.02, lambda c: c.index()),
    "a body up to the end of the connection": (b"", b" ", 0.02, lambda c: c.index()),
}


@tabled(("head", "drop", "pause_s", "ask"), DRIPS.values(), ids=DRIPS)
def test_an_answer_that_only_drips_ends_at_its_deadline(
    head: bytes, drop: bytes, pause_s: float, ask: Callable[[Client], object]
) -> None:
    late = r"the response was not complete within 0\.2 s"
    with dripping(head, drop, pause_s) as url, pytest.raises(Stop, match=late):
        ask(Client(Endpoint(url, 5, 0.2)))


def test_a_table_is_aligned_and_harmless() -> None:
    assert table(("a", "b"), [("long\n", "x"), ("y", "")]) == "a       b\nlong\\n  x\ny"


def test_junit_escapes_what_xml_cannot_hold() -> None:
    fault = Diagnostic("r", Severity.ERROR, Span("f"), "a < b \x1b", "next\x00")
    text = junit("<u>", [Row("s", "c", 0.5, (fault,)), Row("s", "d", 0.25), Row("a", "e", 0, (), (fault,))])
    top = ET.fromstring(text)
    assert [(s.get("name"), s.get("tests"), s.get("failures"), s.get("time")) for s in top] == [
        ("a", "1", "0", "0.000"),
        ("s", "2", "1", "0.750"),
    ]
    failure = top[1][0].find("failure")
    assert failure is not None
    assert failure.get("message") == "a < b \\x1b"
    assert failure.text == "f: error: a < b \\x1b [r]\n  next\\x00"
