"""DistilBERT: token ids → token vectors, as in transformers, models/distilbert/modeling_distilbert.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tritonrepo.export import fields, postnorm
from tritonrepo.export.bert import NORM, POSITIONS, WORDS
from tritonrepo.export.family import Encoder, Shapes, pair
from tritonrepo.export.layers import IDS, Layers
from tritonrepo.export.postnorm import Keys, Names, Stack

KEYS = Keys("dim", "hidden_dim", "n_heads", "n_layers", "activation")
NAMES = Names(
    "transformer.layer.",
    "attention.q_lin",
    "attention.k_lin",
    "attention.v_lin",
    "attention.out_lin",
    "sa_layer_norm",
    "ffn.lin1",
    "ffn.lin2",
    "output_layer_norm",
)
UNUSED = ("vocab_transform.", "vocab_layer_norm.", "vocab_projector.", "embeddings.position_ids")
EPSILON = 1e-12
"""The epsilon of every norm: the config does not say it (modeling_distilbert.py)."""


def distilbert(config: Mapping[str, Any], at: str) -> Encoder:
    """Return the encoder of a DistilBERT's config.json; raise Stop for what its graph would not compute."""
    fields.stop(postnorm.refused(config, KEYS, ("vocab_size", "max_position_embeddings"), at))
    stack = postnorm.stack(config, KEYS, NAMES)._replace(epsilon=EPSILON)
    embedded: Shapes = {
        WORDS: (config["vocab_size"], stack.hidden),
        POSITIONS: (config["max_position_embeddings"], stack.hidden),
        **pair(NORM, stack.hidden),
    }
    return Encoder(
        prefix="distilbert",
        hidden=stack.hidden,
        vocabulary=config["vocab_size"],
        positions=config["max_position_embeddings"],
        types=1,
        shapes=embedded | postnorm.shapes(stack),
        unused=UNUSED,
        add=lambda layers: _tokens(layers, stack),
    )


def _tokens(layers: Layers, stack: Stack) -> str:
    add = layers.graph.add
    words = add("Gather", layers.weight(WORDS), IDS)
    positions = add("Gather", layers.weight(POSITIONS), layers.count_up())
    x = layers.norm(add("Add", words, positions), NORM, stack.epsilon)
    return postnorm.tokens(layers, x, layers.mask_bias(), stack)
