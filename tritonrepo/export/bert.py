"""BERT, RoBERTa, XLM-R and CamemBERT: token ids → token vectors.

The arithmetic is that of transformers, models/bert/modeling_bert.py and models/roberta/modeling_roberta.py, of which
those of XLM-R and CamemBERT are copies.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tritonrepo.export import fields, postnorm
from tritonrepo.export.family import Encoder, Shapes, pair
from tritonrepo.export.layers import IDS, TYPES, Layers
from tritonrepo.export.postnorm import Keys, Names, Stack

WORDS = "embeddings.word_embeddings.weight"
POSITIONS = "embeddings.position_embeddings.weight"
KINDS = "embeddings.token_type_embeddings.weight"
NORM = "embeddings.LayerNorm"
SIZES = ("vocab_size", "max_position_embeddings", "type_vocab_size")
UNUSED = ("pooler.", "cls.", "lm_head.", "embeddings.position_ids", "embeddings.token_type_ids")


def bert(config: Mapping[str, Any], at: str) -> Encoder:
    """Return the encoder of a BERT's config.json; raise Stop for what its graph would not compute."""
    fields.stop(postnorm.refused(config, Keys(), SIZES, at))
    return _encoder(config, "bert", None)


def roberta(config: Mapping[str, Any], at: str) -> Encoder:
    """Return the encoder of a RoBERTa's or XLM-R's config.json; raise Stop for what its graph would not compute.

    Its positions count from the padding id, and skip padding.
    """
    found = [*postnorm.refused(config, Keys(), SIZES, at)]
    padding = config.get("pad_token_id", 1)
    if not fields.is_count(padding, least=0):
        found.append(fields.unsupported(config, "pad_token_id", "it must be the id of a token", at))
    fields.stop(found)
    return _encoder(config, "roberta", padding)


def _encoder(config: Mapping[str, Any], prefix: str, padding: int | None) -> Encoder:
    stack = postnorm.stack(config, Keys(), Names())
    embedded: Shapes = {
        WORDS: (config["vocab_size"], stack.hidden),
        POSITIONS: (config["max_position_embeddings"], stack.hidden),
        KINDS: (config["type_vocab_size"], stack.hidden),
        **pair(NORM, stack.hidden),
    }
    return Encoder(
        prefix=prefix,
        hidden=stack.hidden,
        vocabulary=config["vocab_size"],
        positions=config["max_position_embeddings"] - (0 if padding is None else padding + 1),
        types=config["type_vocab_size"],
        shapes=embedded | postnorm.shapes(stack),
        unused=UNUSED,
        add=lambda layers: _tokens(layers, stack, padding),
    )


def _tokens(layers: Layers, stack: Stack, padding: int | None) -> str:
    x = layers.norm(_embedded(layers, padding), NORM, stack.epsilon)
    return postnorm.tokens(layers, x, layers.mask_bias(), stack)


def _embedded(layers: Layers, padding: int | None) -> str:
    """Add the sum of word, position and token type; a single text has type 0 throughout."""
    graph, add = layers.graph, layers.graph.add
    words = add("Gather", layers.weight(WORDS), IDS)
    table = layers.weight(POSITIONS)
    positions = add("Gather", table, layers.count_up() if padding is None else layers.positions_after(padding))
    if layers.pairs:
        typed = add("Gather", layers.weight(KINDS), TYPES)
    else:
        typed = graph.constant("token_type_0", layers.weights[KINDS][0])
    return add("Add", add("Add", words, typed), positions)
