"""The facts on a language model that an engine's start depends on.

Source: transformers, the config.json of each family (models/*/configuration_*.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """A language model: its architecture's class, and its sizes in elements; 0 is a size that it does not have.

    `context` is the number of tokens that its config.json gives, 0 if that is unknown, `layers` the number of all
    layers. `parameters` is the number of all weights, None if it is not known. `window` is the sliding window of its
    attention, in tokens. `kv_lora_rank`, `q_lora_rank`, `rope_head_dim`, `nope_head_dim` and `value_head_dim` are those
    of multi-head latent attention. Of a mixture of experts, `experts` is the number of routed experts a layer,
    `experts_used` of those that one token uses, `expert_intermediate` the width of each, `shared_intermediate` the
    width of what every token uses, and `dense_layers` the number of layers without experts. `plain` means that every
    layer keeps keys and values of all tokens: only then is the cache's size exact. `custom_code` means that its
    config.json names Python files to load it with. `multimodal` means that it has more than the language model that the
    sizes describe. `quantization` and `rope_scaling` are the objects of config.json, empty if there is none.
    """

    architecture: str
    model_type: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocabulary: int
    context: int = 0
    dtype: str = "bfloat16"
    tied: bool = False
    parameters: int | None = None
    window: int = 0
    kv_lora_rank: int = 0
    q_lora_rank: int = 0
    rope_head_dim: int = 0
    nope_head_dim: int = 0
    value_head_dim: int = 0
    experts: int = 0
    experts_used: int = 0
    expert_intermediate: int = 0
    shared_intermediate: int = 0
    dense_layers: int = 0
    plain: bool = True
    custom_code: bool = False
    multimodal: bool = False
    quantization: Mapping[str, Any] = field(default_factory=dict)
    rope_scaling: Mapping[str, Any] = field(default_factory=dict)
