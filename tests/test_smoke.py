"""`smoke` on the real server: a good one passes with every model tested, and each kind of damage is found and named."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import textwrap
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree as ET

import jsonschema
import pytest

from tests.conftest import EXAMPLE
from tests.load import lean
from tests.processes import killed
from tests.terminating import terminated
from tests.test_bench_triton import records
from tests.test_endpoint import Certificates
from tests.test_json import checked
from tritonrepo.bench.load import Prompt
from tritonrepo.bench.record import Record as Asked
from tritonrepo.bench.record import Source
from tritonrepo.cli import run
from tritonrepo.flows.serve import ServeOptions, serve
from tritonrepo.flows.workspace import Workspace
from tritonrepo.releases import runnable
from tritonrepo.server.following import stubs
from tritonrepo.server.ports import Ports
from tritonrepo.server.process import Server
from tritonrepo.smoke.case import Check
from tritonrepo.sync.record import Record

SCHEMA = Path(__file__).parent.parent / "schemas" / "smoke.schema.json"
MODELS = [
    *("embedder", "embedder_model", "generator", "generator_prompt", "rag", "reranker", "reranker_model"),
    *("retriever", "search"),
]
GRAPHS = ("embedder_model", "reranker_model")
BOTH = ["grpc", "http"]


class Smoked(NamedTuple):
    """The exit code, the document on stdout, and the text on stderr."""

    code: int
    document: Any
    err: str

    def failed(self) -> set[tuple[str, str]]:
        """Return model and check of every failure."""
        return {(row["model"], row["check"]) for row in self.document["results"] if row["outcome"] == "failed"}

    def said(self, model: str, rule: str) -> str:
        """Return the messages of a model's diagnostics, each with its hint."""
        found = [d for d in self.document["diagnostics"] if (d["model"], d["rule"]) == (model, rule)]
        assert found, self.document["diagnostics"]
        return "\n".join(f"{d['message']}\n{d['hint']}" for d in found)


Smoke = Callable[..., Smoked]


@pytest.fixture
def smoke(capsys: pytest.CaptureFixture[str]) -> Smoke:
    def ask(server: Server, *arguments: object) -> Smoked:
        capsys.readouterr()
        at = ["--grpc", server.grpc, "--metrics", server.metrics]
        code = run(["smoke", server.http, *at, "--format", "json", *map(str, arguments)])
        said = capsys.readouterr()
        return Smoked(code, json.loads(said.out or "null"), said.err)

    return ask


def launched(repository: Path) -> AbstractContextManager[Server]:
    chosen = ServeOptions(Ports(0, 0, 0), None, "script", 120)
    return killed(serve(repository, chosen, Workspace(os.environ), Record(), EXAMPLE))


def excerpt(repository: Path, place: Path, *models: str, links: bool = True) -> Path:
    """Return a copy of some models; files are links unless they are to be changed."""
    for model in models:
        shutil.copytree(repository / model, place / model, copy_function=os.link if links else shutil.copy2)
    return place


def edit(path: Path, *changes: tuple[str, str]) -> None:
    """Replace every match of a pattern; a file that another repository shares is left as it is."""
    text = path.read_text("utf-8")
    for old, new in changes:
        text, count = re.subn(old, new, text)
        assert count
    path.unlink()
    path.write_text(text, "utf-8")


@pytest.mark.parametrize("known", ["repository", "stack"])
def test_every_model_of_a_good_server_is_asked_over_both_protocols(
    rag_server: Server, rag_repository: Path, smoke: Smoke, known: str
) -> None:
    found = smoke(rag_server, rag_repository if known == "repository" else EXAMPLE)
    assert (found.code, found.document["diagnostics"], found.err) == (0, [], "")
    unchecked = [(row["model"], row["check"]) for row in found.document["results"] if row["outcome"] == "not checked"]
    # their files: nobody said what the server reads; on a busy machine, requests may not meet in a batch
    assert [each for each in unchecked if each[1] not in {"at-once", "batching"}] == [
        (model, "files") for model in MODELS
    ]
    asked = {
        model: sorted({row["protocol"] for row in found.document["results"] if row["model"] == model} - {""})
        for model in MODELS
    }
    assert asked == dict.fromkeys(MODELS, BOTH)
    checks = {(row["model"], row["check"]) for row in found.document["results"]}
    ran = {row["model"]: row["seen"] for row in found.document["results"] if row["check"] == "hardware"}
    assert ran.keys() == {*MODELS} - {"search"}
    assert all("; there is no GPU to see; a request waits " in seen for seen in ran.values())
    assert re.match(r"[1-9]\d* executions? on the CPU; ", ran["embedder"])
    assert checks >= {("embedder", "batching"), ("retriever", "batching")}
    assert checks >= {("embedder", "reference"), ("retriever", "search"), ("search", "ranking"), ("rag", "stream")}
    assert checks >= {("generator_prompt", "prompt"), ("embedder_model", "answer"), ("generator", "stream")}
    assert checks >= {(model, check) for model in MODELS for check in ("loaded", "versions", "config")}
    assert checks >= {(model, check) for model in MODELS if model not in GRAPHS for check in ("agreement", "at-once")}
    jsonschema.validate(found.document, json.loads(SCHEMA.read_text("utf-8")))


def test_the_schema_names_every_check() -> None:
    results = json.loads(SCHEMA.read_text("utf-8"))["properties"]["results"]["items"]["properties"]
    assert results["check"]["enum"] == [check.value for check in Check]
    assert all(f"{check}: " in results["check"]["description"] for check in ("ranking", "search", "declared"))


def test_a_server_alone_is_enough_to_ask_every_model(rag_server: Server, smoke: Smoke) -> None:
    found = smoke(rag_server)
    assert (found.code, found.failed()) == (0, set())
    assert {row["model"] for row in found.document["results"] if row["protocol"]} == set(MODELS)


def test_the_status_of_a_server_shows_what_it_counted(
    rag_server: Server, smoke: Smoke, capsys: pytest.CaptureFixture[str]
) -> None:
    assert smoke(rag_server, "--only", "search").code == 0
    assert run(["status", rag_server.http, "--metrics", rag_server.metrics, "--format", "json"]) == 0
    document = checked("status-server", capsys.readouterr().out)
    assert (document["server"]["releases"], document["diagnostics"], document["gpus"]) == ([runnable().name], [], [])
    models = {model["name"]: model for model in document["models"]}
    assert sorted(models) == MODELS
    counted = models["retriever"]["since_load"]
    assert counted["requests"] >= counted["executions"] >= sum(counted["batches"].values()) > 0
    assert all(counted["spent"][part]["ns"] > 0 for part in ("success", "queue", "compute_infer"))
    assert models["retriever"]["instance_groups"] == [{"kind": "KIND_CPU", "instances": 1, "gpus": []}]
    assert (models["search"]["since_load"]["failed"], models["search"]["pending"]) == (0, 0)
    assert document["machine"]["total"] > document["machine"]["used"] > 0
    assert run(["status", rag_server.http, "--metrics", rag_server.metrics]) == 0
    assert "\n\nno GPU: the metrics name none; memory of the machine: " in capsys.readouterr().out


def test_one_model_over_http_alone(rag_server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    alone = ["--grpc", "none", "--metrics", "none"]
    assert run(["smoke", rag_server.http, *alone, "--only", "search"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["model", "version", "check", "protocol", "result", "ms"]
    assert [line.split()[:5] for line in lines[1:3]] == [
        ["search", "1", "loaded", "passed"],
        ["search", "1", "files", "not", "checked"],
    ]
    assert lines[3].split()[:5] == ["search", "1", "answer", "http", "passed"]
    assert lines[5].startswith("not checked: files of search: nothing to compare with")
    assert lines[-1] == "1 model, 3 checks: 2 passed, 1 not checked"


def test_a_server_behind_tls_is_tested_over_both_protocols(
    rag_server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "hunter22-hunter22")
    made = Certificates(tmp_path)
    pair = (tmp_path / "server.pem", tmp_path / "server.key")
    ports = [int(address.rpartition(":")[2]) for address in (rag_server.http, rag_server.grpc)]
    with terminated(ports[0], *pair, ["http/1.1"]) as http, terminated(ports[1], *pair, ["h2"]) as grpc:
        secure = ["smoke", f"https://127.0.0.1:{http}", "--grpc", f"127.0.0.1:{grpc}", "--ca", str(made.tls.ca)]
        assert run([*secure, "--token-env", "TOKEN", "--only", "search", "--only", "rag", "--format", "json"]) == 0
        rows = json.loads(capsys.readouterr().out)["results"]
        assert run([*secure[:4], "--only", "search"]) == 2
    asked = {(row["model"], row["protocol"]) for row in rows if row["protocol"]}
    assert asked == {(model, protocol) for model in ("search", "rag") for protocol in BOTH}
    assert "is not signed by an authority that this machine trusts" in capsys.readouterr().err


def test_a_version_that_is_not_loaded_is_found(
    tmp_path: Path, rag_server: Server, rag_repository: Path, smoke: Smoke
) -> None:
    place = excerpt(rag_repository, tmp_path / "m", *MODELS)
    (place / "retriever" / "1").rename(place / "retriever" / "2")
    edit(place / "retriever" / "config.pbtxt", (r"(versions: \[? ?)1", r"\g<1>2"))
    found = smoke(rag_server, place, "--only", "retriever")
    assert (found.code, found.failed()) == (1, {("retriever", "versions")})
    assert "the server serves version 1, but the repository selects version 2" in found.said(
        "retriever", "smoke-versions"
    )


def test_drift_is_found_at_its_place_in_the_repository(
    tmp_path: Path, rag_server: Server, rag_repository: Path, smoke: Smoke
) -> None:
    place = excerpt(rag_repository, tmp_path / "m", *[model for model in MODELS if model != "generator"])
    shutil.copytree(place / "search", place / "another")
    edit(place / "another" / "config.pbtxt", ('"search"', '"another"'))
    edit(
        place / "embedder" / "config.pbtxt",
        ("dynamic_batching { }", "dynamic_batching { max_queue_delay_microseconds: 2 }"),
    )
    found = smoke(rag_server, place)
    assert (found.code, found.failed()) == (1, {("embedder", "config"), ("another", "versions")})
    text = (place / "embedder" / "config.pbtxt").read_text("utf-8")
    line = text[: text.index("dynamic_batching {")].count("\n") + 1
    (drift,) = [d for d in found.document["diagnostics"] if d["rule"] == "smoke-config"]
    assert (drift["path"], drift["line"]) == (f"{place}/embedder/config.pbtxt", line)
    assert drift["message"] == (
        "embedder: dynamic_batching.max_queue_delay_microseconds: the repository says 2, but the server serves 0"
    )
    assert "does not serve this model" in found.said("another", "smoke-versions")
    (more,) = [d for d in found.document["diagnostics"] if d["model"] == "generator"]
    assert more["severity"] == "warning"
    assert "which the repository does not have" in more["message"]


CONFIG = """backend: "python"
max_batch_size: 4
input [ { name: "IN" data_type: TYPE_FP32 dims: [ -1, 2 ] } ]
output [ { name: "OUT" data_type: TYPE_FP32 dims: [ 2 ] }, { name: "TOO" data_type: TYPE_STRING dims: [ 1 ] } ]
instance_group [ { kind: KIND_CPU count: 1 } ]
"""
CODE = """import os, signal
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        return [pb_utils.InferenceResponse(self.answer(len(self.given(r)))) for r in requests]

    def given(self, request):
        return pb_utils.get_input_tensor_by_name(request, "IN").as_numpy()

    def answer(self, rows):
        return [self.out(np.ones((rows, 2), np.float32)), self.too(rows)]

    def out(self, values):
        return pb_utils.Tensor("OUT", values)

    def too(self, rows):
        return pb_utils.Tensor("TOO", np.array([[b"x"]] * rows, dtype=np.object_))
"""
STREAMED = "model_transaction_policy { decoupled: true }\n"
SENDS = """
def execute(self, requests):
    for request in requests:
        sender = request.get_response_sender()
        for _ in range(2):
            sender.send(pb_utils.InferenceResponse(self.answer(len(self.given(request)))))
        END
"""
ENDS = "sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)"


def method(code: str) -> str:
    return CODE + textwrap.indent(textwrap.dedent(code), "    ")


DAMAGED: dict[str, tuple[str, ...]] = {
    "a_nan": (
        method("def out(self, values):\n    return pb_utils.Tensor('OUT', values * [1, np.nan]).__class__('OUT', "
               "(values * [1, np.nan]).astype(np.float32))"),
        "", "answer", "output OUT is not finite: 1 of 2 values, first nan at index 1",
    ),
    "a_lack": (
        method("def answer(self, rows):\n    return [self.too(rows)]"),
        "", "answer", "the response lacks the declared output OUT; it has TOO",
    ),
    "a_shape": (
        method("def out(self, values):\n    return pb_utils.Tensor('OUT', np.ones((1, 3), np.float32))"),
        "", "answer", "shape",
    ),
    "a_raise": (
        method("def answer(self, rows):\n    raise ValueError('no weights in me')"),
        "", "answer", "no weights in me",
    ),
    "endless": (
        method(SENDS.replace("END", "pass")), STREAMED, "stream",
        "grpc: after 2 responses: the stream's final flag did not arrive within 2 s",
    ),
    "empty": (
        method(SENDS.replace("range(2)", "[]").replace("END", ENDS)), STREAMED, "stream",
        "the stream ended without a response",
    ),
    "hang": (
        method("def answer(self, rows):\n    import time\n    time.sleep(6)"), "", "answer",
        "no response arrived within 2 s",
    ),
    "killed": (CODE, "", "answer", "Stub process 'killed_0_0' is not healthy."),
}  # fmt: skip
"""Model → its code, additions to its config, the check that must fail, and the words that name the cause."""

GOOD: dict[str, tuple[str, ...]] = {
    "good": (CODE, ""),
    "streams": (method(SENDS.replace("END", ENDS)), STREAMED),
    "zz_last": (CODE, ""),
}


def write(root: Path, name: str, code: str, config: str) -> None:
    (root / name / "1").mkdir(parents=True)
    (root / name / "1" / "model.py").write_text(code, "utf-8")
    (root / name / "config.pbtxt").write_text(CONFIG + config, "utf-8")


class Damage(NamedTuple):
    """What smoke reports about the server with every damaged model, on stdout and in JUnit's format; and status."""

    found: Smoked
    junit: str
    status: Smoked


@pytest.fixture(scope="module")
def damage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Damage]:
    place = tmp_path_factory.mktemp("damaged")
    for name, (source, config, *_) in (GOOD | DAMAGED).items():
        write(place / "m", name, source, config)
    with launched(place / "m") as server:
        (stub,) = (each for each in stubs(server.session) if each.model == "killed")
        os.kill(stub.pid, signal.SIGKILL)
        junit = place / "smoke.xml"
        at = ["--grpc", server.grpc, "--metrics", "none"]
        asked = ["smoke", server.http, *at, "--timeout", "2", "--junit", str(junit)]
        with redirect_stdout(io.StringIO()) as out:
            code = run([*asked, "--format", "json"])
        with redirect_stdout(io.StringIO()) as then:
            healthy = run(["status", server.http, "--metrics", server.metrics, "--format", "json"])
        found = [
            Smoked(*each, "") for each in ((code, json.loads(out.getvalue())), (healthy, json.loads(then.getvalue())))
        ]
        yield Damage(found[0], junit.read_text("utf-8"), found[1])


@pytest.mark.parametrize("model", DAMAGED)
def test_a_damaged_model_is_named_with_its_cause(damage: Damage, model: str) -> None:
    _, _, check, cause = DAMAGED[model]
    assert cause in damage.found.said(model, f"smoke-{check}")
    rows = [row for row in damage.found.document["results"] if row["model"] == model and row["check"] == check]
    assert {row["outcome"] for row in rows if not row["case"].startswith("a batch of")} == {"failed"}
    assert {row["protocol"] for row in rows} >= {"grpc"}


def test_the_status_of_a_server_shows_a_process_that_has_died(damage: Damage) -> None:
    assert damage.status.code == 1
    said = damage.status.said("killed", "status-failures")
    assert "killed version 1: all requests failed since it was loaded (BACKEND: " in said
    assert {model["state"] for model in damage.status.document["models"]} == {"READY"}
    assert not [found for found in damage.status.document["diagnostics"] if found["model"] in GOOD]


def test_a_damaged_model_hides_no_other(damage: Damage) -> None:
    assert damage.found.code == 1
    assert {model for model, _ in damage.found.failed()} == set(DAMAGED)
    assert {row["model"] for row in damage.found.document["results"]} == {*DAMAGED, *GOOD}
    asked = [row for row in damage.found.document["results"] if row["model"] in GOOD and row["check"] != "files"]
    assert {row["outcome"] for row in asked} == {"passed"}
    assert damage.found.document["summary"]["models"] == len(DAMAGED) + len(GOOD)


def test_what_hangs_is_ended_at_its_deadline_of_2_s(damage: Damage) -> None:
    suites = {suite.get("name"): suite for suite in ET.fromstring(damage.junit)}
    for model in ("endless", "hang"):
        waits = [
            float(str(case.get("time"))) for case in suites[model] if str(case.get("name")).endswith(("grpc", "http"))
        ]
        assert len(waits) == 2
        assert all(wait >= 2 for wait in waits)


def test_junit_has_a_suite_a_model_and_a_case_a_check(damage: Damage) -> None:
    top = ET.fromstring(damage.junit)
    suites = {suite.get("name"): suite for suite in top}
    assert set(suites) == {*DAMAGED, *GOOD}
    assert [case.get("name") for case in suites["a_nan"]] == [
        "version 1 loaded",
        "version 1 files",
        "version 1 answer grpc",
        "version 1 answer http",
        "version 1 answer a batch of 2",
        "version 1 answer a batch of 4",
    ]
    assert [suites["a_nan"].get(count) for count in ("tests", "failures", "skipped")] == ["6", "2", "3"]
    skipped = suites["a_nan"][1].find("skipped")
    assert skipped is not None
    assert "nothing to compare with" in str(skipped.get("message"))
    assert suites["good"].get("failures") == "0"
    failure = suites["a_nan"][2].find("failure")
    assert failure is not None
    assert failure.get("type") == "smoke-answer"
    assert "OUT is not finite" in str(failure.get("message"))
    assert "Received: OUT FP32[1, 2] [1, nan]" in str(failure.text)


@pytest.mark.parametrize("number", ["SIGKILL", "SIGSTOP"], ids=["dies", "freezes"])
def test_when_the_server_is_gone_it_is_told_and_the_rest_fails_at_once(
    tmp_path: Path, smoke: Smoke, number: str
) -> None:
    ends = method(f"def answer(self, rows):\n    os.kill(os.getppid(), signal.{number})\n    return []")
    for name, code in (("aa", CODE), ("dies", ends), ("last", CODE)):
        write(tmp_path / "m", name, code, "")
    with launched(tmp_path / "m") as server:
        found = smoke(server, "--timeout", "2")
    assert (found.code, found.failed()) == (1, {("dies", "answer"), ("last", "answer")})
    said = found.said("dies", "smoke-answer")
    assert "version 1, grpc: the server stopped responding" in said
    assert "version 1, http: not tested, because the server stopped responding" in said
    said = found.said("last", "smoke-answer")
    lost = "Restart the server. It stopped responding while dies version 1 was tested (answer)."
    assert said.count(f"not tested, because the server stopped responding\n{lost}") == 2


CASES = """
smoke:
  - {model: search, inputs: {query: "How do I stop a half-uploaded version from being served?"},
     expect: {ids: {first: version-gate, contains: version}, passages: {not_empty: true}}}
  - {model: rag, inputs: {query: "x", sampling_parameters: '{"max_tokens": 3}'}, expect: {answer: {contains: system}}}
  - {model: embedder, inputs: {text: [["a"], ["b"]]}, expect: {embedding: {not_empty: true}}}
"""
WRONG = """
smoke:
  - {model: search, inputs: {query: "x"}, expect: {ids: {first: nowhere}}}
  - {model: search, inputs: {querry: "x"}, expect: {ids: {first: nowhere}}}
  - {model: search, inputs: {query: "x"}, expect: {idz: {first: nowhere}}}
  - {model: search, inputs: {query: [x, y]}, expect: {ids: {first: nowhere}}}
  - {model: rag, inputs: {query: x}, expect: {answer: {first: nowhere}}}
"""


def without_cases(stack: Path) -> str:
    """Return the stack file's text up to its cases."""
    return stack.read_text("utf-8").split("\nsmoke:")[0]


def test_declared_cases_are_asked(rag_server: Server, rag: Path, smoke: Smoke) -> None:
    stack = rag / "tritonrepo.yaml"
    stack.write_text(without_cases(stack) + CASES, "utf-8")
    found = smoke(rag_server, rag)
    assert (found.code, found.document["diagnostics"]) == (0, [])
    asked = [(r["model"], r["case"], r["protocol"]) for r in found.document["results"] if r["check"] == "declared"]
    assert sorted(asked) == sorted(
        (model, number, protocol)
        for model, number in (("search", "1"), ("rag", "2"), ("embedder", "3"))
        for protocol in BOTH
    )


def test_declared_cases_fail_at_their_place(rag_server: Server, rag: Path, smoke: Smoke) -> None:
    stack = rag / "tritonrepo.yaml"
    start = without_cases(stack).count("\n") + 3
    stack.write_text(without_cases(stack) + WRONG, "utf-8")
    found = smoke(rag_server, stack, "--only", "search")
    assert (found.code, found.failed()) == (1, {("search", "declared")})
    said = {(d["path"], d["line"], d["column"]): d["message"] for d in found.document["diagnostics"]}
    assert [said[str(stack), start + n, 5] for n in range(4)] == [
        found.document["diagnostics"][1]["message"],
        'search: unknown input "querry"',
        'search: unknown output "idz"',
        'search: input "query" must have shape [1], not [2]',
    ]
    assert (
        'http: output ids does not start with the value "nowhere"; it is ["'
        in found.document["diagnostics"][1]["message"]
    )


def test_up_ends_when_a_model_does_not_answer_as_it_must(
    rag: Path, inside: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tritonrepo.cli.up.watch", lambda _: 0)
    stack = rag / "tritonrepo.yaml"
    stack.write_text(lean(without_cases(stack)) + WRONG, "utf-8")
    ports = [word for name in ("http", "grpc", "metrics") for word in (f"--{name}-port", "0")]
    assert run(["up", str(rag), *ports, "--llm-engine", "script"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert 'grpc: output ids does not start with the value "nowhere"' in said.err
    assert re.search(r"\nsmoke: 7 models, 90 checks: \d+ passed, 7 failed", said.err)
    assert "not checked: files" not in said.err
    assert (inside / "model_repository" / "rag").is_dir()


@pytest.fixture
def unreachable() -> str:
    """A URL where nothing listens: a port that no process has."""
    return "http://127.0.0.1:1"


def test_a_server_that_is_not_there_is_exit_2(unreachable: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["smoke", unreachable]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "fatal: the server cannot be reached: nothing listens on port " in said.err


BAD: dict[str, tuple[list[str], str]] = {
    "no gRPC there": (["--grpc", "127.0.0.1:1"], "with `--grpc HOST:PORT`, or"),
    "no repository": (["empty"], "empty: fatal: the path is not a stack file or model repository"),
    "no such path": (["nowhere"], "nowhere: fatal: the path is not a stack file or model repository"),
    "no such model": (["--only", "serch"], 'not have this model [smoke-model]\n  Did you mean "search"?'),
    "no time": (["--timeout", "0"], "--timeout"),
    "no such form": (["--format", "xml"], "--format"),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "message"), BAD.values(), ids=BAD)
def test_what_cannot_be_asked_is_exit_2(
    rag_server: Server, inside: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    (inside / "empty").mkdir()
    grpc = [] if "--grpc" in arguments else ["--grpc", rag_server.grpc]
    assert run(["smoke", rag_server.http, *grpc, "--junit", "smoke.xml", *arguments]) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert said.out == ""
    assert [path.name for path in inside.iterdir()] == ["empty"]


def test_a_missing_extra_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tritonclient.grpc", None)
    assert run(["smoke", "http://127.0.0.1:1"]) == 2
    assert "pip install 'tritonrepo[server]'" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["grpc://{grpc}/{model}", "{http}/v2/models/{model}/generate_stream"])
def test_a_load_asks_the_server_as_its_clients_would(rag_server: Server, form: str) -> None:
    def ask(model: str, *prompts: Prompt) -> list[Asked]:
        return records(form.format(grpc=rag_server.grpc, http=rag_server.http, model=model), *prompts, timeout_s=120)

    question = Prompt("How do I roll a model back?", answer_tokens=6)
    for record in (*ask("rag", question), *ask("generator", question)):
        assert (record.error, record.answer_tokens, record.source) == ("", 6, Source.SERVER)
        assert (sum(piece.tokens or 0 for piece in record.pieces), record.finish) == (6, "length")
        assert record.prompt_tokens
        assert record.streamed
        assert record.sent_s < record.pieces[0].at_s <= record.pieces[-1].at_s <= record.ended_s
    (embedded,) = ask("embedder", question)
    assert (embedded.error, embedded.streamed, len(embedded.pieces)) == ("", False, 1)
    assert embedded.prompt_tokens
    (found,) = ask("search", question)
    assert (found.error, len(found.pieces)) == ("", 1)
