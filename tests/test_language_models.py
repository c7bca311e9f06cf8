"""Language models: what is read from a config.json, and the packaged table."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from scripts.update_language_models import SOURCE, TARGET, content
from tests.tabled import tabled
from tritonrepo.llm.config import read
from tritonrepo.llm.table import known

MODELS = json.loads(TARGET.read_text("utf-8"))["models"]

SMALL = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 100,
    "intermediate_size": 128,
}


def test_data_and_source_agree() -> None:
    made = content(yaml.safe_load(SOURCE.read_text("utf-8")))
    assert TARGET.read_text("utf-8") == made, "python -m scripts.update_language_models"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"source": []}, "a/b: source is missing"),
        ({"size": 1}, "a/b: unknown fact size"),
        ({"config": {"architectures": ["A"]}}, "a/b: config lacks a size"),
        ({"names": ["a/b", "a/b"]}, "a/b is listed 2 times"),
    ],
)
def test_a_wrong_source_is_reported(change: dict[str, Any], said: str) -> None:
    model = {"names": ["a/b"], "source": ["c"], "config": SMALL} | change
    with pytest.raises(ValueError, match=said):
        content({"what": "", "models": [model]})


@tabled("model", MODELS, ids=[model["names"][0] for model in MODELS])
def test_the_weights_add_up_to_what_is_published(model: dict[str, Any]) -> None:
    for name in model["names"]:
        found = known(name)
        assert found is not None
        assert found.parameters == model.get("parameters", found.parameters)


def test_a_known_model_is_found_by_its_name_or_an_absolute_path_that_ends_in_it() -> None:
    found = known("meta-llama/Llama-3.1-70B-Instruct")
    assert found is not None
    assert found.rope_scaling["rope_type"] == "llama3"
    assert known("/models/meta-llama/Llama-3.1-70B-Instruct/") == found
    for name in (
        "",
        "/",
        "Llama-3.1-70B-Instruct",
        "/models/Llama-3.1-70B-Instruct",
        "meta-llama/llama-3.1-70b-instruct",
    ):
        assert known(name) is None
    assert known("models/meta-llama/Llama-3.1-70B-Instruct") is None


@tabled(
    ("name", "facts"),
    [
        ("deepseek-ai/DeepSeek-V2-Lite", {"kv_lora_rank": 512, "rope_head_dim": 64, "dense_layers": 1, "plain": True}),
        ("mistralai/Mixtral-8x7B-v0.1", {"experts": 8, "experts_used": 2, "expert_intermediate": 14336}),
        ("openai/gpt-oss-20b", {"experts": 32, "experts_used": 4, "window": 128, "plain": False}),
        ("google/gemma-3-27b-it", {"multimodal": True, "parameters": None, "head_dim": 128, "plain": False}),
        ("mistralai/Mistral-7B-v0.1", {"window": 4096, "plain": False}),
        ("microsoft/Phi-3.5-mini-instruct", {"window": 262144, "plain": True, "custom_code": True}),
        ("Qwen/Qwen2.5-7B-Instruct", {"context": 32768, "kv_heads": 4, "head_dim": 128, "tied": False}),
        ("facebook/opt-125m", {"dtype": "float16", "tied": True, "intermediate": 3072}),
    ],
)
def test_each_kind_of_model_is_read(name: str, facts: dict[str, Any]) -> None:
    found = known(name)
    assert found is not None
    assert {key: getattr(found, key) for key in facts} == facts


@tabled(
    ("change", "facts"),
    [
        ({}, {"kv_heads": 4, "head_dim": 16, "context": 0, "dtype": "float32", "plain": True}),
        ({"layer_types": ["full_attention", "linear_attention"]}, {"plain": False}),
        ({"layer_types": ["full_attention", "full_attention"]}, {"plain": True}),
        ({"architectures": ["JambaForCausalLM"]}, {"plain": False, "parameters": None}),
        ({"sliding_window": 8, "use_sliding_window": False}, {"window": 0, "plain": True}),
        ({"sliding_window": 8, "model_type": "qwen2"}, {"window": 0}),
        ({"sliding_window": 8, "model_type": "qwen2", "use_sliding_window": True}, {"window": 8}),
        ({"rope_parameters": {"rope_type": "default"}}, {"rope_scaling": {}}),
        ({"rope_parameters": {"rope_type": "yarn"}}, {"rope_scaling": {"rope_type": "yarn"}}),
        ({"attention_bias": True}, {"parameters": None}),
        ({"dtype": "bfloat16"}, {"dtype": "bfloat16"}),
        ({"torch_dtype": "float8"}, {"dtype": "float32"}),
    ],
)
def test_a_key_of_the_config_counts(change: dict[str, Any], facts: dict[str, Any]) -> None:
    found = read(SMALL | change)
    assert found is not None
    assert {key: getattr(found, key) for key in facts} == facts


@tabled("value", [None, True, False, 0, -1, 1 << 80, 1.5, "", "8", [], [1], {}, {"a": 1}])
def test_a_value_of_any_type_is_survived(value: Any) -> None:  # noqa: ANN401
    keys = {key for model in MODELS for key in model["config"]} | {"dtype", "rope_parameters", "text_config"}
    for key in keys:
        read(SMALL | {key: value})
        read({"architectures": ["A"], "text_config": SMALL | {key: value}})
    assert read(dict.fromkeys(keys, value)) is None


@tabled("key", ["architectures", "hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size"])
def test_a_config_without_a_size_is_no_language_model(key: str) -> None:
    assert read({name: value for name, value in SMALL.items() if name != key}) is None
