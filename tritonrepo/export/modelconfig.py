"""The config.json of a model → the sizes of a decoder of the Llama family; anything else is rejected.

Source of the keys and their defaults: transformers 4.57 and 5, models/{llama,mistral,qwen2,qwen3}/configuration_*.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tritonrepo.diagnostics import Stop, fatal
from tritonrepo.export.checkpoint import Checkpoint, checkpoint
from tritonrepo.export.sizes import ARCHITECTURES, BIASED, HEAD_NORMED, STAND_IN, Sizes, excess, frequencies, misfits

CLASSES = {"llama": "Llama", "mistral": "Mistral", "qwen2": "Qwen2", "qwen3": "Qwen3"}
BASE = 10_000.0
EPSILON = 1e-6
"""Defaults of all four classes: rope_theta, rms_norm_eps."""

KEY_HEADS = {"mistral": 8, "qwen2": 32, "qwen3": 32}
"""Defaults of num_key_value_heads, if the key is missing; null, and Llama's default, is a key head for each head."""

WINDOW = 4096
"""The default of sliding_window; null is none."""

ATTENTION = frozenset({"attn_q", "attn_k", "attn_v", "attn_output"})
FEED_FORWARD = frozenset({"ffn_gate", "ffn_up", "ffn_down"})
HEAD = 128
"""The default of head_dim of Qwen3; the others have hidden_size / num_attention_heads."""

NEUTRAL: Mapping[str, tuple[object, ...]] = {
    "hidden_act": ("silu", None),
    "quantization_config": (None,),
    "auto_map": (None,),
    "partial_rotary_factor": (1, None),
}
"""Keys with the values that leave the arithmetic as it is."""


class Said:
    """A config.json, whose values are checked as they are read."""

    def __init__(self, config: Mapping[str, Any], path: str) -> None:
        self.config, self.path = config, path

    def refused(self, message: str) -> Stop:
        """Return what is raised if the model cannot be exported."""
        return fatal("export-decoder", self.path, message, STAND_IN)

    def whole(self, key: str, default: int | None = None) -> int:
        """Return an integer above 0."""
        value = self.config.get(key)
        value = default if value is None else value
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
        seen = "is missing" if value is None else f"is {value!r:.40}"
        raise self.refused(f"{key} {seen}, but it must be an integer above 0")

    def number(self, key: str, default: float | None = None, *, of: Mapping[str, Any] | None = None) -> float:
        """Return a finite number above 0, of the config or of an object in it."""
        value = (self.config if of is None else of).get(key)
        value = default if value is None else value
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf:
            return float(value)
        seen = "is missing" if value is None else f"is {value!r:.40}"
        raise self.refused(f"{key} {seen}, but it must be a number above 0")


def family(config: Mapping[str, Any], path: str) -> str:
    """Return the model_type; raise Stop if it or the class is not of the family."""
    said, kind = Said(config, path), config.get("model_type")
    if kind not in ARCHITECTURES:
        known = f"{', '.join(ARCHITECTURES[:-1])} and {ARCHITECTURES[-1]}"
        raise said.refused(f"model_type is {kind!r:.40}, but only {known} can be exported")
    needed = f"{CLASSES[str(kind)]}ForCausalLM"
    classes = config.get("architectures")
    if classes is not None and classes != [needed]:
        raise said.refused(f"architectures is {classes!r:.60}, but it must be [{needed!r}]")
    for key, values in NEUTRAL.items():
        if config.get(key) not in values:
            raise said.refused(f"{key} is {config[key]!r:.40}, which the exported decoder does not compute")
    return str(kind)


def sizes_of(config: Mapping[str, Any], path: str) -> Sizes:
    """Read the sizes; raise Stop if the model is of another family or needs what the graph does not compute."""
    kind, said = family(config, path), Said(config, path)
    heads, hidden, layers = (said.whole(key) for key in ("num_attention_heads", "hidden_size", "num_hidden_layers"))
    if config.get("head_dim") is None and kind not in HEAD_NORMED and hidden % heads:
        raise said.refused(f"hidden_size {hidden} cannot be split evenly into {heads} heads")
    head = said.whole("head_dim", HEAD if kind in HEAD_NORMED else hidden // heads)
    biased = BIASED.get(kind, frozenset())
    if kind in {"llama", "qwen3"} and config.get("attention_bias") is True:
        biased |= ATTENTION
    if kind == "llama" and config.get("mlp_bias") is True:
        biased |= FEED_FORWARD
    shared = said.whole("num_key_value_heads", heads if "num_key_value_heads" in config else KEY_HEADS.get(kind, heads))
    context, angles = _rotation(said, head, layers)
    return Sizes(
        layers=layers,
        hidden=hidden,
        between=said.whole("intermediate_size"),
        heads=heads,
        shared=shared,
        head=head,
        vocabulary=said.whole("vocab_size"),
        context=context,
        epsilon=said.number("rms_norm_eps", EPSILON),
        frequencies=angles,
        interleaved=False,
        tied=config.get("tie_word_embeddings") is True,
        biased=biased,
        head_normed=kind in HEAD_NORMED,
        windows=_windows(said, kind, layers),
    )


def fitting(config: Mapping[str, Any], paths: Sequence[Path], path: str) -> tuple[Checkpoint, Sizes]:
    """Return the weights and sizes of a model's files; raise Stop if they do not match."""
    sizes = sizes_of(config, path)
    weights = checkpoint(paths, tied=sizes.tied)
    for message in misfits(weights, sizes):
        raise Said(config, path).refused(message)
    return weights, sizes


def _windows(said: Said, kind: str, layers: int) -> tuple[int, ...]:
    """Return the window of each layer; empty if none has one."""
    config = said.config
    used = kind == "mistral" or (kind != "llama" and config.get("use_sliding_window") is True)
    if not used or config.get("sliding_window", WINDOW) is None:
        return ()
    window, kinds = said.whole("sliding_window", WINDOW), config.get("layer_types")
    if kind != "mistral" and isinstance(kinds, list) and len(kinds) == layers:
        return tuple(window if each == "sliding_attention" else 0 for each in kinds)
    first = 0 if kind == "mistral" else said.whole("max_window_layers", 28)
    return tuple(window if layer >= first else 0 for layer in range(layers))


def _rotation(said: Said, head: int, layers: int) -> tuple[int, tuple[float, ...]]:
    """Return the context length and the frequencies (transformers, modeling_rope_utils.py)."""
    context = said.whole("max_position_embeddings")
    rope = said.config.get("rope_parameters") or said.config.get("rope_scaling") or {}
    if not isinstance(rope, dict):
        raise said.refused(f"rope_scaling is {rope!r:.40}, but it must be an object")
    kind = rope.get("rope_type") or rope.get("type") or "default"
    factor = said.number("factor", of=rope) if kind == "linear" else 1.0
    if message := excess(layers, head, context * factor):
        raise said.refused(message)
    base = said.number("rope_theta", said.number("rope_theta", BASE), of=rope)
    try:
        found = frequencies(base, head)
    except OverflowError:
        raise said.refused(f"rope_theta is {base:g}, which is too small") from None
    if rope.get("partial_rotary_factor") not in (None, 1):
        raise said.refused("partial_rotary_factor is not 1, which the exported decoder does not compute")
    if kind == "default":
        return context, found
    if kind == "linear":
        return int(context * factor), tuple(each / factor for each in found)
    if kind == "llama3":
        return context, tuple(_stretched(said, rope, each) for each in found)
    raise said.refused(f"the rotary positions are scaled by {kind!r:.40}, which the exported decoder does not compute")


def _stretched(said: Said, rope: Mapping[str, Any], frequency: float) -> float:
    """Return a frequency as Llama 3.1 scales it: low ones by the factor, high ones not, those between smoothly."""
    factor, original, low, high = (
        said.number(key, of=rope)
        for key in ("factor", "original_max_position_embeddings", "low_freq_factor", "high_freq_factor")
    )
    turns = original * frequency / (2 * math.pi)  # in the original context
    share = min(max((turns - low) / (high - low), 0.0), 1.0) if high > low else float(turns >= high)
    return (1 - share) * frequency / factor + share * frequency
