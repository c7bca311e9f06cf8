"""`validate --upgrade-to` shows what another release breaks, and `releases` what each release holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tritonrepo import api
from tritonrepo.cli import run
from tritonrepo.releases import RELEASES, VERSIONS, newest

SCHEMAS = Path(__file__).parent.parent / "schemas"
IO = """\
input { name: "x" data_type: TYPE_FP32 dims: [ 4 ] }
output { name: "y" data_type: TYPE_FP32 dims: [ 4 ] }
"""
FILES = {
    "both/config.pbtxt": f'backend: "Identity"\n{IO}',
    "fine/config.pbtxt": f'backend: "identity"\n{IO}',
    "llm/config.pbtxt": 'backend: "vllm"\nmodel_transaction_policy { decoupled: true }\n',
    "llm/1/model.json": '{"model": "o/m",\n "disable_log_requests": true, "swap_space": 4}\n',
    "new/config.pbtxt": f'backend: "identity"\n{IO}model_metrics {{ }}\n',
    "old/config.pbtxt": f'platform: "tensorflow_graphdef"\n{IO}',
    "old/1/model.graphdef": "",
}


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        path = tmp_path / "models" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    for name in ("both", "fine", "new"):
        (tmp_path / "models" / name / "1").mkdir()
    return tmp_path / "models"


def checked(text: str, schema: str) -> Any:  # noqa: ANN401  JSON
    document = json.loads(text)
    jsonschema.validate(document, json.loads((SCHEMAS / f"{schema}.schema.json").read_text("utf-8")))
    return document


@pytest.mark.usefixtures("models")
def test_an_upgrade_is_shown_field_by_field_and_key_by_key(capsys: pytest.CaptureFixture[str]) -> None:
    """What both releases say is left out, even where their words differ."""
    assert run(["validate", "models", "--release", "24.10", "--upgrade-to", "26.07"]) == 1
    out = capsys.readouterr().out
    lines = [line for line in out.split("\n") if line and not line.startswith("  ")]
    assert [line.partition(": ")[0] if "[" in line else line for line in lines] == [
        "models: from Triton 24.10 to 26.07",
        "models/llm/1/model.json:2:2",
        "models/llm/1/model.json:2:32",
        "models/old/config.pbtxt:1:11",
        "no longer reported with Triton 26.07:",
        "with Triton 26.07, 2 models stop loading: llm, old; 1 model starts to load: new",
    ]
    assert "  Python 3.10 → 3.12; " not in out
    assert "; Python 3.10 → 3.12; " in out
    assert "vLLM 0.5.5 → 0.24.0" in out
    assert "  models/new/config.pbtxt:4:1: error [field-newer-than-server]" in out
    assert "both" not in out


@pytest.mark.usefixtures("models")
def test_an_upgrade_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", "models", "--release", "24.10", "--upgrade-to", "26.07", "--format", "json"]) == 1
    document = checked(capsys.readouterr().out, "upgrade")
    assert [(each["rule"], each["line"]) for each in document["diagnostics"]] == [
        ("vllm-removed-engine-arg", 2),
        ("vllm-removed-engine-arg", 2),
        ("tensorflow-gone", 1),
    ]
    (upgrade,) = document["upgrades"]
    assert (upgrade["from"], upgrade["to"], upgrade["versions"]["python"]) == (
        "24.10",
        "26.07",
        {"from": "3.10", "to": "3.12"},
    )
    changed = {each["after"]["model"]: each["after"]["verdict"] for each in upgrade["changes"]}
    assert changed == {"llm": "refused", "new": "ready", "old": "refused"}
    assert [each["rule"] for each in upgrade["vanished"]] == ["field-newer-than-server"]


CODES = {
    "nothing breaks": (["--release", "26.07", "--upgrade-to", "26.08"], 0, "no model that loads now stops loading"),
    "the same release": (["--release", "26.07", "--upgrade-to", "26.07"], 0, "the same versions"),
    "hidden findings still break": (
        ["--release", "24.10", "--upgrade-to", "26.07", "--select", "version-zero"],
        1,
        "2 models stop loading",
    ),
    "a release that is not known in full": (
        ["--release", "26.08", "--upgrade-to", "26.11"],
        0,
        "some facts about Triton 26.11 are unknown",
    ),
    "a release that is none": (["--upgrade-to", "24.8"], 2, 'Did you mean "24.08"?'),
    "an image that is gone": (
        ["--release", "24.05", "--image", "trtllm-python-py3", "--image", "py3", "--upgrade-to", "26.08"],
        1,
        'Triton 26.08 has no image "trtllm-python-py3"',
    ),
    "the only image that is gone": (
        ["--release", "24.05", "--image", "trtllm-python-py3", "--upgrade-to", "26.08"],
        1,
        "no model that loads now stops loading with Triton 26.08\n",
    ),
    "no such path": (["nowhere", "--upgrade-to", "26.07"], 2, "the repository does not exist"),
}


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize(("options", "code", "said"), CODES.values(), ids=CODES)
def test_what_an_upgrade_ends_with(
    capsys: pytest.CaptureFixture[str], options: list[str], code: int, said: str
) -> None:
    assert run(["validate", "models", *options]) == code
    both = "".join(capsys.readouterr())
    assert said in both
    assert ("start" in both) is False or code == 1


def test_images_and_own_backends_stay(models: Path) -> None:
    """Also for a release whose images are all used: those of the next one are."""
    work = api.Workspace({})
    own = models / "mine"
    (own / "1").mkdir(parents=True)
    (own / "config.pbtxt").write_text(f'backend: "mine"\n{IO}', "utf-8")
    for said in (api.Said("24.09", backends=("mine",)), api.Said("24.09", ("py3",), backends=("mine",))):
        found = api.upgrade(models, work, "24.10", lambda *_, said=said: api.target(said))
        assert (found.present.name, found.new.name) == ("24.09", "24.10")
        assert [each.rule for each in found.added] == []


TENSORS = "{input: [{name: x, data_type: TYPE_FP32, dims: [1]}], output: [{name: y, data_type: TYPE_FP32, dims: [1]}]}"
STACK = f"""\
name: s
target: {{release: "24.10", gpus: 0}}
models:
  m: {{backend: identity, versions: {{1: ./w}}, config: {TENSORS}}}
  t: {{platform: tensorflow_graphdef, versions: {{1: ./w}}, config: {TENSORS}}}
"""


def test_a_stack_is_built_for_both_releases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "model.graphdef").write_text("x", "utf-8")
    (tmp_path / "tritonrepo.yaml").write_text(STACK, "utf-8")
    assert run(["validate", ".", "--upgrade-to", "26.07"]) == 1
    out = capsys.readouterr().out
    assert "tritonrepo.yaml:5:17: error" in out
    assert out.endswith("with Triton 26.07, 1 model stops loading: t\n")


def test_a_pipeline_with_an_early_vllm_does_without_what_that_lacks(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", "examples/models/rag", "--upgrade-to", "24.01"]) == 0
    assert "stops loading" in capsys.readouterr().out


def test_releases_are_a_row_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["releases"]) == 0
    head, *rows = capsys.readouterr().out.split("\n")
    assert head.split()[:2] == ["release", "Triton"]
    assert [row.split()[0] for row in rows[: len(RELEASES)]] == sorted(RELEASES, reverse=True)
    (row,) = [row for row in rows if row.startswith("24.05 ")]
    for fact in ("2.46.0", "3.10", "12.4.1", "550.54.15", "1.18.0", "0.4.0.post1", "10.0.1.6", "vllm-python-py3: 2"):
        assert fact in row
    assert next(row for row in rows if row.startswith("26.11 ")).count("unknown") == 7
    assert f"commands use {newest().name}" in rows[-2]


def test_a_release_in_detail(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["releases", "24.02", "24.08", "26.11", "24.02"]) == 0
    out = capsys.readouterr().out
    assert out.count("\nTriton ") == 2
    assert "  vllm-python-py3    python, vllm\n" in out
    assert "onnxruntime is reported missing (server#6991" in out
    assert "0.5.0.post1 (or 0.5.3.post1: sources differ)" in out
    assert "0.8.0 (not certain)" in out
    assert "Backends\n  unknown\n" in out


def test_releases_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["releases", "--format", "json"]) == 0
    document = checked(capsys.readouterr().out, "releases")
    assert [each["release"] for each in document["releases"]] == sorted(RELEASES, reverse=True)
    (last, *_) = document["releases"]
    assert last["images"] is None
    assert {last[name] for name in VERSIONS} == {None, "2.75.0"}
    assert run(["releases", "24.8", "--format", "json"]) == 2
    said = capsys.readouterr()
    assert [each["rule"] for each in checked(said.out, "releases")["diagnostics"]] == ["release-unknown"]
    assert 'Did you mean "24.08"?' in said.err
