"""The context length in a model's config.json, as vLLM derives it.

Source: vLLM 0.5 to 0.27, config, _get_and_verify_max_len.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

LENGTHS = (
    "max_position_embeddings",
    "n_positions",
    "max_seq_len",
    "seq_length",
    "max_target_positions",
    "max_sequence_length",
    "max_seq_length",
    "seq_len",
)
"""Keys of a length in tokens, the smallest of which counts; `model_max_length` replaces them."""

SCALED_ALREADY = frozenset({"su", "longrope", "llama3"})
"""Kinds of rotary scaling whose models state the resulting length."""


def length(config: Mapping[str, Any]) -> int:
    """Return the context length in tokens; 0 if config.json does not say it.

    transformers then has a default of the model's class, which is not known here. With several kinds of layers, or a
    choice of lengths (longrope), the shortest is returned: a prompt that fits in it always fits.
    """
    nested = config.get("text_config")
    own = nested if isinstance(nested, dict) else config
    found = [own[key] for key in LENGTHS if _counts(own.get(key))]
    stated = own["model_max_length"] if _counts(own.get("model_max_length")) else min(found, default=0)
    if "gemma3" in str(own.get("model_type") or ""):  # states its scaled length
        return int(stated)
    return min((_scaled(int(stated), rope, own) for rope in _ropes(own)), default=int(stated))


def _counts(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _ropes(config: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the parameters of rotary scaling; rope_parameters, of transformers 5, can have them by kind of layer."""
    said = config.get("rope_parameters") or config.get("rope_scaling")
    if isinstance(said, dict):
        inner = [each for each in said.values() if isinstance(each, dict)]
        yield from inner or [said]


def _scaled(stated: int, rope: Mapping[str, Any], config: Mapping[str, Any]) -> int:
    kind = rope.get("rope_type") or rope.get("type")
    original = rope.get("original_max_position_embeddings") or config.get("original_max_position_embeddings")
    if kind in SCALED_ALREADY:
        return min(stated, original) if kind != "llama3" and isinstance(original, int) and _counts(original) else stated
    factor = rope.get("factor")
    if not isinstance(factor, int | float) or isinstance(factor, bool) or not 0 < factor < float("inf"):
        return stated
    start = original if kind == "yarn" and isinstance(original, int) and _counts(original) else stated
    return int(start * factor)
