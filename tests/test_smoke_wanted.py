"""What a stack's own cases expect beyond equality: patterns, schemas, vectors, orders, counts, a stream's end."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from tests.tabled import tabled
from tritonrepo import spec
from tritonrepo.diagnostics import Stop
from tritonrepo.parts import PARTS
from tritonrepo.server.tensors import Tensor, of_values
from tritonrepo.smoke.case import Reply
from tritonrepo.smoke.wanted import meets
from tritonrepo.sources import patterns, trial
from tritonrepo.spec.expectation import Cosine, Count, Expectation, Finish


def texts(*values: str) -> Tensor:
    return of_values("o", "BYTES", list(values), [len(values)])


def numbers(*values: float, shape: tuple[int, ...] = ()) -> Tensor:
    return of_values("o", "FP32", list(values), shape or [len(values)])


def ints(*values: int) -> Tensor:
    return of_values("o", "INT64", list(values), [len(values)])


def reply(*tensors: Tensor, ms: int = 0, flat: bool = False) -> Reply:
    return Reply(tuple({"o": tensor} for tensor in tensors), flat=flat, ms=ms)


ROWS = numbers(1, 0, 0, 1, 3, 4, shape=(3, 2))
ORDER = "output o is not {}; it is {}"
LONG = 'output o ends with "stop", but must end with "length"; it is ["astop"]'
WANTED: dict[str, tuple[Expectation, Reply, str]] = {
    "ascending": (Expectation(order="ascending"), reply(numbers(1, 1, 2)), ""),
    "descending": (Expectation(order="descending"), reply(numbers(2, 1, 1)), ""),
    "not ascending": (
        Expectation(order="ascending"), reply(numbers(1, 3, 2)),
        ORDER.format("ascending: 3.0 comes before 2.0 at index 1", "[1, 3, 2]"),
    ),
    "not descending": (
        Expectation(order="descending"), reply(texts("b", "a", "c")),
        ORDER.format("descending: a comes before c at index 1", '["b", "a", "c"]'),
    ),
    "each row for itself": (Expectation(order="descending"), reply(numbers(2, 1, 4, 3, shape=(2, 2))), ""),
    "a stream's numbers in order": (Expectation(order="ascending"), reply(ints(1), ints(2, 3)), ""),
    "a stream's numbers out of order": (
        Expectation(order="ascending"), reply(ints(2), ints(1)),
        ORDER.format("ascending: 2 comes before 1 at index 0", "[2, 1]"),
    ),
    "no value in any order": (Expectation(order="ascending"), reply(numbers()), ""),
    "no dimension in any order": (Expectation(order="ascending"), reply(of_values("o", "FP32", [1], [])), ""),
    "a number of values": (Expectation(count=2), reply(texts("a", "b")), ""),
    "another number of values": (
        Expectation(count=2), reply(texts("a")), 'output o has 1 value, but must have 2; it is ["a"]',
    ),
    "values of all responses": (Expectation(count=3), reply(texts("a"), texts("b", "c")), ""),
    "rows": (Expectation(count=Count(rows=3, values=6)), reply(ROWS), ""),
    "other rows": (Expectation(count=Count(rows=2)), reply(ROWS), "output o has 3 rows, but must have 2; it is [1, 0,"),
    "rows that HTTP does not tell": (Expectation(count=Count(rows=2)), reply(ROWS, flat=True), ""),
    "responses": (Expectation(count=Count(responses=2)), reply(ints(1), ints(1)), ""),
    "other responses": (
        Expectation(count=Count(responses=2)), reply(ints(1)), "output o has 1 response, but must have 2; it is [1]",
    ),
    "none at all": (Expectation(count=0), reply(ints()), ""),
    "it ends": (Expectation(finishes=True), reply(texts("a")), ""),
    "it ends in time": (Expectation(finishes=Finish(responses=2, seconds=1.5)), reply(ints(1), ints(2), ms=1500), ""),
    "it ends after more responses": (
        Expectation(finishes=Finish(responses=1)), reply(ints(1), ints(2)),
        "output o ended after 2 responses, but must end within 1; it is [1, 2]",
    ),
    "it ends late": (
        Expectation(finishes=Finish(seconds=1.5)), reply(ints(1), ms=1501),
        "output o ended after 1.501 s, but must end within 1.5 s; it is [1]",
    ),
    "it ends for the right reason": (Expectation(finishes=Finish(reason="stop")), reply(texts("a"), texts("stop")), ""),
    "it ends for another reason": (
        Expectation(finishes=Finish(reason="length")), reply(texts("a"), texts("stop")), LONG,
    ),
    "the same direction": (Expectation(cosine=Cosine(vector=[3, 4])), reply(numbers(0.6, 0.8)), ""),
    "at the limit": (Expectation(cosine=Cosine(vector=[1, 0], at_least=0.6)), reply(numbers(3, 4)), ""),
    "each row like the vector": (
        Expectation(cosine=Cosine(vector=[1, 0], at_least=0.5)), reply(ROWS),
        "output o has a cosine of 0.0000 in row 1, but must have at least 0.5; it is [1, 0, 0, 1, 3, 4]",
    ),
    "another size": (
        Expectation(cosine=Cosine(vector=[1, 0, 0, 0])), reply(ROWS), "output o has 6 values, but the vector has 4",
    ),
    "two rows": (Expectation(cosine=Cosine(rows=(1, 2), at_least=0.8)), reply(ROWS), ""),
    "two rows apart": (
        Expectation(cosine=Cosine(rows=(0, 1), at_least=0.1)), reply(ROWS),
        "output o has a cosine of 0.0000 in rows 0 and 1, but must have at least 0.1",
    ),
    "a row that is not there": (Expectation(cosine=Cosine(rows=(0, 3))), reply(ROWS), "output o has no row 3"),
    "a second row of one vector": (Expectation(cosine=Cosine(rows=(0, 1))), reply(numbers(1)), "output o has no row 1"),
    "no direction": (
        Expectation(cosine=Cosine(vector=[1, 0])), reply(numbers(0, 0)), "output o has a cosine of 0.0000 in row 0",
    ),
    "no number": (
        Expectation(cosine=Cosine(vector=[1], at_least=0)), reply(numbers(float("nan"))), "output o has a cosine of",
    ),
    "no vector": (Expectation(cosine=Cosine(vector=[1])), reply(texts("a")), "output o has texts, which have no"),
    "nothing": (Expectation(cosine=Cosine(vector=[1, 2])), reply(numbers()), "output o has 0 values, but the vector"),
    "two faults": (Expectation(count=3, order="descending"), reply(ints(1, 2)), "output o is not descending"),
}  # fmt: skip


@tabled(("expectation", "came", "message"), WANTED.values(), ids=WANTED)
def test_an_expectation_says_what_came_and_what_was_wanted(expectation: Expectation, came: Reply, message: str) -> None:
    said = [flaw.message for flaw in meets({"o": expectation})(came)]
    assert [said[0].startswith(message)] if message else said == []


OBJECT = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
FITS: dict[str, tuple[list[str], dict[str, Any], dict[str, str]]] = {
    "one of them": (["kb-1", "x"], {"pattern": r"^kb-\d$"}, {}),
    "in the middle": (["see kb-1."], {"pattern": "kb"}, {}),
    "none": (["x", ""], {"pattern": "kb"}, {"pattern": "no match"}),
    "an object": (['{"n": 1}', '{"n": 2}'], {"schema": OBJECT}, {}),
    "no JSON": (['{"n": 1}', "n"], {"schema": OBJECT}, {"schema": "value 1 is not JSON: "}),
    "another object": (['{"n": "1"}'], {"schema": OBJECT}, {"schema": "value 0 does not fulfill the schema: $.n: "}),
    "no schema": (["1"], {"schema": {"type": "objekt"}}, {"schema": "the schema itself is wrong: $.type: 'objekt' is"}),
    "both": (["1"], {"schema": {"type": "integer"}, "pattern": "2"}, {"pattern": "no match"}),
    "half a character": (["\ud800"], {"pattern": "^.$"}, {}),
}  # fmt: skip


@tabled(("values", "asked", "said"), FITS.values(), ids=FITS)
def test_texts_are_compared_with_a_pattern_and_a_schema(
    values: list[str], asked: dict[str, Any], said: dict[str, str]
) -> None:
    found = trial.texts(asked.get("pattern"), asked.get("schema"), values)
    assert {name: text[: len(said.get(name, ""))] for name, text in found.items()} == said


def test_a_pattern_that_takes_years_ends_in_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process is one of its own, and the system ends it: here after a second of processor time."""
    monkeypatch.setattr(patterns, "SECONDS", 1)
    (flaw,) = meets({"o": Expectation(matches="(a+)+$")})(reply(texts("a" * 60 + "b")))
    assert flaw.message.startswith(
        "output o cannot be judged: matches takes more than 1 s: nested repetitions, such as"
    )


def test_both_are_compared_in_a_process_of_their_own() -> None:
    wanted = Expectation(matches="^x", json_schema=OBJECT)
    unmatched, unfit = [flaw.message for flaw in meets({"o": wanted})(reply(texts("[]")))]
    assert unmatched == "output o does not match '^x'; it is [\"[]\"]"
    fault = "value 0 does not fulfill the schema: $: [] is not of type 'object'"
    assert unfit == f'output o is not as json_schema demands: {fault}; it is ["[]"]'


ENDS: dict[str, tuple[subprocess.CompletedProcess[bytes] | subprocess.TimeoutExpired, str]] = {
    "the extra is missing": (
        subprocess.CompletedProcess([], 1, b"", b"Traceback\nModuleNotFoundError: No module named 'jsonschema'\n"),
        "json_schema needs jsonschema; run `pip install 'tritonrepo[schema]'`",
    ),
    "a reference that cannot be followed": (
        subprocess.CompletedProcess([], 1, b"", b"x.Unresolvable: http://x\n"), "failed: x.Unresolvable: http://x",
    ),
    "silence": (subprocess.CompletedProcess([], 3, b"", b""), "failed: exit code 3"),
    "no end": (subprocess.TimeoutExpired([], 1), "takes more than 60 s"),
}  # fmt: skip


@pytest.mark.parametrize(("end", "message"), ENDS.values(), ids=ENDS)
def test_what_cannot_be_compared_is_told(monkeypatch: pytest.MonkeyPatch, end: Any, message: str) -> None:  # noqa: ANN401
    def run(*_: object, **__: object) -> object:
        if isinstance(end, Exception):
            raise end
        return end

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(ValueError, match=r".") as error:
        patterns.unfit(["x"], schema=OBJECT)
    assert message in str(error.value)


def test_nothing_is_fetched_for_a_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: pytest.fail("something was fetched"))
    with pytest.raises(Exception, match="Unresolvable"):
        trial.texts(None, {"$ref": "http://127.0.0.1:9/x"}, ["1"])


STACK = """name: s
target: {release: 24.10, images: [py3], gpus: 0}
models: {m: {backend: python, source: ./m}}
smoke:
  - {model: m, inputs: {}, expect: {o: EXPECT}}
"""


def read(expect: str) -> Expectation:
    text = STACK.replace("EXPECT", expect)
    return spec.read([("a.yaml", text.encode())], {}, PARTS).smoke[0].expect["o"]


def test_expectations_are_read_in_each_of_their_forms() -> None:
    assert read("{count: 4, order: ascending, finishes: true}") == Expectation(
        count=4, order="ascending", finishes=True
    )
    assert read("{count: {rows: 2, values: 4, responses: 1}, cosine: {rows: [0, 1], at_least: 0.8}}") == Expectation(
        count=Count(rows=2, values=4, responses=1), cosine=Cosine(rows=(0, 1), at_least=0.8)
    )
    assert read("{cosine: {vector: [0.6, 0.8]}, finishes: {responses: 3, seconds: 2.5, reason: stop}}") == Expectation(
        cosine=Cosine(vector=[0.6, 0.8]), finishes=Finish(responses=3, seconds=2.5, reason="stop")
    )
    assert read(r"{matches: '^\w+$', json_schema: {type: object}}") == Expectation(
        matches=r"^\w+$", json_schema={"type": "object"}
    )


@pytest.mark.parametrize("value", ["null", "true", "-1", "1.5", "''", "x", "[]", "[[1]]", "{}", "{a: 1}", "{rows: 1}"])
@pytest.mark.parametrize(
    "name", ["matches", "json_schema", "cosine", "order", "count", "finishes", "close", "within", "not_empty"]
)
def test_a_value_of_each_kind_is_read_or_refused_with_its_place(name: str, value: str) -> None:
    try:
        found = read(f"{{first: x, {name}: {value}}}")
    except Stop as stop:
        assert all(d.at.path == "a.yaml" and d.at.line == 5 for d in stop.diagnostics)
    else:
        came = reply(texts("x"))
        assert all(flaw.message.startswith("output o ") for flaw in meets({"o": found})(came) if name != "matches")
