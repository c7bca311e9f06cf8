"""`show` prints the stack that files, variables and defaults make together, and that text gives the same stack."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import EXAMPLE
from tests.test_extends import inside, written
from tests.test_spec import GOOD, read
from tritonrepo.cli import run
from tritonrepo.spec.compose import literal
from tritonrepo.spec.shown import shown

__all__ = ["inside"]

BASE = """\
name: ${NAME:-handbook}
target: {release: 24.10, gpus: 0x2}
models:
  e: {role: embedder, source: ./w, batching: {max_queue_delay: 1.5ms}}
  r: {role: retriever, index: ./i, documents: "./d/*.jsonl", embed_with: e}
  g:
    role: generator
    source: hf://o/m@abc
    local: ./m.gguf
    args: {max_model_len: 512, dtype: auto, "on": yes, rope: {theta: 1e4, "a: b": [~, true, "1"]}}
"""
OVER = """\
extends: base.yaml
target: {gpus: !remove, images: [py3]}
ensembles:
  p: {chain: [e, r, g], prompt: {system: "Pay $5: \\"now\\"\\n"}}
smoke:
  - {model: p, inputs: {query: "a # b"}, expect: {answer: {not_empty: true}}}
"""
SHOWN = """\
name: handbook
target:
  release: 24.10
  images: [py3]
models:
  e:
    role: embedder
    source: ./w
    batching:
      max_queue_delay: 1.5ms
  r:
    role: retriever
    index: ./i
    documents: ./d/*.jsonl
    embed_with: e
  g:
    role: generator
    source: hf://o/m@abc
    local: ./m.gguf
    args:
      max_model_len: 512
      dtype: auto
      on: yes
      rope:
        theta: 1e4
        "a: b": [null, true, "1"]
ensembles:
  p:
    chain: [e, r, g]
    prompt:
      system: "Pay $5: \\"now\\"\\n"
smoke:
  - {model: p, inputs: {query: "a # b"}, expect: {answer: {not_empty: true}}}
"""


@pytest.fixture
def two(inside: Path) -> Path:
    written(inside, {"base.yaml": BASE, "tritonrepo.yaml": OVER})
    return inside


@pytest.mark.usefixtures("two")
def test_the_effective_stack_is_extended_merged_and_has_its_variables(capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["."], ["-f", "base.yaml", "-f", "tritonrepo.yaml"]):
        assert run(["show", *words]) == 0
        said = capsys.readouterr()
        assert (said.out, said.err) == (SHOWN, "")


def test_a_variable_is_its_value(
    two: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NAME", "a ${B} $${C} $$D")
    assert run(["show"]) == 0
    out = capsys.readouterr().out
    assert out.startswith('name: "a $${B} $$${C} $$D"\n')
    (two / "again.yaml").write_text(out, "utf-8")
    monkeypatch.delenv("NAME")
    assert run(["show", "again.yaml"]) == 0
    assert capsys.readouterr().out == out


@pytest.mark.usefixtures("two")
def test_an_origin_is_the_file_and_line_of_the_key(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["show", "--origins"]) == 0
    lines = capsys.readouterr().out.splitlines()
    *whole, case = SHOWN.splitlines()
    assert [line.split("  # ")[0] for line in lines[: len(whole)]] == whole
    assert case.startswith("  - {model: p, inputs: {"), "an item with comments has a line for each key"
    assert {
        "name: handbook  # base.yaml:1",
        "target:  # tritonrepo.yaml:2",
        "  release: 24.10  # base.yaml:2",
        "  images: [py3]  # tritonrepo.yaml:2",
        "      dtype: auto  # base.yaml:10",
        "  - model: p  # tritonrepo.yaml:6",
        '      query: "a # b"  # tritonrepo.yaml:6',
    } <= set(lines)


@pytest.mark.usefixtures("two")
def test_defaults_are_those_that_have_a_meaning_here(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["show", "--defaults", "--origins"]) == 0
    out = capsys.readouterr().out
    assert not re.sub(r"  # .*", "", out).startswith(SHOWN)
    left = [line.strip().removesuffix("  # default") for line in out.splitlines() if line.endswith("  # default")]
    assert left[:4] == ["backends: []", "arch: x86_64", "gpus: 1", "gpu_memory: null"]
    assert {"pooling: null", "count: 1", "preferred: []", "top_k: 4", "sampling: {}", "form: auto"} <= set(left)
    assert not any(line.startswith(("within", "extends", "places", "parts", "steps")) for line in left)
    assert "      file: null  # default\n      max_context_tokens: null  # default\n" in out


def test_a_key_that_is_null_is_not_set() -> None:
    """Else a check would say that it has no meaning here."""
    assert read(GOOD + "  q: {chain: [e, r], prompt: null}\n").ensembles["q"].places.keys() == {
        "",
        "chain",
        "chain.0",
        "chain.1",
    }


def test_a_prompt_is_no_default_of_a_pipeline_without_a_generator() -> None:
    text = shown(read(GOOD + "  q: {chain: [e, r]}\n"), defaults=True)
    assert text.count("prompt:") == 1
    assert read(text) == read(GOOD + "  q: {chain: [e, r]}\n")


@pytest.mark.parametrize("defaults", [False, True])
def test_the_example_is_shown_and_read_again(defaults: bool) -> None:  # noqa: FBT001
    stack = read((EXAMPLE / "tritonrepo.yaml").read_text("utf-8"))
    assert read(shown(stack, defaults=defaults, origins=True)) == stack


OWN = """\
name: s
models:
  m:
    backend: python
    source: ./m.py
    config: {max_batch_size: 8, dynamic_batching: null, parameters: {a: {string_value: "1"}}}
  n: {platform: onnxruntime_onnx, versions: {"1": ./a, "2": ./b}, files: {labels.txt: ./l}}
ensembles:
  q: {steps: [{model: m, inputs: {x: a}, outputs: {y: b}}, {model: n, version: 2, inputs: {x: b}, outputs: {y: c}}]}
"""


def test_times_are_shown_in_the_unit_in_which_they_are_written() -> None:
    endpoint = "endpoint: {url: 'http://llm/v1', model: m, timeouts: {first: 1500ms}}, args: {max_model_len: 900}"
    text = shown(read(f"name: s\nmodels: {{g: {{role: generator, engine: openai, {endpoint}}}}}\n"), defaults=True)
    times = "timeouts:\n        first: 1500ms\n        connect: 5s\n        between: 60s\n        total: 600s\n"
    assert times in text
    assert "switch: null" in text


@pytest.mark.parametrize("defaults", [False, True])
def test_models_and_pipelines_of_ones_own_are_shown_as_given(defaults: bool) -> None:  # noqa: FBT001
    stack = read(OWN)
    text = shown(stack, defaults=defaults)
    assert read(text) == stack
    assert "      max_batch_size: 8\n      dynamic_batching: null\n" in text


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
DATA: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(-1e9, 1e9), TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXT, inner, max_size=4)),
    max_leaves=12,
)


def written_by_another(data: Any) -> Any:  # noqa: ANN401  JSON data
    """Return data whose texts a stack file reads as they are."""
    if isinstance(data, str):
        return literal(data)
    if isinstance(data, dict):
        return {key: written_by_another(value) for key, value in data.items()}
    return [written_by_another(item) for item in data] if isinstance(data, list) else data


@settings(max_examples=40)
@given(TEXT.filter(str.strip), TEXT, st.dictionaries(TEXT, DATA, max_size=4), st.booleans(), st.booleans())
def test_what_is_shown_gives_the_same_stack(
    name: str,
    system: str,
    inputs: dict[str, Any],
    defaults: bool,  # noqa: FBT001
    origins: bool,  # noqa: FBT001
) -> None:
    data = yaml.safe_load(GOOD) | {"name": written_by_another(name)}
    data["target"]["release"] = "24.10"
    data["ensembles"]["p"]["prompt"] = {"system": written_by_another(system)}
    data["smoke"] = [{"model": "p", "inputs": written_by_another(inputs), "expect": {"answer": {"not_empty": True}}}]
    stack = read(yaml.safe_dump(data, sort_keys=False))
    assert stack.smoke[0].inputs == inputs
    assert stack.name == name
    text = shown(stack, defaults=defaults, origins=origins)
    again = read(text)
    assert again == stack
    assert defaults or shown(again) == shown(stack)


def test_a_key_of_any_length_is_read_again() -> None:
    for length in (990, 1100, 5000):
        stack = read(GOOD.replace("dtype: auto", f"? {'k' * length}\n: {{a: [1]}}"))
        assert read(shown(stack, origins=True)) == stack


def test_a_name_of_a_file_cannot_end_its_comment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a\nname: x\x1b.yaml"
    path.write_text(GOOD, "utf-8")
    assert run(["show", str(path), "--origins"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert read(out).name == "s"


def test_what_is_wrong_with_a_stack_is_told_and_nothing_shown(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (inside / "tritonrepo.yaml").write_text("name: s\nmodles: {}\n", "utf-8")
    assert run(["show"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert 'unknown key "modles"' in said.err
