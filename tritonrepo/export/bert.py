"""BERT, RoBERTa and XLM-R: token ids → token vectors.

The arithmetic is that of transformers, models/bert/modeling_bert.py and models/roberta/modeling_roberta.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tritonrepo.export.bertconfig import Settings, parsed, shapes
from tritonrepo.export.family import Encoder
from tritonrepo.export.layers import IDS, INT64, TYPES, Layers

UNUSED = ("pooler.", "cls.", "lm_head.", "embeddings.position_ids", "embeddings.token_type_ids")


def bert(config: Mapping[str, Any], at: str) -> Encoder:
    """Return the encoder of a BERT's config.json; raise Stop for what its graph would not compute."""
    return _encoder(parsed(config, "bert", at))


def roberta(config: Mapping[str, Any], at: str) -> Encoder:
    """Return the encoder of a RoBERTa's or XLM-R's config.json; raise Stop for what its graph would not compute."""
    return _encoder(parsed(config, "roberta", at))


def _encoder(settings: Settings) -> Encoder:
    return Encoder(
        prefix=settings.prefix,
        hidden=settings.hidden,
        vocabulary=settings.vocabulary,
        positions=settings.positions - (0 if settings.padding is None else settings.padding + 1),
        types=settings.types,
        shapes=shapes(settings),
        unused=UNUSED,
        add=lambda layers: tokens(layers, settings),
    )


def tokens(layers: Layers, settings: Settings) -> str:
    """Add everything from ids to the last layer's token vectors."""
    add, epsilon = layers.graph.add, settings.epsilon
    x = layers.norm(_embedded(layers, settings), "embeddings.LayerNorm", epsilon)
    bias = layers.mask_bias()
    for layer in range(settings.layers):
        at = f"encoder.layer.{layer}."
        y = layers.linear(_attention(layers, x, bias, at + "attention.self.", settings), at + "attention.output.dense")
        x = layers.norm(add("Add", y, x), at + "attention.output.LayerNorm", epsilon)
        y = layers.activated(layers.linear(x, at + "intermediate.dense"), settings.activation)
        y = layers.linear(y, at + "output.dense")
        x = layers.norm(add("Add", y, x), at + "output.LayerNorm", epsilon)
    return x


def _embedded(layers: Layers, settings: Settings) -> str:
    """Add the sum of word, position and token type; a single text has type 0 throughout."""
    graph, add = layers.graph, layers.graph.add
    words = add("Gather", layers.weight("embeddings.word_embeddings.weight"), IDS)
    positions = add("Gather", layers.weight("embeddings.position_embeddings.weight"), _positions(layers, settings))
    types = "embeddings.token_type_embeddings.weight"
    if layers.pairs:
        typed = add("Gather", layers.weight(types), TYPES)
    else:
        typed = graph.constant("token_type_0", layers.weights[types][0])
    return add("Add", add("Add", words, typed), positions)


def _positions(layers: Layers, settings: Settings) -> str:
    """Add position ids: 0, 1, …, or RoBERTa's, which start after the padding id and skip padding."""
    if settings.padding is None:
        return layers.count_up()
    return positions_after(layers, settings.padding)


def positions_after(layers: Layers, padding: int) -> str:
    """Add position ids that start after the padding id and skip padding, which has its id as its position."""
    add = layers.graph.add
    skipped = layers.whole("padding_id", padding)
    present = add("Cast", add("Not", add("Equal", IDS, skipped)), to=INT64)
    counted = add("CumSum", present, layers.whole("axis_1", 1))
    return add("Add", add("Mul", counted, present), skipped)


def _attention(layers: Layers, x: str, bias: str, at: str, settings: Settings) -> str:
    """Add self-attention up to the joined heads, before the output projection."""
    size = settings.hidden // settings.heads
    heads = layers.graph.integers(0, 0, settings.heads, size)
    query, key, value = (
        layers.graph.add("Reshape", layers.linear(x, at + name), heads) for name in ("query", "key", "value")
    )
    return layers.joined(layers.attended(query, key, value, bias, size), settings.hidden)
