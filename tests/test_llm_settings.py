"""Engine arguments of a model.json as the settings that decide on memory, with vLLM's own defaults."""

from __future__ import annotations

from typing import Any

import pytest

from tests.tabled import tabled
from tritonrepo.llm.config import read
from tritonrepo.llm.facts import LanguageModel
from tritonrepo.llm.gpus import GIB, Range, gpus
from tritonrepo.llm.settings import UnreadError, settings

MODEL = LanguageModel("LlamaForCausalLM", "llama", 2, 64, 4, 2, 16, 128, 1000, context=4096)


@tabled(
    ("key", "value", "doubt"),
    [
        ("num_gpu_blocks_override", 10, "num_gpu_blocks_override sets the cache"),
        ("speculative_config", {"method": "ngram"}, "a draft model takes memory as well"),
        ("speculative_model", "a/b", "a draft model takes memory as well"),
        ("hf_overrides", {"a": 1}, "hf_overrides changes the model"),
        ("decode_context_parallel_size", 2, "the cache is divided among GPUs"),
        ("block_size", 32, "blocks have another size"),
        ("load_format", "gguf", "the weights are loaded in another format"),
        ("compilation_config", {"level": 0}, "the CUDA graphs are configured"),
        ("enable_lora", True, "adapters take memory as well"),
        ("enable_lora", "true", "adapters take memory as well"),
        ("kv_transfer_config", {"a": 1}, "the cache is transferred"),
        ("kv_cache_dtype", "nvfp4", "the cache has scales as well"),
        ("enable_lora", False, None),
        ("enable_lora", "false", None),
        ("load_format", "auto", None),
        ("kv_cache_dtype", "fp8", None),
        ("block_size", 16, None),
        ("load_format", "safetensors", None),
        ("load_format", ["safetensors"], "the weights are loaded in another format"),
        ("compilation_config", {}, None),
        ("decode_context_parallel_size", 1, None),
    ],
)
def test_what_makes_an_estimate_of_a_result(key: str, value: object, doubt: str | None) -> None:
    assert settings({key: value}, MODEL, "0.27.1", 80 * GIB).doubts == ((doubt,) if doubt else ())


@tabled("device", ["cpu", "tpu", "xpu", "hpu", "neuron"])
def test_what_is_no_gpu_needs_none(device: str) -> None:
    with pytest.raises(UnreadError, match="it does not run on a GPU"):
        settings({"device": device}, MODEL, "0.27.1", 80 * GIB)
    assert settings({"device": "cuda"}, MODEL, "0.27.1", 80 * GIB).max_model_len == 4096


VALUES: dict[str, tuple[dict[str, Any], str, object]] = {
    "eager": ({"enforce_eager": True}, "eager", True),
    "graphs": ({"enforce_eager": False}, "eager", False),
    "graphs by default": ({}, "eager", False),
    "32 bits": ({"dtype": "float32"}, "whole", 4.0),
    "16 bits": ({"dtype": "half"}, "whole", 2.0),
    "a cache of 8 bits": ({"kv_cache_dtype": "fp8"}, "kv_bytes", 1.0),
    "a cache of the model's bits": ({"kv_cache_dtype": "auto", "dtype": "float"}, "kv_bytes", 4.0),
    "offloaded": ({"cpu_offload_gb": 2}, "offload", 2.0 * GIB),
    "a cache that is written": ({"kv_cache_memory_bytes": 1000}, "cache", 1000),
    "as long as fits": ({"max_model_len": -1}, "max_model_len", 0),
    "sequences": ({"max_num_seqs": 3}, "sequences", Range(3, 3)),
    "ranks": ({"pipeline_parallel_size": 2, "tensor_parallel_size": 4}, "gpus", 8),
}


@tabled(("value", "name", "expected"), VALUES.values(), ids=VALUES)
def test_an_argument_becomes_a_setting(value: dict[str, Any], name: str, expected: object) -> None:
    assert getattr(settings(value, MODEL, "0.27.1", 80 * GIB), name) == expected


DEFAULTS = {
    "a small GPU": ("L4", 256, 2048),
    "A100, which is slower with more": ("A100-80GB", 256, 2048),
    "H100": ("H100", 1024, 8192),
}


@pytest.mark.parametrize(("name", "sequences", "tokens"), DEFAULTS.values(), ids=DEFAULTS)
def test_defaults_depend_on_the_gpu(name: str, sequences: int, tokens: int) -> None:
    """By vLLM 0.27.1, engine/arg_utils.py, get_batch_defaults; 128 sequences for who is not known."""
    found = settings({}, MODEL, "0.27.1", gpus()[name].memory or 0)
    assert (found.sequences, found.batched) == (Range(128, sequences), Range(2048, tokens))
    assert settings({}, MODEL, "0.27.1", 80 * GIB).sequences == Range(128, 1024)


def test_the_first_versions_with_chunks_profile_512_tokens_by_default() -> None:
    """By vLLM 0.5.5, engine/arg_utils.py: chunks by themselves from 32,768 tokens, of 512 tokens."""
    assert settings({"enable_chunked_prefill": True}, MODEL, "0.5.5", 80 * GIB).batched == Range(512, 2048)
    assert settings({"max_model_len": 40_000}, MODEL, "0.5.5", 80 * GIB).batched.low == 512
    assert settings({}, MODEL, "0.5.5", 80 * GIB).batched == Range(4096, 4096)


def test_sizes_that_a_config_leaves_out_have_the_familys_defaults() -> None:
    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 1000}
    found = read({"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", **sizes})
    assert found is not None
    assert (found.intermediate, found.head_dim, found.kv_heads) == (256, 16, 4)
