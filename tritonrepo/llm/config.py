"""Reading a config.json of transformers, whose values can be of any JSON type.

Source: transformers, configuration_utils.py (attribute_map, text_config) and models/*/configuration_*.py; vllm,
transformers_utils/config.py, get_hf_text_config.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tritonrepo.llm.facts import LanguageModel

LARGEST = 1 << 40
"""The largest size that is believed."""

DTYPES = {"float16", "bfloat16", "float32"}

TEXT_PARTS = ("text_config", "llm_config", "language_config")
"""Where the config.json of a multimodal model has its language model."""

CONTEXTS = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "model_max_length")
TIED = {"gemma", "gemma2", "gemma3", "gemma3_text", "opt", "gpt2", "cohere", "cohere2"}
"""Model types whose output shares the weights of the input if config.json does not say so."""

PLAIN = {
    "LlamaForCausalLM",
    "MistralForCausalLM",
    "MixtralForCausalLM",
    "Qwen2ForCausalLM",
    "Qwen2MoeForCausalLM",
    "Qwen3ForCausalLM",
    "Qwen3MoeForCausalLM",
    "Phi3ForCausalLM",
    "GemmaForCausalLM",
    "OPTForCausalLM",
    "DeepseekV2ForCausalLM",
    "DeepseekV3ForCausalLM",
}
"""Architectures of which every layer attends to all tokens, unless config.json sets a window."""


def read(config: Mapping[str, Any]) -> LanguageModel | None:
    """Return the facts of a config.json; None if it does not give the sizes of a language model."""
    from tritonrepo.llm.facts import LanguageModel  # what only looks at a key needs no facts

    text = text_part(config)
    layers, hidden = _size(text, "num_hidden_layers", "n_layer", "num_layers"), _size(text, "hidden_size", "n_embd")
    heads = _size(text, "num_attention_heads", "n_head")
    vocabulary, architecture = _size(text, "vocab_size"), architectures(config)[:1]
    if not (layers and hidden and heads and vocabulary and architecture):
        return None
    found = LanguageModel(
        architecture=architecture[0],
        model_type=_text(config, "model_type") or _text(text, "model_type"),
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=_size(text, "num_key_value_heads") or heads,
        head_dim=_size(text, "head_dim") or hidden // heads,
        intermediate=_size(text, "intermediate_size", "ffn_dim", "n_inner") or 4 * hidden,
        vocabulary=vocabulary,
        context=_size(text, *CONTEXTS),
        dtype=_dtype(config, text),
        tied=_tied(config, text),
        window=_window(text),
        plain=_plain(text, architecture[0]),
        custom_code="auto_map" in config,
        multimodal=text is not config,
        quantization=_object(config, "quantization_config") or _object(text, "quantization_config"),
        rope_scaling=rope_scaling(text),
        **_latent(text),
        **_experts(text, layers),
    )
    return _counted(found, text)


def text_part(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the part of a config.json on the language model."""
    return next((part for key in TEXT_PARTS if (part := _object(config, key))), config)


def architectures(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the architectures, none if they are not a list of strings."""
    named = config.get("architectures")
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        return ()
    return tuple(named)


def divides(model: LanguageModel, gpus: int) -> bool:
    """Return whether several GPUs can share each layer: whole heads, and keys and values divided or replicated evenly.

    Source: vllm, model_executor/models/llama.py, LlamaAttention, and its like for all of PLAIN; latent attention has no
    keys and values of heads.
    """
    if model.kv_lora_rank or model.architecture not in PLAIN:
        return model.heads % gpus == 0
    return model.heads % gpus == 0 and (model.kv_heads % gpus == 0 or gpus % model.kv_heads == 0)


def rope_scaling(text: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return how positions are scaled; transformers 5 writes it to rope_parameters."""
    found = _object(text, "rope_scaling") or _object(text, "rope_parameters")
    return found if found.get("rope_type", found.get("type")) != "default" else {}


def _latent(text: Mapping[str, Any]) -> dict[str, int]:
    names = {
        "kv_lora_rank": "kv_lora_rank",
        "q_lora_rank": "q_lora_rank",
        "rope_head_dim": "qk_rope_head_dim",
        "nope_head_dim": "qk_nope_head_dim",
        "value_head_dim": "v_head_dim",
    }
    return {name: _size(text, key) for name, key in names.items()} if _size(text, "kv_lora_rank") else {}


def _experts(text: Mapping[str, Any], layers: int) -> dict[str, int]:
    experts = _size(text, "num_local_experts", "n_routed_experts", "num_experts")
    if not experts:
        return {}
    width = _size(text, "moe_intermediate_size") or _size(text, "intermediate_size")
    shared = _size(text, "shared_expert_intermediate_size") or _size(text, "n_shared_experts") * width
    return {
        "experts": experts,
        "experts_used": _size(text, "num_experts_per_tok", "experts_per_token", "moe_topk"),
        "expert_intermediate": width,
        "shared_intermediate": shared,
        "dense_layers": min(layers, _size(text, "first_k_dense_replace")),
    }


def _window(text: Mapping[str, Any]) -> int:
    """Return the sliding window; Qwen's configs have one that use_sliding_window, false by default, switches on.

    Source: vllm, config.py, get_sliding_window; transformers, models/qwen2/configuration_qwen2.py.
    """
    used = text.get("use_sliding_window", not _text(text, "model_type").startswith("qwen"))
    return _size(text, "sliding_window") if used is not False else 0


def _plain(text: Mapping[str, Any], architecture: str) -> bool:
    kinds = text.get("layer_types")
    odd = isinstance(kinds, list) and any(kind != "full_attention" for kind in kinds)
    window, context = _window(text), _size(text, *CONTEXTS)
    return architecture in PLAIN and not odd and not (window and (not context or window < context))


def _dtype(config: Mapping[str, Any], text: Mapping[str, Any]) -> str:
    found = [_text(part, key) for part in (config, text) for key in ("torch_dtype", "dtype")]
    return next((name for name in found if name in DTYPES), "float32")


def _tied(config: Mapping[str, Any], text: Mapping[str, Any]) -> bool:
    said = text.get("tie_word_embeddings", config.get("tie_word_embeddings"))
    return said if isinstance(said, bool) else _text(text, "model_type") in TIED


def _counted(model: LanguageModel, text: Mapping[str, Any]) -> LanguageModel:
    from tritonrepo.llm.weights import count

    biases = text.get("attention_bias") is True or text.get("mlp_bias") is True
    return model if biases and model.architecture == "LlamaForCausalLM" else count(model)


def _size(config: Mapping[str, Any], *keys: str) -> int:
    """Return the first of these keys that is a size; a number that cannot be one counts as absent."""
    values = (config.get(key) for key in keys)
    return next((value for value in values if type(value) is int and 0 < value <= LARGEST), 0)


def _text(config: Mapping[str, Any], key: str) -> str:
    value = config.get(key)
    return value if isinstance(value, str) else ""


def _object(config: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = config.get(key)
    return value if isinstance(value, dict) else {}
