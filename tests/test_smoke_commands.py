"""`smoke`, `serve` and `up` around their servers: options, defaults, what is printed, and the code at the end."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from tests.conftest import EXAMPLE
from tests.speaking import Asked, Said, inferred, plain, speaking
from tritonrepo.cli import run
from tritonrepo.cli.results import gaps, junit_rows, rows, summary, texts, title
from tritonrepo.cli.serving import ports_or
from tritonrepo.diagnostics import Diagnostic, Severity, Span, Stop, failure
from tritonrepo.flows import serve as serving
from tritonrepo.flows.asking import Passage, Pipelines, answer, passages
from tritonrepo.flows.serve import ServeOptions, read_record, serve
from tritonrepo.flows.smoke import known
from tritonrepo.flows.workspace import Workspace
from tritonrepo.report.junit import Row
from tritonrepo.server.endpoint import Endpoint
from tritonrepo.server.launch import Launch, Mode
from tritonrepo.server.ports import Ports
from tritonrepo.smoke.case import Check, Result
from tritonrepo.sync.record import Record

WARNING = Diagnostic("smoke-answer", Severity.WARNING, Span("x"), "w")
ERROR = Diagnostic("smoke-answer", Severity.ERROR, Span("x"), "e")
RESULTS = [
    Result("b", "2", Check.ANSWER, "x", "grpc", 1500, (ERROR, WARNING)),
    Result("a", "1", Check.FILES, unchecked="nothing to compare with"),
    Result("b", "", Check.FILES, unchecked="nothing to compare with"),
    Result("a", "1", Check.PROMPT, unchecked="no template"),
    Result("a", "1", Check.CONFIG, diagnostics=(WARNING,), unchecked="it warned"),
    Result("a", "1", Check.LOADED),
]


def test_results_are_shown_in_a_table() -> None:
    assert texts(RESULTS)[:2] == [
        ("b", "2", "answer x", "grpc", "failed", "1500"),
        ("a", "1", "files", "", "not checked", ""),
    ]
    assert title(RESULTS[-1]) == "loaded"


def test_results_are_plain_values_with_the_time_of_what_was_sent() -> None:
    assert rows(RESULTS)[0] == {
        "model": "b", "version": "2", "check": "answer", "case": "x", "protocol": "grpc", "ms": 1500,
        "outcome": "failed", "reason": "", "seen": "",
    }  # fmt: skip
    assert (rows(RESULTS)[1]["reason"], rows(RESULTS)[1]["ms"]) == ("nothing to compare with", None)


def test_results_are_cases_of_junit_with_seconds() -> None:
    made = junit_rows(RESULTS)
    assert made[0] == Row("b", "version 2 answer x grpc", 1.5, (ERROR,), (WARNING,), "")
    assert made[2] == Row("b", "files", 0, (), (), "nothing to compare with")
    assert made[4] == Row("a", "version 1 config", 0, (), (WARNING,), "")


def test_each_gap_is_told_once_with_its_models() -> None:
    assert gaps(RESULTS) == [
        "not checked: files of a, b: nothing to compare with",
        "not checked: prompt of a: no template",
    ]


def test_the_last_line_counts_models_checks_and_outcomes() -> None:
    assert summary(RESULTS) == "2 models, 6 checks: 1 passed, 1 warning, 1 failed, 3 not checked"
    assert summary(RESULTS[:1]) == "1 model, 1 check: 0 passed, 1 failed"


def model(name: str) -> dict[str, Any]:
    inputs = [{"name": "A", "data_type": "TYPE_FP32", "dims": [1]}]
    return {"name": name, "input": inputs, "output": [inputs[0] | {"name": "X"}]}


def two(asked: Asked) -> Said:
    """A server with the models b, whose answer is fine, and a."""
    if asked.path.endswith("index"):
        return plain([{"name": name, "version": "1", "state": "READY"} for name in "ba"])
    if asked.path.endswith("config"):
        return plain(model(asked.path.split("/")[3]))
    return inferred(X=np.array([1.0])) if "/b/" in asked.path else inferred(X=np.array([np.inf]))


def smoked(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    with speaking(two) as server:
        code = run(["smoke", server.url, "--grpc", "none", *arguments])
    return code, capsys.readouterr().out


def test_one_failure_is_enough_for_code_1_and_models_are_sorted(capsys: pytest.CaptureFixture[str]) -> None:
    code, out = smoked(capsys, "--format", "json")
    assert code == 1
    assert [(row["model"], row["check"], row["outcome"]) for row in json.loads(out)["results"]] == [
        ("a", "loaded", "passed"), ("a", "files", "not checked"), ("a", "answer", "failed"),
        ("b", "loaded", "passed"), ("b", "files", "not checked"), ("b", "answer", "passed"),
    ]  # fmt: skip
    assert [d["rule"] for d in json.loads(out)["diagnostics"]] == ["smoke-answer"]


def test_the_closing_line_is_left_out_if_quiet_and_has_a_time_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    *whole, closing = smoked(capsys, "--only", "b")[1].splitlines()
    assert re.match(r"1 \w+, 3 checks: ", closing)
    quiet = smoked(capsys, "--only", "b", "-q")[1].splitlines()
    assert len(quiet) == len(whole) - 1
    assert quiet[-1] == whole[-2]
    monkeypatch.setattr("tritonrepo.cli.output.on_terminal", lambda: True)
    timed = smoked(capsys, "--only", "b")[1].splitlines()[-1]
    assert re.fullmatch(re.escape(closing) + r" \(\d+\.\d s\)", timed)


def test_what_is_not_checked_is_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    code, out = smoked(capsys, "--only", "b")
    assert code == 0
    assert out.splitlines()[-1] == "1 model, 3 checks: 2 passed, 1 not checked"
    assert "not checked: files of b: nothing to compare with" in out


def test_junit_is_written_beside_either_format(capsys: pytest.CaptureFixture[str], inside: Path) -> None:
    assert smoked(capsys, "--junit", "x/smoke.xml", "--only", "a")[0] == 1
    top = ET.parse(inside / "x" / "smoke.xml").getroot()
    assert [(suite.get("name"), suite.get("tests"), suite.get("failures")) for suite in top] == [("a", "3", "1")]
    assert [path.name for path in inside.iterdir()] == ["x"]


def test_a_stop_is_in_the_document_too(capsys: pytest.CaptureFixture[str]) -> None:
    code, out = smoked(capsys, "--only", "c", "--format", "json")
    document = json.loads(out)
    assert (code, document["results"], [d["rule"] for d in document["diagnostics"]]) == (2, [], ["smoke-model"])


SMOKES: dict[str, tuple[list[str], Endpoint]] = {
    "as it is": ([], Endpoint("u", 30, 30, None)),
    "another time": (["--timeout", "2.5"], Endpoint("u", 2.5, 2.5, None)),
    "gRPC elsewhere": (["--grpc", "h:1"], Endpoint("u", 30, 30, "h:1")),
}


@pytest.mark.parametrize(("arguments", "endpoint"), SMOKES.values(), ids=SMOKES)
def test_a_smoke_test_waits_30_s_for_each_complete_response(
    arguments: list[str], endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Endpoint] = []

    def smoke(server: Endpoint, *_: object) -> list[Result]:
        seen.append(server)
        return []

    monkeypatch.setattr("tritonrepo.cli.smoke.smoke", smoke)
    assert run(["smoke", "u", *arguments]) == 0
    assert seen == [endpoint]


def test_what_a_server_should_serve_is_read_from_a_directory(inside: Path) -> None:
    (inside / "r" / "m" / "1").mkdir(parents=True)
    (inside / "r" / "m" / "1" / "model.py").touch()
    (inside / "empty").mkdir()
    work = Workspace(os.environ)
    about = known("r", work)
    assert (about.at, [*about.models], about.models["m"].versions) == (Span("r"), ["m"], ("1",))
    assert (about.reads, about.reads_at, [*about.parts]) == ({}, "", [*work.parts])
    both = known("r", work, inside / "r")
    assert ([*both.reads], both.reads_at) == (["m"], str(inside / "r"))
    hints = {
        None: "Use a directory that contains models or a tritonrepo.yaml.",
        "r": "Use a directory that contains models.",
    }
    for where, hint in hints.items():
        with pytest.raises(Stop) as stop:
            known("empty", work) if where is None else known(where, work, "empty")
        ((rule, severity, at, said),) = [(d.rule, d.severity, d.at, d.hint) for d in stop.value.diagnostics]
        assert (rule, severity, at, said) == ("smoke-repository", "fatal", Span("empty"), hint)


@pytest.mark.parametrize(
    ("given", "ports"),
    [
        ((None, None, None), Ports(8000, 8001, 8002)),
        ((0, None, None), Ports(0, 8001, 8002)),
        ((None, 5, 0), Ports(8000, 5, 0)),
    ],
)
def test_a_port_that_is_not_set_is_the_usual_one(
    given: tuple[int | None, int | None, int | None], ports: Ports
) -> None:
    assert ports_or(given, Ports(8000, 8001, 8002)) == ports


USUAL = ServeOptions(Ports(8000, 8001, 8002), None, "ort", 120, Mode.ONCE, 5)
FREE = Ports(0, 0, 0)
SERVES: dict[str, tuple[list[str], ServeOptions]] = {
    "as it is": ([], USUAL),
    "one port": (["--grpc-port", "7"], USUAL._replace(ports=Ports(8000, 7, 8002))),
    "each port": (
        ["--http-port", "1", "--grpc-port", "0", "--metrics-port", "3"], USUAL._replace(ports=Ports(1, 0, 3)),
    ),
    "polled": (["--poll", "2"], USUAL._replace(mode=Mode.POLL, poll_s=2)),
    "on request": (["--explicit"], USUAL._replace(mode=Mode.EXPLICIT)),
    "an echo": (["--llm-engine", "script"], USUAL._replace(engine="script")),
    "another Python": (["--runtime", "py"], USUAL._replace(runtime=Path("py"))),
    "more time": (["--timeout", "3.5"], USUAL._replace(deadline_s=3.5)),
}  # fmt: skip


class Started(Exception):  # noqa: N818  what a start ends with here
    """The server would start now."""


@pytest.fixture
def repository(inside: Path) -> Path:
    """A hand-written repository, of which nothing is served."""
    (inside / "r" / "m" / "1").mkdir(parents=True)
    (inside / "r" / "m" / "1" / "model.py").touch()
    return inside / "r"


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize(("arguments", "options"), SERVES.values(), ids=SERVES)
def test_what_serve_is_told_is_what_the_server_gets(
    arguments: list[str], options: ServeOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[object, ...]] = []

    def starts(where: Path | str, chosen: ServeOptions, work: Workspace, record: Record) -> None:
        seen.append((where, chosen, work.links, record))
        raise failure("x", "x", "x")

    monkeypatch.setattr("tritonrepo.cli.serve.serve", starts)
    assert run(["serve", "r", *arguments]) == 1
    assert seen == [(Path("r"), options, (), Record())]


@pytest.mark.usefixtures("inside")
@pytest.mark.parametrize(
    ("arguments", "options", "asked"),
    [
        ([], USUAL, False),
        (["--ask", "Why?"], USUAL._replace(ports=FREE), True),
        (["--ask", "", "--http-port", "5"], USUAL._replace(ports=Ports(5, 0, 0)), True),
        (["--llm-engine", "script", "--timeout", "9"], USUAL._replace(engine="script", deadline_s=9), False),
    ],
    ids=["stays", "asks", "asks nothing on one port", "an echo, sooner"],
)
def test_what_up_is_told_is_what_the_server_gets(
    arguments: list[str], options: ServeOptions, monkeypatch: pytest.MonkeyPatch, *, asked: bool
) -> None:
    seen: list[tuple[object, ...]] = []

    def starts(loaded: object, out: Path, chosen: ServeOptions, *, asked: bool) -> None:
        del loaded
        seen.append((out, chosen, asked))
        raise failure("x", "x", "x")

    monkeypatch.setattr("tritonrepo.cli.up.up", starts)
    assert run(["up", str(EXAMPLE), *arguments]) == 1
    assert seen == [(Path("model_repository"), options, asked)]


def launched(
    where: Path | str, chosen: ServeOptions, monkeypatch: pytest.MonkeyPatch, work: Workspace, record: Record | None
) -> Launch:
    """Return what would be started."""
    seen: list[Launch] = []

    def start(launch: Launch, _: object) -> None:
        seen.append(launch)
        raise Started

    monkeypatch.setattr(serving, "start", start)
    with pytest.raises(Started):
        serve(where, chosen, work, record)
    (launch,) = seen
    return launch


def test_a_server_is_launched_with_its_options_stand_ins_and_environment(
    repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    chosen = ServeOptions(Ports(1, 2, 3), None, "script", 7.5, Mode.POLL, 9)
    work = Workspace({}, (tmp_path,))
    launch = launched(repository, chosen, monkeypatch, work, None)
    assert (launch.repository, launch.ports, launch.mode, launch.poll_s) == (repository, Ports(1, 2, 3), Mode.POLL, 9)
    assert (launch.deadline_s, launch.links, launch.replaced) == (7.5, (tmp_path,), {})
    assert {name: (path.name, (path / "model.py").is_file()) for name, path in launch.backends.items()} == {
        "onnxruntime": ("onnxruntime", True),
        "vllm": ("vllm", True),
    }
    assert launch.environment == {"TRITONREPO_LLM_ENGINE": "script"}


def test_local_weights_are_named_for_the_engine_that_runs_them(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch = launched(repository, ServeOptions(), monkeypatch, Workspace({}), None)
    assert launch.environment == {"TRITONREPO_LLM_ENGINE": "ort", "TRITONREPO_LOCAL_MODELS": "{}"}
    assert (launch.deadline_s, launch.mode, launch.poll_s) == (120, Mode.ONCE, 5)


def test_local_weights_that_are_nowhere_are_told(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "start", lambda _: pytest.fail("it must not start"))
    with pytest.raises(Stop) as stop:
        serve(repository, ServeOptions(), Workspace({}), Record(local={"org/m": "./gone.gguf"}))
    assert [(d.rule, d.severity, d.message) for d in stop.value.diagnostics] == [
        ("source-missing", "fatal", "the local file for org/m does not exist")
    ]


LOCAL: dict[str, tuple[str, str]] = {
    "in the working directory": ("./a.gguf", ""),
    "in the repository's directory": ("./r/a.gguf", ""),
    "above": ("../../a.gguf", "store-link"),
    "at a path from the root": ("/etc/a.gguf", "store-link"),
    "no source": ("package:x", "record-syntax"),
}


@pytest.mark.parametrize(("source", "rule"), LOCAL.values(), ids=LOCAL)
def test_a_record_may_name_local_files_beside_the_repository_only(repository: Path, source: str, rule: str) -> None:
    from tritonrepo.sync import record as records

    (repository / records.NAME).write_bytes(records.dump(Record(local={"org/m": source})).content())
    if not rule:
        assert read_record("r", Workspace({})).local == {"org/m": source}
        return
    with pytest.raises(Stop) as stop:
        read_record("r", Workspace({}))
    assert [(d.rule, d.severity, d.at) for d in stop.value.diagnostics] == [(rule, "fatal", Span("r"))]
    assert source in stop.value.diagnostics[0].message


FOUND: dict[str, tuple[Mapping[str, object], list[Passage]]] = {
    "several": (
        {"ids": ["a", "b"], "scores": [1, 0.5], "passages": ["A", "B"]}, [Passage("a", 1, "A"), Passage("b", 0.5, "B")],
    ),
    "one, without a list": ({"ids": "a", "scores": 1, "passages": "A"}, [Passage("a", 1, "A")]),
    "none": ({"ids": [], "scores": [], "passages": []}, []),
}  # fmt: skip


@pytest.mark.parametrize(("said", "found"), FOUND.values(), ids=FOUND)
def test_passages_are_read_from_a_search(said: Mapping[str, object], found: list[Passage]) -> None:
    with speaking(lambda _: plain(said)) as server:
        assert passages(Endpoint(server.url), "search", "Why?") == found
    (asked,) = server.asked
    assert (asked.path, json.loads(asked.body)) == ("/v2/models/search/generate", {"query": "Why?"})


def test_an_answer_is_read_piece_by_piece() -> None:
    body = b'data: {"answer": "a "}\n\ndata: {"other": 1}\n\ndata: {"answer": "b"}\n\n'
    with speaking(lambda _: Said(body)) as server:
        assert [*answer(Endpoint(server.url), "rag", "Why?")] == ["a ", "", "b"]
    (asked,) = server.asked
    assert asked.path == "/v2/models/rag/generate_stream"
    assert json.loads(asked.body) == {"query": "Why?", "stream": True}


def asks(names: Pipelines, pieces: str, capsys: pytest.CaptureFixture[str]) -> tuple[int | str, str, str]:
    from tritonrepo.cli.asking import ask

    def said(asked: Asked) -> Said:
        if asked.path.endswith("generate"):
            return plain({"ids": ["a", "b"], "scores": [0.98765, 0.5], "passages": ["x" * 101, "y"]})
        return Said(f'data: {{"answer": "{pieces}"}}\n\n'.encode())

    with speaking(said) as server:
        try:
            code: int | str = ask(server.url, names, "Why?")
        except Stop as stop:
            code = stop.diagnostics[0].rule
    return code, *capsys.readouterr()


def test_sources_go_to_stderr_and_the_answer_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert asks(Pipelines("rag", "search"), "Because.", capsys) == (
        0,
        "Because.\n",
        f"[1] a  0.988  {'x' * 100}…\n[2] b  0.500  y…\n",
    )
    assert asks(Pipelines("rag", None), "Because.", capsys) == (0, "Because.\n", "")


def test_an_answer_of_nothing_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert asks(Pipelines("rag", None), "", capsys)[0] == "ask-empty"
