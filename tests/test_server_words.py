"""What is made of the server's log and index, and the command line and environment that it gets."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.tabled import tabled
from tests.test_server_parts import GOOD
from tritonrepo.server import launch, loading, logs, runtime
from tritonrepo.server.client import ModelState
from tritonrepo.server.launch import Launch, Mode
from tritonrepo.server.ports import Ports

STAMP = "1124 08:22:31.603336 6845 memory.cc:273]"


def logged(level: str, message: str) -> str:
    return f'{level}{STAMP} "{message}"\n'


TELLS: dict[str, tuple[str, list[str]]] = {
    "information": (logged("I", "error: all is well"), []),
    "a warning": (logged("W", "slow"), ["slow"]),
    "an error": (logged("E", "broken"), ["broken"]),
    "the last words": (logged("F", "check failed"), ["check failed"]),
    "no GPU": (logged("E", "Failed to initialize NVML: x") + logged("W", "DCGM unable to start: x"), []),
    "no driver": (logged("E", "CudaDriverHelper has not been initialized."), []),
    "no stream": (logged("W", "unable to create stream for x"), []),
    "the summary that names nothing": (logged("E", "failed to load all models"), []),
    "another program's error": ("ImportError: no module\n", ["ImportError: no module"]),
    "a refused option": ("x: unrecognized option '--y'\n", ["x: unrecognized option '--y'"]),
    "what C++ says last": ("  what():  bad_alloc\n", ["what(): bad_alloc"]),
    "another program's talk": ("Loading weights\n", []),
    "a table": ("| m | 1 | UNAVAILABLE: error |\n+-error-+\n", []),
    "the same twice": (logged("E", "a") + logged("E", "b") + logged("E", "a"), ["a", "b"]),
    "line breaks": (logged("E", "a\\n  b"), ["a b"]),
    "what is not quoted": (f"E{STAMP} plain words\n", ["plain words"]),
    "the help after an error": ("error: x\nUsage: tritonserver [options]\n  --error TEXT\n", ["error: x"]),
    "400 characters": (logged("E", "x" * 400), ["x" * 400]),
    "one more": (logged("E", "x" * 401), [f"{'x' * 400} …"]),
}  # fmt: skip


@tabled(("text", "lines"), TELLS.values(), ids=TELLS)
def test_the_lines_that_report_trouble_are_told(text: str, lines: list[str]) -> None:
    assert logs.telling(text) == lines


def test_of_many_lines_the_last_twelve_are_told() -> None:
    assert logs.telling("".join(logged("E", f"n{n}") for n in range(13))) == [f"n{n}" for n in range(1, 13)]


REASONS: dict[str, tuple[str, dict[str, str]]] = {
    "a poll": (logged("E", "Poll failed for model directory 'm': no config"), {"m": "no config"}),
    "a load": (logged("E", "failed to load model 'm': no version"), {"m": "no version"}),
    "an ensemble": (logged("E", "ensemble 'm' has a cycle"), {"m": "ensemble 'm' has a cycle"}),
    "an ensemble without quotes": (logged("E", "ensemble m has a cycle"), {"m": "ensemble m has a cycle"}),
    "an ensemble's argument": (
        logged("E", "Invalid argument: ensemble 'm' is odd"), {"m": "ensemble 'm' is odd"},
    ),
    "the later of two": (
        logged("E", "failed to load model 'm': a") + logged("E", "failed to load model 'm': b"), {"m": "b"},
    ),
    "only a warning": (logged("W", "failed to load model 'm': a"), {}),
    "in the middle of a message": (logged("E", "so it failed to load model 'm': a"), {}),
    "several lines": (logged("E", "failed to load model 'm': a\\nb"), {"m": "a\nb"}),
    "where a config is wrong, in protobuf's words": (
        "[libprotobuf ERROR text_format.cc:337] Error parsing text-format inference.ModelConfig: 2:15: no such field.\n"
        + logged("E", "Poll failed for model directory 'a': failed to read text proto from a")
        + logged("E", "Poll failed for model directory 'b': failed to read text proto from b"),
        {"a": "failed to read text proto from a: 2:15: no such field.", "b": "failed to read text proto from b"},
    ),
    "protobuf's words before another reason": (
        "Error parsing text-format inference.ModelConfig: 2:15: no such field.\n"
        + logged("E", "failed to load model 'm': a"),
        {"m": "a"},
    ),
}  # fmt: skip


@tabled(("text", "reasons"), REASONS.values(), ids=REASONS)
def test_reasons_are_read_from_the_log(text: str, reasons: dict[str, str]) -> None:
    assert logs.reasons(text) == reasons


def state(name: str, version: str = "", state: str = "", reason: str = "") -> ModelState:
    return ModelState(name, version, state, reason)


def refused(*states: ModelState, log: str = "", explicit: bool = False) -> list[tuple[str, str, str]]:
    found = loading.unavailable(states, log, "repo", explicit=explicit)
    assert {(one.rule, one.severity) for one in found} <= {("server-model-unavailable", "error")}
    return [(one.at.path, one.message.removeprefix("the server did not load "), one.hint) for one in found]


FAILS: dict[str, tuple[list[ModelState], str, list[tuple[str, str, str]]]] = {
    "unloaded on purpose": ([state("m", "1", "UNAVAILABLE", "unloaded"), state("m", "2", "READY")], "", []),
    "no version left": (
        [state("m", "1", "UNAVAILABLE", "unloaded")], "", [("repo/m", "m: the server gives no reason", "")],
    ),
    "without a reason": (
        [state("m", "1", "UNAVAILABLE")], "", [("repo/m", "m: the server gives no reason", "")],
    ),
    "on its way out": ([state("m", "1", "UNLOADING")], "", [("repo/m", "m: the server gives no reason", "")]),
    "a reason of the log": (
        [state("m")], logged("E", "failed to load model 'm': no version"), [("repo/m", "m: no version", "")],
    ),
    "a reason of the log for what serves": (
        [state("m", "1", "READY")], logged("E", "failed to load model 'm': no version"), [],
    ),
    "a reason of the log for what loads": (
        [state("m", "1", "LOADING")], logged("E", "failed to load model 'm': no version"), [],
    ),
    "the index before the log": (
        [state("m", "1", "UNAVAILABLE", "Internal: a")], logged("E", "failed to load model 'm': b"),
        [("repo/m", "m version 1: a", "")],
    ),
    "a model that only the log names": (
        [], logged("E", "Poll failed for model directory 'm': no config"), [("repo/m", "m: no config", "")],
    ),
    "sorted by name": (
        [state("b"), state("a")], "",
        [("repo/a", "a: the server gives no reason", ""), ("repo/b", "b: the server gives no reason", "")],
    ),
}  # fmt: skip


@tabled(("states", "log", "found"), FAILS.values(), ids=FAILS)
def test_a_model_that_is_not_served_is_told_with_its_reason(
    states: list[ModelState], log: str, found: list[tuple[str, str, str]]
) -> None:
    assert refused(*states, log=log) == found


def test_in_explicit_mode_only_what_was_requested_is_at_fault() -> None:
    assert refused(state("m"), explicit=True) == []
    assert refused(state("m", "1", "UNAVAILABLE", "x"), explicit=True) == [("repo/m", "m version 1: x", "")]
    asked = logged("E", "failed to load model 'm': no version")
    assert refused(state("m"), log=asked, explicit=True) == [("repo/m", "m: no version", "")]


def test_dependants_stand_behind_their_root_the_nearest_first() -> None:
    log = "".join(
        logged("E", f"Invalid argument: ensemble '{name}' depends on '{on}' which has no loaded version")
        for name, on in (("far", "b_near"), ("b_near", "root"), ("a_near", "root"), ("lone", "elsewhere"))
    )
    states = [state("root", "1", "UNAVAILABLE", "Internal: broken"), *map(state, ("far", "b_near", "a_near", "lone"))]
    assert refused(*states, log=log) == [
        ("repo/lone", "lone: ensemble 'lone' depends on 'elsewhere' which has no loaded version", ""),
        ("repo/root", "root version 1: broken", "Fix this model first. Not served because of it: a_near, b_near, far."),
    ]


NO_LIBRARY = (
    "Invalid argument: unable to find backend library for backend 'pytorch', try specifying runtime on the model"
)
PIPE = logged("E", "Invalid argument: ensemble 'pipe' depends on 'scorer' which has no loaded version")
FAR = logged("E", "Invalid argument: ensemble 'far' depends on 'pipe' which has no loaded version")
SCORER = [state("scorer", "1", "UNAVAILABLE", NO_LIBRARY), state("pipe"), state("far")]


def test_a_model_whose_backend_this_server_lacks_is_a_warning_and_left_out_with_what_needs_it() -> None:
    states = [*SCORER, state("bad", "1", "UNAVAILABLE", "Internal: broken")]
    bad, scorer = loading.unavailable(states, PIPE + FAR, "repo", {"pytorch"})
    assert (bad.rule, bad.severity, bad.hint) == ("server-model-unavailable", "error", "")
    assert (scorer.rule, scorer.severity, scorer.at.path) == ("server-backend-missing", "warning", "repo/scorer")
    assert scorer.message == "scorer is not served here: this server has no pytorch backend"
    assert scorer.hint == "Use a server whose image has the backend. Not served because of it: pipe, far."
    reason = "this server has no pytorch backend"
    assert loading.left_out(states, PIPE + FAR, {"pytorch"}) == dict.fromkeys(("scorer", "pipe", "far"), reason)


def test_a_backend_that_no_image_has_is_an_error_and_nothing_is_left_out() -> None:
    (found,) = loading.unavailable(SCORER, PIPE + FAR, "repo", {"tensorrt"})
    assert (found.rule, found.severity) == ("server-model-unavailable", "error")
    assert loading.left_out(SCORER, PIPE + FAR, {"tensorrt"}) == {}


WORDS: dict[str, tuple[str, str, list[str]]] = {
    "a kind": ("Internal: broken", "m: broken", []),
    "a kind of two words": ("Invalid argument: broken", "m: broken", []),
    "a kind that is an error": ("Unavailable error: broken", "m: broken", []),
    "no kind": ("broken", "m: broken", []),
    "a kind in the middle": ("it is Internal: broken", "m: it is Internal: broken", []),
    "a version": ("version 3: Internal: broken", "m version 3: broken", []),
    "more lines": ("a\n\n b \nc", "m: a", ["b", "c"]),
    "an exception with its text below": ("ValueError:\n  no weights\nAt:", "m: ValueError: no weights", []),
    "an exception without a text": ("ValueError:", "m: ValueError:", []),
    "nothing": ("", "m: no reason is given", []),
    "many lines": ("\n".join(["first", *map(str, range(13))]), "m: first", [*map(str, range(12))]),
}  # fmt: skip


@tabled(("reason", "message", "hint"), WORDS.values(), ids=WORDS)
def test_a_reason_is_told_in_one_line_and_the_rest_below(reason: str, message: str, hint: list[str]) -> None:
    assert loading.words("m", reason, []) == (f"the server did not load {message}", "\n".join(hint))


HERE = runtime.runtime(GOOD)
PORTS, HOME = Ports(1, 2, 3), Path("/tmp/tritonrepo-x")
ALWAYS = [
    "/venv/lib/python3.11/site-packages/pytriton/tritonserver/bin/tritonserver",
    "--backend-directory=/tmp/tritonrepo-x/backends",
    "--backend-config=python,shm-region-prefix-name=tritonrepo-x-",
    "--http-address=127.0.0.1", "--http-port=1", "--grpc-address=127.0.0.1", "--grpc-port=2",
    "--metrics-address=127.0.0.1", "--metrics-port=3", "--allow-metrics=true", "--strict-readiness=false",
    "--exit-on-error=false",
]  # fmt: skip
COPY, ITSELF = "--model-repository=/tmp/tritonrepo-x/repository", "--model-repository=/srv/models"
NO_COMPLETION = "--disable-auto-complete-config"
COMMANDS: dict[str, tuple[Launch, list[str]]] = {
    "once, from a copy": (
        Launch(Path("/srv/models"), HERE),
        [COPY, "--exit-timeout-secs=2", "--model-control-mode=none", NO_COMPLETION],
    ),
    "polled, from the directory itself": (
        Launch(Path("/srv/models"), HERE, mode=Mode.POLL, poll_s=7),
        [ITSELF, "--exit-timeout-secs=2", "--model-control-mode=poll", "--repository-poll-secs=7", NO_COMPLETION],
    ),
    "on request, from the directory itself": (
        Launch(Path("/srv/models"), HERE, mode=Mode.EXPLICIT, exit_timeout_s=0),
        [ITSELF, "--exit-timeout-secs=0", "--model-control-mode=explicit", NO_COMPLETION],
    ),
    "completed, with more": (
        Launch(Path("/srv/models"), HERE, auto_complete=True, extra_args=["--own"]),
        [COPY, "--exit-timeout-secs=2", "--model-control-mode=none", "--own"],
    ),
    "from a bucket": (
        Launch("s3://b/p", HERE),
        ["--model-repository=s3://b/p", "--exit-timeout-secs=2", "--model-control-mode=none", NO_COMPLETION],
    ),
    "the usual pause between polls": (
        Launch("s3://b/p", HERE, mode=Mode.POLL),
        [
            "--model-repository=s3://b/p", "--exit-timeout-secs=2", "--model-control-mode=poll",
            "--repository-poll-secs=5", NO_COMPLETION,
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("given", "more"), COMMANDS.values(), ids=COMMANDS)
def test_the_servers_command_line(given: Launch, more: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    made = launch.arguments(given, PORTS, HOME)
    assert sorted(made) == sorted([*ALWAYS, *more, "--model-load-thread-count=6"])
    assert made[0] == ALWAYS[0]
    assert (made[-1] == "--own") == ("--own" in more)  # what is given last wins


@pytest.mark.parametrize(("cores", "threads"), [(1, 4), (4, 4), (5, 5), (None, 4)])
def test_at_least_four_models_are_loaded_at_once(
    cores: int | None, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert f"--model-load-thread-count={threads}" in launch.arguments(Launch(Path("m"), HERE), PORTS, HOME)


def test_a_relative_repository_is_named_from_the_root(inside: Path) -> None:
    made = launch.arguments(Launch(Path("m"), HERE, mode=Mode.POLL), PORTS, HOME)
    assert f"--model-repository={inside / 'm'}" in made


def test_the_servers_environment_is_ours_with_its_own_places_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"PATH": "/bin", "LD_LIBRARY_PATH": "/lib", "A": "1", "B": "2"})
    made = launch.environment(Launch(Path("m"), HERE, environment={"B": "3"}), HOME)
    assert made == {
        "A": "1",
        "B": "3",
        "PATH": "/venv/bin:/bin",
        "LD_LIBRARY_PATH": "/venv/lib/python3.11/site-packages/nvidia_pytriton.libs:/usr/lib:/lib",
        "TRITON_AWS_MOUNT_DIRECTORY": "/tmp/tritonrepo-x",
        "TRITON_GCS_MOUNT_DIRECTORY": "/tmp/tritonrepo-x",
        "TRITON_AZURE_MOUNT_DIRECTORY": "/tmp/tritonrepo-x",
    }


def test_what_the_user_set_stays_and_what_is_not_set_leaves_no_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"TRITON_AWS_MOUNT_DIRECTORY": "/own"})
    made = launch.environment(Launch(Path("m"), replace(HERE, library_path=(Path("/a"),))), HOME)
    assert (made["TRITON_AWS_MOUNT_DIRECTORY"], made["LD_LIBRARY_PATH"]) == ("/own", "/a")
    assert made["PATH"] == f"/venv/bin:{os.defpath}"
