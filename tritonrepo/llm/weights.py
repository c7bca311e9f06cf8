"""The number of a language model's weights, from its sizes.

Source: transformers, models/*/modeling_*.py: the linear layers, biases and norms of each family.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from tritonrepo.llm.facts import LanguageModel


class _Family(NamedTuple):
    """What the families differ in: biases on query, key and value, on the attention's output, norms of a layer."""

    qkv_bias: bool = False
    out_bias: bool = False
    norms: int = 2
    head_norms: bool = False


FAMILIES = {
    "LlamaForCausalLM": _Family(),
    "MistralForCausalLM": _Family(),
    "MixtralForCausalLM": _Family(),
    "Qwen2ForCausalLM": _Family(qkv_bias=True),
    "Qwen2MoeForCausalLM": _Family(qkv_bias=True),
    "Qwen3ForCausalLM": _Family(head_norms=True),
    "Qwen3MoeForCausalLM": _Family(head_norms=True),
    "Phi3ForCausalLM": _Family(),
    "GemmaForCausalLM": _Family(),
    "Gemma2ForCausalLM": _Family(norms=4),
    "Gemma3ForCausalLM": _Family(norms=4, head_norms=True),
    "GptOssForCausalLM": _Family(qkv_bias=True, out_bias=True),
    "DeepseekV2ForCausalLM": _Family(),
    "DeepseekV3ForCausalLM": _Family(),
}


def count(model: LanguageModel) -> LanguageModel:
    """Return the model with its number of weights, if its family is known and it is nothing but a language model."""
    if model.multimodal:
        return model
    if model.architecture == "OPTForCausalLM":
        return replace(model, parameters=_opt(model))
    family = FAMILIES.get(model.architecture)
    if family is None:
        return model
    attention = _latent(model) if model.kv_lora_rank else _attention(model, family)
    norms = family.norms * model.hidden
    layers = model.layers * (attention + norms) + _feed_forward(model)
    embeddings = model.vocabulary * model.hidden * (1 if model.tied else 2)
    return replace(model, parameters=embeddings + layers + model.hidden)


def _attention(model: LanguageModel, family: _Family) -> int:
    queries, keys = model.heads * model.head_dim, model.kv_heads * model.head_dim
    total = model.hidden * (queries + 2 * keys) + queries * model.hidden
    total += (queries + 2 * keys) * family.qkv_bias + model.hidden * family.out_bias
    sinks = model.heads if model.architecture == "GptOssForCausalLM" else 0
    return total + 2 * model.head_dim * family.head_norms + sinks


def _latent(model: LanguageModel) -> int:
    """Return the weights of multi-head latent attention in a layer."""
    queries = model.heads * (model.nope_head_dim + model.rope_head_dim)
    low = model.q_lora_rank
    total = model.hidden * low + low + low * queries if low else model.hidden * queries
    total += model.hidden * (model.kv_lora_rank + model.rope_head_dim) + model.kv_lora_rank
    total += model.kv_lora_rank * model.heads * (model.nope_head_dim + model.value_head_dim)
    return total + model.heads * model.value_head_dim * model.hidden


def _feed_forward(model: LanguageModel) -> int:
    """Return the weights behind the attention, of all layers."""
    if not model.experts:
        return model.layers * 3 * model.hidden * model.intermediate
    dense = model.dense_layers * 3 * model.hidden * model.intermediate
    shared = 3 * model.hidden * model.shared_intermediate
    expert = 3 * model.hidden * model.expert_intermediate
    router = model.hidden * model.experts
    if model.architecture == "GptOssForCausalLM":  # biases of the router, of gate and up, and of down
        expert += 2 * model.expert_intermediate + model.hidden
        router += model.experts
    if model.architecture == "Qwen2MoeForCausalLM":
        shared += model.hidden
    if model.architecture == "DeepseekV3ForCausalLM":
        router += model.experts
    return dense + (model.layers - model.dense_layers) * (model.experts * expert + shared + router)


def _opt(model: LanguageModel) -> int:
    """Return the weights of OPT, whose linear layers and norms have biases, and which learns its positions."""
    layer = 4 * model.hidden * (model.hidden + 1) + 4 * model.hidden
    layer += model.intermediate * (model.hidden + 1) + model.hidden * (model.intermediate + 1)
    embeddings = (model.vocabulary + model.context + 2) * model.hidden
    return embeddings + model.layers * layer + 2 * model.hidden
