"""config.json of a BERT, RoBERTa or XLM-R encoder → the numbers of its graph; anything else is rejected here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tritonrepo.diagnostics import Diagnostic, Stop
from tritonrepo.export import fields
from tritonrepo.export.family import Shapes, pair
from tritonrepo.export.layers import ACTIVATIONS, Activation

NEUTRAL: Mapping[str, object] = {"position_embedding_type": "absolute", **fields.NEUTRAL}
"""Fields that change the arithmetic, with the one value that does not."""


class Settings(NamedTuple):
    """The numbers of an encoder; `padding` is the id from which RoBERTa counts its positions, None for BERT."""

    prefix: str
    hidden: int
    intermediate: int
    heads: int
    layers: int
    vocabulary: int
    positions: int
    types: int
    epsilon: float
    activation: Activation
    padding: int | None


def parsed(config: Mapping[str, Any], prefix: str, at: str) -> Settings:
    """Read the settings; raise Stop with everything that is missing, wrong or not supported, in field order."""
    found = list(_refused(config, prefix, at))
    if found:
        raise Stop(found)
    epsilon = config.get("layer_norm_eps", 1e-12)
    return Settings(
        prefix=prefix,
        hidden=config["hidden_size"],
        intermediate=config["intermediate_size"],
        heads=config["num_attention_heads"],
        layers=config["num_hidden_layers"],
        vocabulary=config["vocab_size"],
        positions=config["max_position_embeddings"],
        types=config["type_vocab_size"],
        epsilon=float(epsilon),
        activation=ACTIVATIONS[config.get("hidden_act", "gelu")],
        padding=config.get("pad_token_id", 1) if prefix == "roberta" else None,
    )


SIZES = (
    "hidden_size",
    "intermediate_size",
    "num_attention_heads",
    "num_hidden_layers",
    "vocab_size",
    "max_position_embeddings",
    "type_vocab_size",
)


def _refused(config: Mapping[str, Any], prefix: str, at: str) -> Iterator[Diagnostic]:
    yield from fields.changed(config, NEUTRAL, at)
    yield from fields.unlisted(config, "hidden_act", ACTIVATIONS, at)
    if prefix == "roberta" and not fields.is_count(config.get("pad_token_id", 1), least=0):
        yield fields.unsupported(config, "pad_token_id", "it must be the id of a token", at)
    wrong = list(fields.miscounted(config, SIZES, at))
    yield from wrong
    yield from fields.misnumbered(config, "layer_norm_eps", at)
    if not wrong:
        yield from fields.indivisible(config, "hidden_size", "num_attention_heads", at)


def shapes(settings: Settings) -> Shapes:
    """Return the shape of every weight that the graph reads, in transformers' order."""
    hidden, between = settings.hidden, settings.intermediate
    found: Shapes = {
        "embeddings.word_embeddings.weight": (settings.vocabulary, hidden),
        "embeddings.position_embeddings.weight": (settings.positions, hidden),
        "embeddings.token_type_embeddings.weight": (settings.types, hidden),
        **pair("embeddings.LayerNorm", hidden),
    }
    for layer in range(settings.layers):
        at = f"encoder.layer.{layer}."
        for name in ("query", "key", "value"):
            found |= pair(f"{at}attention.self.{name}", hidden, hidden)
        found |= pair(f"{at}attention.output.dense", hidden, hidden)
        found |= pair(f"{at}attention.output.LayerNorm", hidden)
        found |= pair(f"{at}intermediate.dense", between, hidden)
        found |= pair(f"{at}output.dense", hidden, between)
        found |= pair(f"{at}output.LayerNorm", hidden)
    return found
