"""Encoders that normalise after each half of a layer, as BERT does: their config, their weights, and their layers.

The arithmetic is that of transformers, models/bert/modeling_bert.py, BertLayer; DistilBERT and MPNet have it with other
names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tritonrepo.diagnostics import Diagnostic
from tritonrepo.export import fields
from tritonrepo.export.family import Shapes, pair
from tritonrepo.export.layers import ACTIVATIONS, Activation, Layers


class Keys(NamedTuple):
    """The names of a config's fields."""

    hidden: str = "hidden_size"
    between: str = "intermediate_size"
    heads: str = "num_attention_heads"
    layers: str = "num_hidden_layers"
    activation: str = "hidden_act"


class Names(NamedTuple):
    """The names of a layer's weights; `layer` is what each layer's begin with, followed by its number."""

    layer: str = "encoder.layer."
    query: str = "attention.self.query"
    key: str = "attention.self.key"
    value: str = "attention.self.value"
    joined: str = "attention.output.dense"
    attention_norm: str = "attention.output.LayerNorm"
    up: str = "intermediate.dense"
    down: str = "output.dense"
    output_norm: str = "output.LayerNorm"


class Stack(NamedTuple):
    """The numbers of the layers."""

    names: Names
    hidden: int
    between: int
    heads: int
    layers: int
    epsilon: float
    activation: Activation


def refused(config: Mapping[str, Any], keys: Keys, sizes: tuple[str, ...], at: str) -> Iterator[Diagnostic]:
    """Yield a diagnostic for each field that is missing, wrong or not supported; `sizes` are further counts."""
    yield from fields.changed(config, fields.NEUTRAL, at)
    yield from fields.unlisted(config, keys.activation, ACTIVATIONS, at)
    wrong = list(fields.miscounted(config, (*keys[:4], *sizes), at))
    yield from wrong
    yield from fields.misnumbered(config, "layer_norm_eps", at)
    if not wrong:
        yield from fields.indivisible(config, keys.hidden, keys.heads, at)
        yield from fields.too_deep(config, keys.layers, at)


def stack(config: Mapping[str, Any], keys: Keys, names: Names) -> Stack:
    """Return the numbers of a config that nothing is wrong with."""
    return Stack(
        names=names,
        hidden=config[keys.hidden],
        between=config[keys.between],
        heads=config[keys.heads],
        layers=config[keys.layers],
        epsilon=float(config.get("layer_norm_eps", 1e-12)),
        activation=ACTIVATIONS[config.get(keys.activation, "gelu")],
    )


def shapes(stack: Stack) -> Shapes:
    """Return the shapes of the layers' weights, in transformers' order."""
    hidden, between, names = stack.hidden, stack.between, stack.names
    found: Shapes = {}
    for layer in range(stack.layers):
        at = f"{names.layer}{layer}."
        for name in (names.query, names.key, names.value, names.joined):
            found |= pair(at + name, hidden, hidden)
        found |= pair(at + names.attention_norm, hidden)
        found |= pair(at + names.up, between, hidden)
        found |= pair(at + names.down, hidden, between)
        found |= pair(at + names.output_norm, hidden)
    return found


def tokens(layers: Layers, x: str, bias: str, stack: Stack) -> str:
    """Add the layers, from the embedded tokens to their last vectors; `bias` is added to all scores."""
    add, names, epsilon = layers.graph.add, stack.names, stack.epsilon
    for layer in range(stack.layers):
        at = f"{names.layer}{layer}."
        y = layers.linear(_attention(layers, x, bias, at, stack), at + names.joined)
        x = layers.norm(add("Add", y, x), at + names.attention_norm, epsilon)
        y = layers.activated(layers.linear(x, at + names.up), stack.activation)
        x = layers.norm(add("Add", layers.linear(y, at + names.down), x), at + names.output_norm, epsilon)
    return x


def _attention(layers: Layers, x: str, bias: str, at: str, stack: Stack) -> str:
    """Add self-attention up to the joined heads, before the output projection."""
    names, size = stack.names, stack.hidden // stack.heads
    heads = layers.graph.integers(0, 0, stack.heads, size)
    query, key, value = (
        layers.graph.add("Reshape", layers.linear(x, at + name), heads)
        for name in (names.query, names.key, names.value)
    )
    return layers.attended((query, key, value), bias, size, stack.hidden)
