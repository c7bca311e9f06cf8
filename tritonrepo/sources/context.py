"""The context length in a model's config.json, as vLLM derives it.

Source: vLLM 0.5 to 0.27, config, _get_and_verify_max_len.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

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

CHOOSE = frozenset({"su", "longrope"})
"""Kinds of rotary scaling with which vLLM takes the original length unless it is told another one."""


class Lengths(NamedTuple):
    """The context length of a model in tokens, and the longest that vLLM accepts as max_model_len; 0 if not known."""

    default: int
    longest: int


def lengths(config: Mapping[str, Any]) -> Lengths:
    """Return the lengths that a config.json states.

    If it states none, transformers has a default of the model's class, which is not known here. With several kinds of
    layers, or a choice of lengths (longrope), the default is the shortest: a prompt that fits in it always fits.
    """
    nested = config.get("text_config")
    own = nested if isinstance(nested, dict) else config
    found = [own[key] for key in LENGTHS if _counts(own.get(key))]
    stated = int(own["model_max_length"] if _counts(own.get("model_max_length")) else min(found, default=0))
    if "gemma3" in str(own.get("model_type") or ""):  # states its scaled length
        return Lengths(stated, stated)
    scaled = [_scaled(stated, rope, own) for rope in _ropes(own)] or [stated]
    chosen = [_original(rope, _original(own, stated)) for rope in _ropes(own) if _kind(rope) in CHOOSE]
    return Lengths(min([*scaled, *chosen]), max(scaled))


def _counts(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _ropes(config: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the parameters of rotary scaling; rope_parameters, of transformers 5, can have them by kind of layer."""
    said = config.get("rope_parameters") or config.get("rope_scaling")
    if isinstance(said, dict):
        inner = [each for each in said.values() if isinstance(each, dict)]
        yield from inner or [said]


def _kind(rope: Mapping[str, Any]) -> object:
    return rope.get("rope_type") or rope.get("type")


def _original(said: Mapping[str, Any], otherwise: int) -> int:
    original = said.get("original_max_position_embeddings")
    return original if isinstance(original, int) and _counts(original) else otherwise


def _scaled(stated: int, rope: Mapping[str, Any], config: Mapping[str, Any]) -> int:
    factor = rope.get("factor")
    if _kind(rope) in SCALED_ALREADY or not isinstance(factor, int | float) or isinstance(factor, bool):
        return stated
    if not 0 < factor < float("inf"):
        return stated
    start = _original(rope, _original(config, stated)) if _kind(rope) == "yarn" else stated
    return int(start * factor)
