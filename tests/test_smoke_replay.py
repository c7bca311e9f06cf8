"""Recording a smoke test and replaying it elsewhere: the same verdicts, no secrets, and no file that breaks it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.speaking import Asked, Said, arrays, inferred, plain, speaking
from tritonrepo.cli import run
from tritonrepo.diagnostics import Severity, Span, Stop
from tritonrepo.server.tensors import Request, Tensor, of_values
from tritonrepo.smoke import recording
from tritonrepo.smoke.case import Answered, Case, Check, Flaw, Protocol, Reply
from tritonrepo.smoke.judge import anything
from tritonrepo.smoke.nearness import far
from tritonrepo.smoke.recorded import Plan, read
from tritonrepo.smoke.recording import Recorder
from tritonrepo.smoke.replay import matches

SCHEMA = json.loads((Path(__file__).parent.parent / "schemas" / "smoke-plan.schema.json").read_text("utf-8"))
FP32 = {"data_type": "TYPE_FP32", "dims": [2]}
Answer = Callable[[Mapping[str, NDArray[Any]]], Said]


def right(given: Mapping[str, NDArray[Any]]) -> Said:
    return inferred(X=given["A"] * 2)


def model(answer: Answer, versions: str = "1", **config: object) -> Callable[[Asked], Said]:
    """Return a server with one model."""

    def say(asked: Asked) -> Said:
        if asked.path == "/v2":
            return plain({"name": "triton", "version": "2.51.0"})
        if asked.path.endswith("index"):
            return plain([{"name": "m", "version": each, "state": "READY"} for each in versions])
        if asked.path.endswith("config"):
            tensors = {"input": [{"name": "A", **FP32}], "output": [{"name": "X", **FP32}]}
            return plain({"name": "m", **tensors, **config})
        return answer(arrays(asked)) if asked.path.endswith("infer") else plain({}, 404)

    return say


Smoked = Callable[..., tuple[int, Any]]


@pytest.fixture
def smoked(inside: Path, capsys: pytest.CaptureFixture[str]) -> Smoked:
    """Test a server over HTTP; return the exit code and the document."""

    def ask(server: Callable[[Asked], Said], *arguments: str) -> tuple[int, Any]:
        with speaking(server) as here:
            code = run(["smoke", here.url, "--grpc", "none", "--format", "json", *arguments])
        said = capsys.readouterr()
        (inside / "err.txt").write_text(said.err, "utf-8")
        return code, json.loads(said.out)

    return ask


def failed(document: Any) -> list[tuple[str, str]]:  # noqa: ANN401  JSON
    return [(each["rule"], each["message"]) for each in document["diagnostics"]]


DIFFERS = "version 1, http: output X differs from the recorded one"

SABOTAGED: dict[str, tuple[Callable[[Asked], Said], list[tuple[str, str]]]] = {
    "the same": (model(right), []),
    "a little rounded": (model(lambda given: inferred(X=given["A"] * 2.01)), []),
    "other values": (
        model(lambda given: inferred(X=given["A"] * [2, 3])),
        [("smoke-answer", f"{DIFFERS}: 1 of 2 values, first [3] at index 1, recorded [2]")],
    ),
    "not a number": (
        model(lambda given: inferred(X=given["A"] * np.nan)),
        [("smoke-answer", "version 1, http: output X is not finite: 2 of 2 values, first nan at index 0")],
    ),
    "another shape": (
        model(lambda _: inferred(X=np.ones(3, np.float32))),
        [("smoke-answer", "version 1, http: output X has shape [3], but the config declares [2]")],
    ),
    "a missing output": (
        model(lambda _: plain({"outputs": []})),
        [("smoke-answer", "version 1, http: the response lacks the declared output X; it has no outputs")],
    ),
    "a refusal": (
        model(lambda _: plain({"error": "no"}, 400)),
        [("smoke-answer", "version 1, http: /v2/models/m/versions/1/infer: no")],
    ),
    "another version": (
        model(right, versions="2"),
        [("smoke-versions", "m: the plan was recorded from version 1, but the server serves version 2")],
    ),
    "one more version": (model(right, versions="12"), []),
    "another config": (
        model(right, max_batch_size=0, default_model_filename="other.onnx"),
        [("smoke-config", "m: default_model_filename: nothing when the plan was recorded, other.onnx now")],
    ),
}  # fmt: skip


def test_a_plan_has_the_same_verdicts_elsewhere_also_on_a_sabotaged_server(smoked: Smoked, inside: Path) -> None:
    assert smoked(model(right), "--record", "plan.json")[0] == 0
    assert "recorded 1 cases in plan.json" in (inside / "err.txt").read_text("utf-8")
    jsonschema.validate(json.loads((inside / "plan.json").read_text("utf-8")), SCHEMA)
    for name, (server, faults) in SABOTAGED.items():
        code, document = smoked(server, "--replay", "plan.json")
        assert (failed(document), code) == (faults, 1 if faults else 0), name
        assert [row["check"] for row in document["results"]][:1] == ["loaded"], name


def test_the_server_lacks_a_model_of_the_plan(smoked: Smoked) -> None:
    smoked(model(right), "--record", "plan.json")
    code, document = smoked(
        lambda asked: plain([]) if asked.path.endswith("index") else plain({}), "--replay", "plan.json"
    )
    says = "m: the plan was recorded from version 1, but the server does not serve this model"
    assert (code, failed(document)) == (1, [("smoke-versions", says)])
    assert smoked(model(right), "--replay", "plan.json", "--only", "n")[0] == 2


def test_a_tolerance_is_a_part_of_the_largest_value(smoked: Smoked) -> None:
    smoked(model(right), "--record", "plan.json")
    near = model(lambda given: inferred(X=given["A"] * 2.1))
    assert smoked(near, "--replay", "plan.json")[0] == 1
    assert smoked(near, "--replay", "plan.json", "--tolerance", "0.1")[0] == 0


def test_what_was_wrong_when_it_was_recorded_stays_wrong(smoked: Smoked) -> None:
    broken = model(lambda given: inferred(X=given["A"] * np.inf))
    assert smoked(broken, "--record", "plan.json")[0] == 1
    code, document = smoked(broken, "--replay", "plan.json")
    assert (code, document["summary"]["failed"]) == (1, 1)
    code, document = smoked(model(right), "--replay", "plan.json")
    ((_, message),) = failed(document)
    assert "it was wrong when the plan was recorded (output X is not finite" in message
    assert message.endswith("and is another one now")


def test_no_secret_is_recorded(smoked: Smoked, inside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "hunter22-hunter22")

    def echo(asked: Asked) -> Said:
        if not asked.path.endswith("infer"):
            return model(right)(asked)
        token = asked.head["authorization"]
        return plain({"error": f"bad {token}"}, 400)

    def output(asked: Asked) -> Said:
        token = asked.head["authorization"]
        if asked.path.endswith("config"):
            return plain({"name": token, "input": [{"name": "A", **FP32}], "output": [{"name": token, **FP32}]})
        if asked.path.endswith("index"):
            return plain([{"name": token, "version": "1", "state": "READY", "reason": token}])
        return inferred(**{token: np.ones(2)}) if asked.path.endswith("infer") else model(right)(asked)

    for server in (echo, output):
        _, document = smoked(server, "--token-env", "TOKEN", "--record", "plan.json", "--junit", "x.xml")
        texts = [json.dumps(document), *(path.read_text("utf-8") for path in inside.iterdir())]
        assert len(texts) == 4
        assert not [text for text in texts if "hunter22" in text]


REQUEST = Request("m", "1", (of_values("A", "FP32", [1, 2], [2]),))


def answered(*responses: Mapping[str, Tensor], flaws: tuple[Flaw, ...] = ()) -> Answered:
    return Answered(Reply(tuple(responses)), flaws, 1)


def expected(case: Case, *replies: Answered) -> Any:  # noqa: ANN401  JSON
    recorder = Recorder(lambda text: text)
    recorder.single(case, dict(zip(Protocol, replies, strict=False)))
    plan = json.loads(recorder.plan({}))
    jsonschema.validate(plan, SCHEMA)
    return plan["cases"][0]["requests"][0]["expect"] if plan["cases"] else plan["left_out"][0]["reason"]


def case(*inputs: Tensor, streamed: bool = False) -> Case:
    request = Request("m", "1", inputs) if inputs else REQUEST
    return Case(Check.ANSWER, request, anything, Span("x"), streamed=streamed, compared=Severity.WARNING)


def x(values: object, shape: list[int], datatype: str = "FP32", name: str = "X") -> dict[str, Tensor]:
    return {name: of_values(name, datatype, values, shape)}


def test_what_is_expected_is_written_as_it_can_be_compared() -> None:
    one = answered(x([1, float("nan")], [1, 2]))
    assert expected(case(), one)["outputs"] == [
        {"name": "X", "datatype": "FP32", "shape": [1, 2], "data": [1.0, "nan"]}
    ]
    texts = answered(x(["a", b"\xff"], [2], "BYTES"))
    assert expected(case(), texts)["outputs"][0]["data"] == ["a", {"base64": "/w=="}]
    many = expected(case(), answered(x(range(2500), [2500], "INT64")))["outputs"][0]
    assert (many["every"], many["count"], many["data"][:3], len(many["data"])) == (3, 2500, [0, 3, 6], 834)
    other = expected(case(), one, answered(x([1, 5], [1, 2])))
    assert other["outputs"] == [{"name": "X", "datatype": "FP32", "varies": True, "empty": False}]
    said = answered(x(["Hel"], [1], "BYTES"), x(["lo"], [1], "BYTES"), x(["s"], [1], "BYTES", "sources"))
    assert [each.get("varies") for each in expected(case(streamed=True), said)["outputs"]] == [True, None]
    counted = expected(case(streamed=True), answered(x([1], [1]), x([2], [1])))
    assert (counted["responses"], counted["outputs"][0]["data"]) == (2, [1.0, 2.0])
    assert expected(case(), answered(flaws=(Flaw("late"),))) == {"outputs": [], "wrong": "late"}


def test_a_sequence_is_replayed_as_it_was_sent(tmp_path: Path) -> None:
    recorder = Recorder(lambda text: text)
    request = replace(REQUEST, sequence="a", ends=False)
    both = answered(x([1], [1]), x([2], [1]))
    recorder.single(replace(case(), request=request), {Protocol.HTTP: both})
    ((sent,),) = [each.sent for each in plan_of(tmp_path / "p", recorder.plan({})).cases]
    assert (sent.request.sequence, sent.request.begins, sent.request.ends) == ("a", True, False)
    assert [*matches(sent.expect, 0)(both.reply)] == []
    assert [*matches(sent.expect, 0)(Reply((x([1], [1]), x([3], [1]))))] != []


def test_an_input_is_whole_or_its_case_is_left_out() -> None:
    same = of_values("A", "FP16", [1] * 100_000, [100_000])
    recorder = Recorder(lambda text: text)
    recorder.single(case(same), {Protocol.HTTP: answered()})
    (made,) = json.loads(recorder.plan({}))["cases"]
    assert made["requests"][0]["inputs"] == [{"name": "A", "datatype": "FP16", "shape": [100_000], "all": 1.0}]
    large = of_values("A", "INT64", range(recording.MOST_SENT + 1), [recording.MOST_SENT + 1])
    assert expected(case(large), answered()) == "input A has more than 65,536 values"
    assert expected(case(), answered(x(["x" * (recording.LONGEST + 1)], [1], "BYTES"))).startswith("the strings of ou")


def test_a_plan_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "WHOLE", 100)
    assert expected(case(), answered(x([1], [1]))) == "the plan has 0 MiB already"


def test_numbers_are_near_by_a_part_of_the_largest() -> None:
    one = np.array([100, 1, np.nan, np.inf], np.float32)
    assert far(one, one, 0).tolist() == [False] * 4
    assert far(one + 0.9, one, 0.01).tolist() == [False] * 4
    assert far(one + 1.1, one, 0.01).tolist() == [True, True, False, False]
    assert far(np.array([0.1]), np.array([0.0]), 0.01).tolist() == [True]
    assert far(np.array([b"a"], object), np.array([b"b"], object), 1).tolist() == [True]


GOOD: dict[str, Any] = {
    "schema": 1,
    "server": {},
    "models": [{"name": "m", "version": "1", "config": {}}],
    "left_out": [],
    "cases": [
        {
            "model": "m", "version": "1", "check": "answer", "case": "", "streamed": False, "protocols": ["http"],
            "requests": [{
                "inputs": [{"name": "A", "datatype": "FP32", "shape": [2], "data": [1, 2]}],
                "expect": {"outputs": [{"name": "X", "datatype": "FP32", "shape": [2], "data": [1, 2.5]}]},
            }],
        },
    ],
}  # fmt: skip


def plan_of(path: Path, text: str | bytes) -> Plan:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read(path)


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    plan = plan_of(tmp_path / "p", json.dumps(GOOD))
    ((sent,),) = [each.sent for each in plan.cases]
    assert [(t.name, t.datatype, t.values.tolist()) for t in sent.request.inputs] == [("A", "FP32", [1, 2])]
    judge = matches(sent.expect, 0.01)
    assert [*judge(Reply((x([1, 2.5], [2]),)))] == []
    says = {
        "differs from the recorded one: 1 of 2 values": x([1, 9], [2]),
        "has shape [1, 2], but had [2] when it was recorded": x([1, 2.5], [1, 2]),
        "is FP64, but was FP32 when it was recorded": x([1, 2.5], [2], "FP64"),
        "output X is missing, but was there when it was recorded": {},
        "output Y was not there when it was recorded": {**x([1, 2.5], [2]), **x([1], [1], name="Y")},
    }
    for message, tensors in says.items():
        ((flaw),) = judge(Reply((tensors,)))
        assert message in flaw.message


KINDS: list[object] = [None, True, 7, -1, 1.5, "x", [], {}, [None], [[]], {"a": 1}]
"""A value of each type of JSON, for every place of a plan."""


def damaged(node: Any, value: object) -> list[Any]:  # noqa: ANN401  JSON
    """Return the document with this value in each of its places."""
    keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else []
    found = []
    for key in keys:
        for inner in [value, *damaged(node[key], value)]:
            copy = dict(node) if isinstance(node, dict) else list(node)
            copy[key] = inner
            found.append(copy)
    return found


def test_a_value_of_any_kind_at_any_place_is_told_or_read(tmp_path: Path) -> None:
    told = 0
    for value in KINDS:
        for document in damaged(GOOD, value):
            try:
                plan_of(tmp_path / "p", json.dumps(document))
            except Stop as stop:
                told += 1
                assert stop.diagnostics[0].rule == "smoke-plan"
    assert told > 250


def put(place: str, value: object) -> str:
    """Return the good plan with another value at a place, such as `cases.0.model`."""
    document = json.loads(json.dumps(GOOD))
    *path, last = place.split(".")
    node = document
    for key in path:
        node = node[int(key) if key.isdecimal() else key]
    node[last] = value
    return json.dumps(document)


REQUESTS = "cases.0.requests.0"
HOSTILE: dict[str, tuple[str | bytes, str]] = {
    "nothing": (b"", "p:1:1: fatal: the file is not JSON: Expecting value [smoke-plan]"),
    "no text": (b"\xff\xfe", "this is not a recorded plan: 'utf-8' codec can't decode"),
    "cut off": (json.dumps(GOOD)[:99], "the file is not JSON: "),
    "a list": ("[]", "the file must hold a map"),
    "nested": ("[" * 100_000, "p: fatal: the file is nested too deeply"),
    "another schema": (put("schema", 2), "the plan has schema 2, but this tritonrepo reads schema 1"),
    "a path as a version": (
        put("cases.0.version", "1/../../x"), 'cases[0].version must be the number of a version, such as "1"',
    ),
    "digits of another script": (put("cases.0.version", "\u0661"), "cases[0].version must be the number"),
    "no model": (put("cases.0.model", ""), "cases[0].model must be a name with 1 to 1,000 characters, not ''"),
    "a check that is none": (put("cases.0.check", "x"), "cases[0].check must be one of loaded, versions"),
    "no protocol": (put("cases.0.protocols", []), "cases[0].protocols must be a list of grpc and http, not []"),
    "no request": (put("cases.0.requests", []), "cases[0].requests must be a list with at least one request"),
    "a shape that is too large": (
        put(f"{REQUESTS}.inputs", [{"name": "A", "datatype": "FP32", "shape": [1 << 39], "all": 1}]),
        "cases[0].requests[0].inputs[0].shape must be the shape of at most 16,777,216 values",
    ),
    "a negative size": (
        put(f"{REQUESTS}.inputs.0.shape", [-2]),
        "cases[0].requests[0].inputs[0].shape must be a list of sizes, not [-2]",
    ),
    "too few values": (put(f"{REQUESTS}.inputs.0.data", [1]), "inputs[0].data must be 2 values, not [1]"),
    "words for numbers": (put(f"{REQUESTS}.inputs.0.data", ["a", 1]), "inputs[0].data must hold values of FP32 only"),
    "a number that does not fit": (
        put(f"{REQUESTS}.inputs", [{"name": "A", "datatype": "INT8", "shape": [1], "data": [999]}]),
        "inputs[0].data does not fit INT8",
    ),
    "a data type that is none": (put(f"{REQUESTS}.inputs.0.datatype", "FP31"), "inputs[0].datatype must be a data"),
    "broken base64": (
        put(f"{REQUESTS}.inputs", [{"name": "A", "datatype": "BYTES", "shape": [1], "data": [{"base64": "*"}]}]),
        "inputs[0].data has broken base64",
    ),
    "a step of zero": (
        put(f"{REQUESTS}.expect.outputs.0.every", 0), "expect.outputs[0].every must be a whole number from 1 on, not 0",
    ),
    "a number of many digits": ('{"schema": ' + "1" * 5000 + "}", "this is not a recorded plan: Exceeds the limit"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "says"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_plan_is_told_with_the_place(
    inside: Path, capsys: pytest.CaptureFixture[str], text: str | bytes, says: str
) -> None:
    (inside / "p").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert run(["smoke", "http://127.0.0.1:1", "--replay", "p"]) == 2
    assert says in capsys.readouterr().err


def test_a_plan_that_is_no_file_is_told(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(inside / "fifo")
    (inside / "large").touch()
    os.truncate(inside / "large", 1 << 40)
    says = {
        "nowhere": "the plan cannot be read: No such file", "fifo": "it is not a regular file",
        "large": "it has 1,099,511,627,776 bytes; at most", ".": "the plan cannot be read: Is a directory",
    }  # fmt: skip
    for path, message in says.items():
        assert run(["smoke", "http://127.0.0.1:1", "--replay", path]) == 2
        assert message in capsys.readouterr().err


USAGE: dict[str, tuple[list[str], str]] = {
    "a stack": (["STACK", "--replay", "p"], "--replay takes what to expect from its FILE"),
    "both": (["--replay", "p", "--record", "q"], "no STACK, --repository or --record"),
    "a tolerance of nothing": (["--tolerance", "1"], "--tolerance requires --replay"),
    "a tolerance without end": (["--replay", "p", "--tolerance", "inf"], "and a finite number"),
    "a negative one": (["--replay", "p", "--tolerance", "-1"], "is not in the range"),
}


@pytest.mark.usefixtures("inside")
@pytest.mark.parametrize(("arguments", "says"), USAGE.values(), ids=USAGE)
def test_options_that_contradict_each_other_are_told(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["smoke", "http://127.0.0.1:1", *arguments]) == 2
    assert says in " ".join(capsys.readouterr().err.split())
