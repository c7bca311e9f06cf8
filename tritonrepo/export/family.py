"""What a family of encoders makes of a config.json: the weights that it reads, and how its graph begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tritonrepo.export.layers import Layers

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoder:
    """An encoder from token ids to token vectors.

    `prefix` is what a model with a head puts before the names of the encoder's weights (transformers,
    base_model_prefix); `positions` is the largest number of tokens, `types` that of token types, 1 if it has none.
    `shapes` are those of all weights that are read, and `unused` the beginnings of names that a file can hold and that
    token vectors do not depend on. `add` adds everything from ids to the last layer's vectors, [batch, sequence,
    hidden].
    """

    prefix: str
    hidden: int
    vocabulary: int
    positions: int
    types: int
    shapes: Mapping[str, tuple[int, ...]]
    unused: tuple[str, ...]
    add: Callable[[Layers], str]


def pair(name: str, *shape: int) -> Shapes:
    """Return the shapes of a weight and its bias."""
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
