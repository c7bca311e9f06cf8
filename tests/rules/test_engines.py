"""Corner cases of the rules on TensorRT, TensorRT-LLM and forests."""

from __future__ import annotations

import pytest

from tests.pages import REST, judged
from tests.tabled import tabled
from tritonrepo.tree import Entry, of_bytes, of_text

PLAN = f'platform: "tensorrt_plan"\n{REST}'
LLM = f'backend: "tensorrtllm"\n{REST}'
FIL = f'backend: "fil"\n{REST}'
IMAGE = "--image trtllm-python-py3"


def given(**values: str) -> str:
    """Return parameters."""
    return "".join(
        f'parameters {{ key: "{name}" value {{ string_value: "{value}" }} }}\n' for name, value in values.items()
    )


def group(kind: str) -> str:
    """Return an instance group."""
    return f"instance_group {{ kind: {kind} }}\n"


ENGINE = given(gpt_model_type="V1", gpt_model_path="/engines")
SAID = {
    "a GPU": (PLAN, "--gpus 1", []),
    "no GPU": (PLAN, "", ["tensorrt-kind"]),
    "no GPU, and any kind": (PLAN + group("KIND_AUTO"), "", ["tensorrt-kind"]),
    "any kind on a GPU": (PLAN + group("KIND_AUTO"), "--gpus 1", []),
    "one of two on the CPU": (PLAN + group("KIND_GPU") + group("KIND_CPU"), "--gpus 1", ["tensorrt-kind"]),
    "a model that chooses": (PLAN + group("KIND_MODEL"), "--gpus 2", ["tensorrt-kind"]),
    "several GPUs at once": (PLAN + group("KIND_MODEL") + given(enable_multi_device="TRUE"), "--gpus 2", []),
    "an engine for language": (LLM + ENGINE, IMAGE, []),
    "no parameters": (LLM, IMAGE, ["trtllm-no-parameters"]),
    "no type": (LLM + given(gpt_model_path="/engines"), IMAGE, ["trtllm-model-type"]),
    "another type": (LLM + given(gpt_model_type="v2", gpt_model_path="/e"), IMAGE, ["trtllm-model-type"]),
    "an encoder": (LLM + given(gpt_model_type="v1", encoder_model_path="/e"), IMAGE, []),
    "an encoder beside a placeholder": (
        LLM + given(gpt_model_type="v1", gpt_model_path="${engine_dir}", encoder_model_path="/e"),
        IMAGE,
        [],
    ),
    "two placeholders": (
        LLM + given(gpt_model_type="v1", gpt_model_path="${engine_dir}", encoder_model_path="${encoder_engine_dir}"),
        IMAGE,
        ["trtllm-model-path"],
    ),
    "placeholders that count as not set": (LLM + ENGINE + given(max_beam_width="${max_beam_width}"), IMAGE, []),
    "a tokenizer": (
        f'backend: "python"\n{REST}' + given(tokenizer_dir="${tokenizer_dir}"),
        "",
        ["template-placeholder-in-parameter"],
    ),
    "a step's parameter that counts as not set": (
        f'backend: "python"\n{REST}' + given(tokenizer_type="${tokenizer_type}"),
        "",
        [],
    ),
    "a forest": (FIL + given(output_class="false"), "", []),
    "a classifier": (FIL + given(output_class="true", threshold="0.5"), "", []),
    "a classifier without a threshold": (FIL + given(output_class="true"), "", ["fil-parameter"]),
    "neither": (FIL, "", ["fil-parameter"]),
    "a flag in upper case": (FIL + given(output_class="True"), "", ["fil-parameter"]),
    "another flag": (FIL + given(output_class="false", predict_proba="1"), "", ["fil-parameter"]),
    "the newer name, too early": (FIL + given(is_classifier="false"), "--release 25.08", ["fil-parameter"]),
    "the newer name": (FIL + given(is_classifier="false"), "--release 25.09", []),
    "the older name still counts": (FIL + given(output_class="false", is_classifier="x"), "--release 25.09", []),
    "the older name with another value does not": (
        FIL + given(output_class="no"),
        "--release 25.09",
        ["fil-parameter"],
    ),
    "a type": (FIL + given(output_class="false", model_type="xgboost_json"), "", []),
    "the first word counts": (FIL + given(output_class="false", model_type=" xgboost_json x"), "", []),
    "no type that is known": (FIL + given(output_class="false", model_type="cuml"), "", ["fil-model-type"]),
    "a type of a later release": (
        FIL + given(output_class="false", model_type="xgboost_ubj"),
        "--release 24.09",
        ["fil-model-type"],
    ),
    "the type in its first release": (
        FIL + given(output_class="false", model_type="xgboost_ubj"),
        "--release 24.10",
        [],
    ),
}
FAMILY = ("tensorrt-", "trtllm-", "fil-", "template-")
FILES = {
    "model.plan": b"\1\2",
    "model.py": b"",
    "xgboost.model": b"binf",
    "xgboost.json": b' {\n "a": 1}',
    "xgboost.ubj": b"{L\0\0",
}


@tabled(("config", "options", "rules"), SAID.values(), ids=SAID)
def test_what_is_said_of_a_config(config: str, options: str, rules: list[str]) -> None:
    files: dict[str, Entry] = {f"m/1/{name}": of_bytes(content) for name, content in FILES.items()}
    found = judged({"m/config.pbtxt": of_text(config), **files}, options).diagnostics
    assert [each.rule for each in found if each.rule.startswith(FAMILY)] == rules


@pytest.mark.parametrize(
    ("kind", "content", "said"),
    [
        pytest.param("xgboost", b"{L\0\0", "looks like xgboost_ubj", id="UBJSON"),
        pytest.param("xgboost", b"{}", "looks like xgboost_json", id="JSON"),
        pytest.param("xgboost_json", b"binf", "does not look like it", id="the first format"),
        pytest.param("xgboost_ubj", b'{"a": 1}', "looks like xgboost_json", id="the other of the newer ones"),
        pytest.param("xgboost_json", b"", "", id="nothing"),
        pytest.param("xgboost_json", b"version https://git-lfs.github.com/spec/v1\n", "", id="a pointer"),
        pytest.param("lightgbm", b"{}", "", id="a type with one format"),
    ],
)
def test_a_forest_in_another_format(kind: str, content: bytes, said: str) -> None:
    config = FIL + given(output_class="false", model_type=kind)
    tree: dict[str, Entry] = {f"m/1/{name}": of_bytes(content) for name in [*FILES, "model.txt"]}
    found = judged({"m/config.pbtxt": of_text(config), **tree}).diagnostics
    told = [f"model_type is {kind}, but the file {said}"] if said else []
    assert [each.message for each in found if each.rule == "fil-model-format"] == told


def test_the_newer_name_is_told_apart_from_a_missing_one() -> None:
    files: dict[str, Entry] = {"m/config.pbtxt": of_text(FIL + given(is_classifier="false"))}
    found = judged({**files, "m/1/xgboost.model": of_bytes(b"binf")}, "--release 25.08").diagnostics
    (hint,) = [each.hint for each in found if each.rule == "fil-parameter"]
    assert hint.endswith('or "false". The FIL backend reads is_classifier since Triton 25.09.')


def test_a_value_that_is_not_a_text_is_not_a_traceback() -> None:
    for text in ("parameters { }", 'parameters { key: "model_type" }', "parameters { value { } }"):
        assert judged({"m/config.pbtxt": of_text(FIL + text), "m/1/xgboost.model": of_bytes(b"x")}).diagnostics
