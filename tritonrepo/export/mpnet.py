"""MPNet: token ids → token vectors, as in transformers, models/mpnet/modeling_mpnet.py.

It is a BERT whose scores also depend on how far two tokens are apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tritonrepo.export import fields, postnorm
from tritonrepo.export.bert import NORM, POSITIONS, WORDS
from tritonrepo.export.family import Encoder, Shapes, pair
from tritonrepo.export.layers import IDS, Layers
from tritonrepo.export.postnorm import Keys, Names, Stack

if TYPE_CHECKING:
    from numpy.typing import NDArray

NAMES = Names(
    query="attention.attn.q",
    key="attention.attn.k",
    value="attention.attn.v",
    joined="attention.attn.o",
    attention_norm="attention.LayerNorm",
)
DISTANCES = "encoder.relative_attention_bias.weight"
BUCKETS, FARTHEST = 32, 128
"""Into how many buckets distances fall, and from which one on they share the last (relative_position_bucket)."""

PADDING = 1
"""From which id positions count: MPNetEmbeddings has it in its code, whatever the config says."""

UNUSED = ("pooler.", "lm_head.", "embeddings.position_ids")


def mpnet(config: Mapping[str, Any], at: str) -> Encoder:
    """Return the encoder of an MPNet's config.json; raise Stop for what its graph would not compute."""
    found = [*postnorm.refused(config, Keys(), ("vocab_size", "max_position_embeddings"), at)]
    found += fields.changed(config, {"relative_attention_num_buckets": BUCKETS}, at)
    fields.stop(found)
    stack = postnorm.stack(config, Keys(), NAMES)
    embedded: Shapes = {
        WORDS: (config["vocab_size"], stack.hidden),
        POSITIONS: (config["max_position_embeddings"], stack.hidden),
        **pair(NORM, stack.hidden),
        DISTANCES: (BUCKETS, stack.heads),
    }
    return Encoder(
        prefix="mpnet",
        hidden=stack.hidden,
        vocabulary=config["vocab_size"],
        positions=config["max_position_embeddings"] - PADDING - 1,
        types=1,
        shapes=embedded | postnorm.shapes(stack),
        unused=UNUSED,
        add=lambda layers: _tokens(layers, stack),
    )


def _tokens(layers: Layers, stack: Stack) -> str:
    add = layers.graph.add
    words = add("Gather", layers.weight(WORDS), IDS)
    positions = add("Gather", layers.weight(POSITIONS), layers.positions_after(PADDING))
    x = layers.norm(add("Add", words, positions), NORM, stack.epsilon)
    bias = add("Add", layers.mask_bias(), _distances(layers))
    return postnorm.tokens(layers, x, bias, stack)


def _distances(layers: Layers) -> str:
    """Add what the distance of two tokens adds to their score: [heads, sequence, sequence]."""
    add = layers.graph.add
    table = layers.graph.constant("score_of_distance", _table(layers.weights[DISTANCES]))
    farthest = layers.whole("farthest", FARTHEST)
    near = add("Clip", layers.apart(), layers.whole("farthest_back", -FARTHEST), farthest)
    return add("Gather", table, add("Add", near, farthest), axis=1)


def _table(weight: NDArray[Any]) -> NDArray[Any]:
    """Return the scores of the distances -FARTHEST … FARTHEST: [heads, distances]."""
    import numpy as np

    return np.ascontiguousarray(weight[[bucket(distance) for distance in range(-FARTHEST, FARTHEST + 1)]].T)


def bucket(distance: int) -> int:
    """Return the bucket of a distance, that of the key less that of the query.

    Each direction has half of the buckets, one for each of the first 8 distances and 8 more up to FARTHEST, each wider
    than the one before by the root of 2: in integers, for which no logarithm rounds to the bucket next to it.
    """
    half, exact = BUCKETS // 2, BUCKETS // 4
    far = abs(distance)
    steps = 0
    while far >= exact and steps < exact and far * far >= exact * exact << (steps + 1):
        steps += 1
    return (half if distance > 0 else 0) + (far if far < exact else min(exact + steps, half - 1))
