"""What the documents say of commands, defaults, tables and the API, compared with the package."""

from __future__ import annotations

import io
import json
import os
import re
from pathlib import Path
from typing import get_args

import click
import numpy as np
import onnx
import onnxruntime as ort
import pytest
import yaml
from tokenizers import Tokenizer

from tests.conftest import EXAMPLE
from tests.documents import PAGES, SPAN, stated
from tests.facts import PROJECT
from tests.pushes import CODE
from tests.test_hand_edits import CONFIG, by_hand
from tests.test_own_stacks import ANSWER, SEARCH, entered
from tests.test_smoke_parts import EMBEDS, WHERE, stored
from tritonrepo import api
from tritonrepo.cli import COMMANDS, EXIT_CODES, root, run
from tritonrepo.cli.output import Guarded
from tritonrepo.diagnostics import Span, Stop
from tritonrepo.flows.serve import ENGINES, STAND_INS, banner
from tritonrepo.flows.validate import validate
from tritonrepo.parts import PARTS, prompting
from tritonrepo.plain import DRIVING
from tritonrepo.releases import RELEASES, runnable
from tritonrepo.report.registry import REGISTRY
from tritonrepo.server.ports import Ports
from tritonrepo.server.process import Server
from tritonrepo.server.tensors import of_values
from tritonrepo.smoke.answers import echoes
from tritonrepo.smoke.case import Crowd, Reply
from tritonrepo.smoke.meaning import reference
from tritonrepo.smoke.served import of_config
from tritonrepo.spec.compose import interpolate
from tritonrepo.spec.load import BYTES, MICROSECONDS
from tritonrepo.spec.nodes import Scalar
from tritonrepo.sync.plan import Phase
from tritonrepo.sync.record import Record


def table(page: str, head: str) -> list[list[str]]:
    """Return the cells of the table of a page whose head begins so."""
    lines = PAGES[page].read_text("utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(head)) + 2
    found = []
    for line in lines[start:]:
        if not line.startswith("| "):
            break
        found.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return found


def option(command: str, name: str) -> click.Option:
    found = root.get_command(click.Context(root), command)
    assert found is not None
    return next(each for each in found.params if isinstance(each, click.Option) and name in each.opts)


def test_the_exit_codes_are_those_of_the_help() -> None:
    said = [f"  {code:<3}  {meaning}" for code, meaning in table("commands.md", "| exit code")]
    assert "\n".join(said) == EXIT_CODES.removeprefix("\b\nExit codes:\n").rstrip("\n")
    for name in COMMANDS:
        found = root.get_command(click.Context(root), name)
        assert found is not None
        assert (found.epilog or "").endswith(EXIT_CODES)


def test_the_defaults_of_a_push_are_those_of_its_options() -> None:
    assert option("push", "--timeout").default == 600
    assert " [default: 30, or 5 with --server]" in str(option("push", "--settle").help)
    assert (api.paced(None).settle_s, api.paced(None).drain_s) == (30, 5)
    assert (api.paced(10).settle_s, api.paced(10).drain_s) == (10, 10)
    assert api.Servers([]).timeout_s == 600


def test_the_phases_of_a_push_are_those_of_the_code() -> None:
    phases = [Phase.GATE, Phase.FILES, Phase.EXPAND, Phase.REPLACE, Phase.SWITCH, Phase.CONTRACT]
    assert [row[0] for row in table("push.md", "| phase")] == [phase.name.lower() for phase in sorted(phases)]


def test_serve_starts_a_server_as_push_needs_it(rag_server: Server) -> None:
    started = Path(f"/proc/{rag_server.pid}/cmdline").read_bytes().decode().split("\0")
    assert {"--strict-readiness=false", "--exit-on-error=false", "--disable-auto-complete-config"} <= set(started)


def test_servers_in_explicit_mode_are_not_told_to_load() -> None:
    package = Path(api.__file__).parent
    loading = {path.name for path in package.rglob("*.py") if re.search(r"repository/models/.*load", path.read_text())}
    assert loading == set()


TENSOR = re.compile(r"`(\w+)`|\b([A-Z]+\d*)\[(-?\d+)\]")
PORT = re.compile(
    r'^(input|output) \{\s+name: "(\w+)"\s+data_type: TYPE_(\w+)\s+dims: \[ ([-\d, ]+) \]'
    r"(?:\s+allow_ragged_batch: true)?(\s+optional: true)?\s+\}",
    re.MULTILINE,
)


def shown(text: str) -> dict[str, tuple[str, str] | None]:
    """Return name → data type and dims; a type counts for all names before it that have none."""
    found: dict[str, tuple[str, str] | None] = {}
    for name, kind, dims in TENSOR.findall(text):
        if name:
            found[name] = None
        else:
            found |= {each: (kind, dims) for each, known in found.items() if known is None}
    return found


def test_the_table_of_the_example_is_what_a_build_makes(rag_repository: Path) -> None:
    rows = {name.strip("`"): (backend, text) for name, backend, text in table("build.md", "| model")}
    assert rows.keys() == {path.name for path in rag_repository.iterdir() if path.is_dir()}
    for name, (backend, text) in rows.items():
        config = (rag_repository / name / "config.pbtxt").read_text("utf-8")
        assert re.findall(r'^(?:backend|platform): "(\w+)"', config, re.MULTILINE) == [backend]
        takes, arrow, gives = text.partition(" → ")
        if not arrow:
            continue
        takes = f"; {takes}" if takes.startswith("optional ") else takes
        made: dict[str, dict[str, tuple[str, str]]] = {"input": {}, "output": {}}
        optional = set()
        for side, tensor, kind, dims, free in PORT.findall(config):
            made[side][tensor] = (kind, dims)
            optional |= {tensor} if free else set()
        assert made["input"].keys() - optional == shown(takes.partition("; optional ")[0]).keys(), name
        assert shown(takes.partition("; optional ")[2]).keys() <= optional, name
        for side, said in (("input", shown(takes)), ("output", shown(gives.partition(";")[0]))):
            wrong = {each for each, form in said.items() if form not in {None, made[side].get(each)}}
            assert (said.keys() - made[side].keys(), wrong) == (set(), set()), name
        assert ("stream" in text.partition(" → ")[2]) == (name == "rag")


def test_the_steps_of_the_example_carry_their_packages(rag_repository: Path) -> None:
    carried = {path.relative_to(rag_repository).as_posix() for path in rag_repository.glob("*/0*/*/__init__.py")}
    assert {re.sub("/0[0-9]{20}/", " ", path) for path in carried} == {
        *(f"{name} tokenizers/__init__.py" for name in ("embedder", "reranker", "generator_prompt")),
        *("generator_prompt jinja2/__init__.py", "generator_prompt markupsafe/__init__.py"),
    }


def test_model_json_names_the_hub_model_and_its_revision(rag_repository: Path) -> None:
    found = json.loads((rag_repository / "generator" / "1" / "model.json").read_text("utf-8"))
    assert found["model"] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert found["revision"] == "12fd25f77366fa6b3b4b768ec3050bf629380bac"


def test_the_lock_of_the_example_pins_every_source_by_sha256() -> None:
    stack = yaml.safe_load((EXAMPLE / "tritonrepo.yaml").read_text("utf-8"))
    named = {
        model[key] for model in stack["models"].values() for key in ("source", "tokenizer", "local") if key in model
    }
    pinned = json.loads((EXAMPLE / "tritonrepo.lock").read_text("utf-8"))["sources"]
    assert {each for each in named if each.startswith("package:")} <= pinned.keys()
    assert all(re.fullmatch("[0-9a-f]{64}", pin["sha256"]) for pins in pinned.values() for pin in pins.values())


def test_no_image_has_both_backends() -> None:
    assert [
        (release.name, image)
        for release in RELEASES.values()
        for image, backends in release.images.items()
        if {"onnxruntime", "vllm"} <= set(backends)
    ] == []


def test_the_servers_wheel_has_neither_backend(rag_server: Server) -> None:
    """The banner says what stands in for them."""
    server = Path(f"/proc/{rag_server.pid}/exe").readlink()
    there = {path.name for path in (server.parents[1] / "backends").glob("*")}
    assert "python" in there
    assert not {"onnxruntime", "vllm"} & there


def test_a_start_lists_the_stand_ins_that_it_uses(rag_server: Server) -> None:
    said = banner(rag_server, Record(), "ort")
    assert said == [
        f"Triton {runnable().server_version} (24.10) on the CPU",
        "stand-in: the onnxruntime package instead of Triton's onnxruntime backend",
        "stand-in: ONNX Runtime with 8-bit weights instead of vLLM: real answers, no continuous batching",
    ]
    assert banner(rag_server, Record(), "script")[2] == "stand-in: an echo of the prompt instead of vLLM: no model runs"
    page = PAGES["serve.md"].read_text("utf-8")
    assert f"- {STAND_INS['onnxruntime']}\n" in page
    assert all(part in page for part in ENGINES["ort"].split(", no "))


def test_a_repository_for_another_release_is_served_with_a_word_about_it(rag_server: Server) -> None:
    first = banner(rag_server, Record(target={"release": "26.07"}), "script")[0]
    assert first == "Triton 2.51.0 (24.10) on the CPU; the repository is for Triton 26.07"


def test_the_stand_in_for_vllm_has_8_bit_weights(smollm2_graph: Path) -> None:
    graph = onnx.load(next(smollm2_graph.glob("*.onnx")), load_external_data=False).graph
    assert any(each.data_type in {onnx.TensorProto.INT8, onnx.TensorProto.UINT8} for each in graph.initializer)


def test_as_many_requests_at_once_as_the_page_says() -> None:
    lines = "".join(f'{{"id": "{number}", "text": "{number}"}}\n' for number in range(40))
    *_, crowd = reference(of_config(EMBEDS, "1", WHERE), stored(np.eye(40), lines))
    assert isinstance(crowd, Crowd)
    assert len(crowd.cases) == 32


@pytest.mark.parametrize(("answer", "faults"), [("Read {} first.", 0), ("Read it first.", 1)])
def test_an_answer_that_is_to_repeat_its_prompt_is_judged_by_it(answer: str, faults: int) -> None:
    inputs = [
        {"name": name, "data_type": kind, "dims": [1], "optional": name != "query"}
        for name, kind in (
            ("query", "TYPE_STRING"),
            ("sampling_parameters", "TYPE_STRING"),
            ("stream", "TYPE_BOOL"),
            ("exclude_input_in_output", "TYPE_BOOL"),
        )
    ]
    config = {
        "name": "m",
        "model_transaction_policy": {"decoupled": True},
        "input": inputs,
        "output": [{"name": "o", "data_type": "TYPE_STRING", "dims": [-1]}],
    }
    (crowd,) = echoes(of_config(config, "1", WHERE), "query")
    for case in crowd.cases:
        asked = {tensor.name: tensor.values.item() for tensor in case.request.inputs}
        assert not asked["exclude_input_in_output"]
        said = answer.format(asked["query"].decode())
        reply = Reply(({"o": of_values("o", "BYTES", [said], [1])},), flat=True)
        assert len(list(case.judge(reply))) == faults


def test_the_prompt_step_renders_in_jinjas_sandbox() -> None:
    steps = Path(api.__file__).parent / "generate" / "steps"
    assert "ImmutableSandboxedEnvironment(" in (steps / "templates.py").read_text("utf-8")
    for name in prompting.STEPS:
        step = (steps / f"{name}.py").read_text("utf-8")
        assert "Environment(" not in step.replace("ImmutableSandboxedEnvironment(", "")


def test_the_kinds_of_expectation_are_those_of_the_schema() -> None:
    line = next(line for line in stated()["smoke"] if line.startswith("An expectation is "))
    keys = [row[0].strip("`") for row in table("stack.md", "| Key") if row]
    section = PAGES["stack.md"].read_text("utf-8").partition("### Expectation")[2].partition("\n###")[0]
    found = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert keys
    assert SPAN.findall(line) == [name for name in found if name != "within"]


def test_a_build_runs_the_rules_before_it_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    entered(tmp_path / "own", monkeypatch)
    assert run(["index"]) == 0
    text = SEARCH.replace("source: ./w", "source: ./w, batching: {max_batch_size: 2, preferred: [4]}")
    Path("tritonrepo.yaml").write_text(text, "utf-8")
    assert run(["build"]) == 1
    assert "[dynamic-preferred-above-max]" in capsys.readouterr().err
    assert not Path("model_repository").exists()


def test_a_stack_is_judged_for_a_server_that_completes_nothing() -> None:
    asked: list[api.Said] = []

    def given(record: api.Said, stack: api.Said) -> api.Target:
        asked.append(stack)
        return api.target(record=record, stack=stack)

    validate(str(EXAMPLE), api.Workspace(os.environ), given)
    assert {stack.auto_complete for stack in asked} == {False}


def test_an_environment_without_a_python_says_nothing_about_imports(tmp_path: Path) -> None:
    (tmp_path / "r" / "m" / "1").mkdir(parents=True)
    (tmp_path / "r" / "m" / "1" / "model.py").write_text(f"import no_such_package\n{CODE}")
    config = 'backend: "python"\nmax_batch_size: 0\n' + "".join(
        f'{side} {{ name: "{side}" data_type: TYPE_FP32 dims: [ 1 ] }}\n' for side in ("input", "output")
    )
    config += 'parameters { key: "EXECUTION_ENV_PATH" value { string_value: "$$TRITON_MODEL_DIRECTORY/e" } }\n'
    (tmp_path / "r" / "m" / "config.pbtxt").write_text(config + "instance_group { kind: KIND_CPU }\n")
    (tmp_path / "r" / "m" / "e" / "bin").mkdir(parents=True)
    (tmp_path / "r" / "m" / "e" / "bin" / "activate").touch()
    assert run(["validate", str(tmp_path / "r"), "--strict"]) == 0


def test_a_comment_that_does_nothing_is_a_warning() -> None:
    assert {REGISTRY[name].severity for name in ("ignore-without-reason", "ignore-unknown-rule", "ignore-unused")} == {
        "warning"
    }


def test_the_index_is_made_by_the_graph_that_is_deployed(rag_repository: Path) -> None:
    """Its lock names the embedder's content, and its vectors are what the deployed graph gives."""
    passages = [
        json.loads(line)["text"] for line in (EXAMPLE / "index" / "passages.jsonl").read_text("utf-8").splitlines()
    ]
    (file,) = rag_repository.glob("embedder/*/tokenizer.json")
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_padding()
    tokenizer.enable_truncation(256)
    session = ort.InferenceSession(
        rag_repository / "embedder_model" / "1" / "model.onnx", providers=["CPUExecutionProvider"]
    )
    stored = np.load(EXAMPLE / "index" / "embeddings.npy")
    for text, vector in list(zip(passages, stored, strict=True))[:5]:
        ids = np.array([tokenizer.encode(text).ids])
        (found,) = session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})
        assert float(found[0] @ vector) > 0.9999


def test_a_served_repository_keeps_what_was_changed_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entered(tmp_path / "own", monkeypatch)
    assert run(["index"]) == 0
    assert run(["build", "-o", "r"]) == 0
    mine = by_hand()
    with api.up(
        api.load(".", api.Workspace(os.environ)), "r", api.ServeOptions(Ports(0, 0, 0), engine="script")
    ) as running:
        assert Path(CONFIG).read_text("utf-8") == mine
        copied = running.server.home.rglob("s/config.pbtxt")
        assert [path.read_text("utf-8") for path in copied] == [mine]


UNSUPPORTED = [
    *(
        (f"{key}: {value}", "role: generator,", f"role: generator, {key}: {value},")
        for key, value in (("engine", "pgvector"),)
    ),
]


@pytest.mark.parametrize(("old", "new"), [row[1:] for row in UNSUPPORTED], ids=[row[0] for row in UNSUPPORTED])
def test_what_is_not_supported_yet_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], old: str, new: str
) -> None:
    entered(tmp_path / "own", monkeypatch)
    assert old in ANSWER
    Path("tritonrepo.yaml").write_text(ANSWER.replace(old, new), "utf-8")
    assert run(["build"]) == 2
    assert "not supported yet" in capsys.readouterr().err


def test_a_role_is_one_of_the_parts() -> None:
    package = Path(api.__file__).parent
    assert set(PARTS) == {"embedder", "retriever", "reranker", "generator", "model"}
    for role in PARTS:
        assert (package / "parts" / f"{role}.py").is_file()
    steps = {path.name for path in (package / "generate" / "steps").iterdir() if not path.name.startswith("_")}
    assert {"embedder", "retriever", "reranker", "prompt"} <= {name.removesuffix(".py") for name in steps}


def test_the_units_are_those_of_the_loader() -> None:
    duration, size = (SPAN.findall(line) for line in stated()["stack"] if "duration is" in line or "size is" in line)
    assert duration == list(MICROSECONDS)
    assert [MICROSECONDS[unit] for unit in duration] == [1, 1000, 1_000_000]
    assert size == ["B", "KB", "MB", "GB", "TB", "KiB", "MiB", "GiB", "TiB"]
    assert [BYTES[unit] for unit in size] == [1, *(1000**n for n in (1, 2, 3, 4)), *(1024**n for n in (1, 2, 3, 4))]


def test_a_variable_may_be_empty(tmp_path: Path) -> None:
    assert interpolate(Scalar(Span("f"), "${V}", "str"), {"V": ""}) == Scalar(Span("f"), "", "str")
    with pytest.raises(Stop, match="the environment variable V is not set"):
        api.load(str(broken(tmp_path)), api.Workspace({}))


def broken(place: Path) -> Path:
    (place / "tritonrepo.yaml").write_text("name: ${V}\nmodels: {e: {role: embedder, source: ./w}}\n")
    return place


def test_every_command_is_a_function() -> None:
    of_command = {
        "build": {"plan_build", "apply_build"},
        "validate": {"validate", "upgrade"},
        "index": {"index"},
        "lock": {"plan_lock", "apply_lock"},
        "diff": {"diff"},
        "prune": {"plan_prune", "apply_prune"},
        "pull": {"plan_pull", "apply_pull"},
        "push": {"plan_push", "apply_push"},
        "rollback": {"plan_rollback", "apply_push"},
        "status": {"status", "server_status", "server_watch"},
        "unlock": {"plan_unlock", "apply_unlock"},
        "serve": {"serve"},
        "up": {"up", "prove"},
        "smoke": {"smoke", "known", "recording", "recorded", "replay"},
        "ask": {"ask"},
        "ui": {"ui"},
        "gateway": {"gateway"},
        "adopt": {"adopt"},
        "bench": {"bench", "bench_sweep", "bench_check", "bench_compare"},
        "cost": {"cost", "cost_init"},
        "plan": {"plan"},
        "fit": {"fit"},
        "graph": {"graph"},
        "image": {"image"},
        "deploy": {"plan_deploy", "plan_k8s", "plan_vllm", "plan_nim", "plan_observe", "apply_deploy"},
        "init": {"init"},
        "show": {"show"},
        "releases": {"releases"},
        "doctor": {"doctor"},
    }
    assert set(COMMANDS) - of_command.keys() == {"explain", "help", "completion"}
    assert set().union(*of_command.values()) <= set(api.__all__)


HAVE = {
    "Workspace": {"environ", "links", "tell"},
    "Build": {"plan", "warnings"},
    "Push": {"plan", "warnings"},
    "Diagnostic": {"rule", "severity", "at", "message", "hint", "server_reason"},
    "Span": {"path", "line", "column"},
    "Verdict": {"model", "verdict"},
    "Server": {"endpoint"},
    "Endpoint": {"url", "grpc", "headers", "tls", "variables", "timeout_s", "whole_s"},
    "Pace": {"parallel", "repeat", "deadline_s"},
    "Tls": {"ca", "certificate", "key"},
    "Indexed": {"name", "passages"},
}


def test_what_the_page_of_the_api_says_that_a_value_has_it_has() -> None:
    for name, members in HAVE.items():
        kind = getattr(api, name)
        there = set(dir(kind)) | set(getattr(kind, "_fields", ())) | set(getattr(kind, "__annotations__", ()))
        assert members <= there, name
    said = next(line for line in stated()["api"] if line.startswith("`tell` is called"))
    assert {each.__name__ for each in get_args(api.Event)} == set(SPAN.findall(said)) - {"tell", "Event"}
    assert {mode.name for mode in api.Mode} == {"ONCE", "POLL", "EXPLICIT"}
    assert {severity.value for severity in api.Severity} == {"info", "warning", "error", "fatal"}


def test_planning_changes_nothing(rag: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    work = api.Workspace(os.environ)
    build = api.plan_build(api.load(rag, work), tmp_path / "r")
    assert build.plan
    assert sorted(tmp_path.rglob("*")) == before
    api.apply_build(build)
    before = sorted(tmp_path.rglob("*"))
    push = api.plan_push(tmp_path / "r", tmp_path / "served", work)
    assert push.plan
    assert sorted(tmp_path.rglob("*")) == before


TOPICS = {
    "stacks": {"plan_build", "index"},
    "validation": {"validate", "Verdict"},
    "push": {"plan_push", "plan_rollback", "paced"},
    "serve": {"serve", "Ports", "up"},
    "test, ask": {"smoke", "answer"},
    "measure": {"bench", "cost", "plan"},
}


def test_a_name_of_the_api_is_in_its_row() -> None:
    rows = {topic: SPAN.findall(names) for topic, names in table("api.md", "| topic")}
    assert set(TOPICS) | {"every function"} == rows.keys()
    assert all(names <= set(rows[topic]) for topic, names in TOPICS.items())
    assert sorted(name for names in rows.values() for name in names) == sorted(api.__all__)


def test_the_table_of_pages_names_every_command() -> None:
    rows = table("README.md", "| page")
    assert sorted(name for _, cell, _ in rows for name in SPAN.findall(cell)) == sorted(COMMANDS)
    for page, cell, _ in rows[:-1]:
        target = re.findall(r"\]\(docs/([\w.-]+)\)", page)[0]
        assert all(f"tritonrepo {name}" in PAGES[target].read_text("utf-8") for name in SPAN.findall(cell))


def test_the_pythons_and_machines_of_the_readme_are_those_of_the_package() -> None:
    project = PROJECT["project"]
    assert project["requires-python"] == ">=3.11"
    pythons = [each.rpartition(" ")[2] for each in project["classifiers"] if "Python ::" in each]
    assert pythons == ["3.11", "3.12"]
    numpy, wheel = project["optional-dependencies"]["local"][1:]
    assert numpy == "numpy>=1.26,<2; python_version < '3.13'"
    assert wheel.partition("; ")[2] == (
        "sys_platform == 'linux' and platform_machine == 'x86_64' and python_version < '3.13'"
    )
    assert {each for each in project["classifiers"] if "Operating" in each} == {
        "Operating System :: POSIX",
        "Operating System :: POSIX :: Linux",
    }


def test_the_licences_are_those_of_the_packages() -> None:
    assert PROJECT["project"]["license"] == "Apache-2.0"
    licence = (PAGES["README.md"].parent / "LICENSE").read_text("utf-8")
    assert "Apache License" in licence
    assert "Version 2.0" in licence


def test_the_rules_of_the_pages_on_security_are_counted() -> None:
    counted = {"untrusted.md": ("Two rules", 2), "untrusted-texts.md": ("Four rules", 4)}
    for page, (words, number) in counted.items():
        text = PAGES[page].read_text("utf-8")
        assert f"{words} cover most places:" in text
        assert len(re.findall(r"^- \*\*", text, re.MULTILINE)) == number


NEVER = ["\x00", "\x07", "\x1b", "\x7f", "\x85", "\u202e", "\u2066", "\u200e", "\u2028", "\u2029", "\ud800"]


def test_what_is_never_printed_is_what_the_page_lists() -> None:
    assert [character for character in NEVER if not DRIVING.search(character)] == []
    assert not DRIVING.search("a é\u00a0\u200d\n\t")


def test_an_answer_may_begin_with_colons() -> None:
    """As the page says; a line of a report does not."""
    out = io.StringIO()
    Guarded(out).write("::error::x")
    assert "::error::x" in out.getvalue()


def test_a_path_that_the_user_types_is_followed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "there" / "m" / "1").mkdir(parents=True)
    (tmp_path / "there" / "m" / "config.pbtxt").write_text("backend: 3")
    (tmp_path / "link").symlink_to(tmp_path / "there")
    assert run(["validate", str(tmp_path / "link")]) == 1
    assert f"{tmp_path}/link/m/config.pbtxt:1:10: error: " in capsys.readouterr().out
