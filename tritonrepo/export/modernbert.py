"""ModernBERT: token ids → token vectors, as in transformers, models/modernbert/modeling_modernbert.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tritonrepo.diagnostics import Diagnostic
from tritonrepo.export import fields, rotary
from tritonrepo.export.family import Encoder, Shapes
from tritonrepo.export.layers import ACTIVATIONS, FLOAT, IDS, MASKED, Activation, Layers
from tritonrepo.export.rotary import Rotation

FULL, LOCAL = "full_attention", "sliding_attention"
SIZES = (
    "hidden_size",
    "intermediate_size",
    "num_attention_heads",
    "num_hidden_layers",
    "vocab_size",
    "max_position_embeddings",
)
BASES: Mapping[str, tuple[str, float]] = {FULL: ("global_rope_theta", 160_000.0), LOCAL: ("local_rope_theta", 10_000.0)}
"""Where older files have the base of the frequencies, and its default (ModernBertConfig, default_theta)."""

UNUSED = ("head.", "decoder.")
WINDOW = ("local_attention",)
BIASES = ("norm_bias", "attention_bias", "mlp_bias")


class Settings(NamedTuple):
    """The numbers of a ModernBERT; `kinds` are its layers' kinds of attention, `window` reaches to each side."""

    hidden: int
    between: int
    heads: int
    kinds: tuple[str, ...]
    window: int
    epsilon: float
    activation: Activation
    bases: Mapping[str, float]


def modernbert(config: Mapping[str, Any], at: str) -> Encoder:
    """Return the encoder of a ModernBERT's config.json; raise Stop for what its graph would not compute."""
    fields.stop(_refused(config, at))
    said = _rotary(config)
    settings = Settings(
        hidden=config["hidden_size"],
        between=config["intermediate_size"],
        heads=config["num_attention_heads"],
        kinds=_kinds(config),
        window=config.get("local_attention", 128) // 2,
        epsilon=float(config.get("norm_eps", 1e-5)),
        activation=ACTIVATIONS[config.get("hidden_activation", "gelu")],
        bases={kind: float(said[kind]["rope_theta"]) for kind in BASES},
    )
    return Encoder(
        prefix="model",
        hidden=settings.hidden,
        vocabulary=config["vocab_size"],
        positions=config["max_position_embeddings"],
        types=1,
        shapes=_shapes(config, settings),
        unused=UNUSED,
        add=lambda layers: _tokens(layers, settings),
    )


def _refused(config: Mapping[str, Any], at: str) -> Iterator[Diagnostic]:
    yield from fields.changed(config, {**fields.NEUTRAL, **rotary.NEUTRAL, "head_dim": None}, at)
    yield from fields.unlisted(config, "hidden_activation", ACTIVATIONS, at)
    wrong = [*fields.miscounted(config, SIZES, at), *fields.miscounted({"local_attention": 128, **config}, WINDOW, at)]
    yield from wrong
    yield from fields.misnumbered(config, "norm_eps", at)
    for field in BIASES:
        if not isinstance(config.get(field, False), bool):
            yield fields.unsupported(config, field, "it must be true or false", at)
    if not wrong:
        yield from fields.indivisible(config, "hidden_size", "num_attention_heads", at)
        yield from fields.odd(config["hidden_size"] // config["num_attention_heads"], at)
        yield from fields.too_deep(config, "num_hidden_layers", at)
        yield from _miskinded(config, at)
    said = config.get("rope_parameters")
    if said is not None and not _by_kind(said):
        yield fields.unsupported(config, "rope_parameters", f"only {' and '.join(BASES)} can be exported", at)
        return
    for kind, parameters in _rotary(config).items():
        yield from rotary.misturned(config, parameters, BASES[kind][0], at)


def _by_kind(said: object) -> bool:
    """Return whether rotary parameters are given for kinds of attention that there are; null is the default."""
    if not isinstance(said, dict) or not said.keys() <= BASES.keys():
        return False
    return all(parameters is None or isinstance(parameters, dict) for parameters in said.values())


def _miskinded(config: Mapping[str, Any], at: str) -> Iterator[Diagnostic]:
    """Yield a diagnostic if the kinds of attention are not given for each layer, or by their period."""
    kinds, period = config.get("layer_types"), config.get("global_attn_every_n_layers", 3)
    if kinds is None and not fields.is_count(period):
        yield fields.unsupported(config, "global_attn_every_n_layers", "it must be an integer of 1 or more", at)
    if kinds is not None and (not isinstance(kinds, list) or [k for k in kinds if k not in BASES]):
        yield fields.unsupported(config, "layer_types", f"only {' and '.join(BASES)} can be exported", at)
    elif kinds is not None and len(kinds) != config["num_hidden_layers"]:
        yield fields.unsupported(config, "layer_types", f"there are {config['num_hidden_layers']} layers", at)


def _kinds(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return each layer's kind of attention (ModernBertConfig, __post_init__)."""
    period = config.get("global_attn_every_n_layers", 3)
    by_period = [LOCAL if layer % period else FULL for layer in range(config["num_hidden_layers"])]
    return tuple(config.get("layer_types") or by_period)


def _rotary(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the rotary parameters of each kind, with their defaults (its convert_rope_params_to_dict)."""
    said = config.get("rope_parameters") or {}
    return {
        kind: {"rope_theta": config.get(field, default), **(said.get(kind) or {})}
        for kind, (field, default) in BASES.items()
    }


def _shapes(config: Mapping[str, Any], settings: Settings) -> Shapes:
    """Return the shape of every weight that the graph reads, in transformers' order."""
    hidden, between = settings.hidden, settings.between
    normed, attended, fed = (config.get(field, False) for field in BIASES)

    def of(name: str, *shape: int, biased: bool) -> Shapes:
        return {f"{name}.weight": shape, **({f"{name}.bias": shape[:1]} if biased else {})}

    found: Shapes = {"embeddings.tok_embeddings.weight": (config["vocab_size"], hidden)}
    found |= of("embeddings.norm", hidden, biased=normed)
    for layer in range(len(settings.kinds)):
        at = f"layers.{layer}."
        if layer:
            found |= of(at + "attn_norm", hidden, biased=normed)
        found |= of(at + "attn.Wqkv", 3 * hidden, hidden, biased=attended)
        found |= of(at + "attn.Wo", hidden, hidden, biased=attended)
        found |= of(at + "mlp_norm", hidden, biased=normed)
        found |= of(at + "mlp.Wi", 2 * between, hidden, biased=fed)
        found |= of(at + "mlp.Wo", hidden, between, biased=fed)
    return found | of("final_norm", hidden, biased=normed)


def _tokens(layers: Layers, settings: Settings) -> str:
    """Add everything from ids to the last norm."""
    add, epsilon, size = layers.graph.add, settings.epsilon, settings.hidden // settings.heads
    x = add("Gather", layers.weight("embeddings.tok_embeddings.weight"), IDS)
    x = layers.norm(x, "embeddings.norm", epsilon)
    positions = add("Unsqueeze", layers.count_up(), layers.graph.integers(0))
    rotations = {base: Rotation(layers, positions, base, size) for base in sorted(set(settings.bases.values()))}
    everywhere = layers.mask_bias()
    biases = {FULL: everywhere, LOCAL: add("Min", everywhere, _window(layers, settings.window))}
    for layer, kind in enumerate(settings.kinds):
        at = f"layers.{layer}."
        y = layers.norm(x, at + "attn_norm", epsilon) if layer else x
        y = _attention(
            layers, layers.linear(y, at + "attn.Wqkv"), biases[kind], rotations[settings.bases[kind]], settings
        )
        x = add("Add", x, layers.linear(y, at + "attn.Wo"))
        y = layers.linear(layers.norm(x, at + "mlp_norm", epsilon), at + "mlp.Wi")
        value, gate = layers.parts(y, 2)
        y = add("Mul", layers.activated(value, settings.activation), gate)
        x = add("Add", x, layers.linear(y, at + "mlp.Wo"))
    return layers.norm(x, "final_norm", epsilon)


def _window(layers: Layers, window: int) -> str:
    """Add the bias that leaves each token only those that are at most `window` away: [sequence, sequence]."""
    add = layers.graph.add
    outside = add("Greater", add("Abs", layers.apart()), layers.whole("window", window))
    return add("Mul", add("Cast", outside, to=FLOAT), layers.graph.scalar("masked", MASKED))


def _attention(layers: Layers, x: str, bias: str, rotation: Rotation, settings: Settings) -> str:
    """Add attention, from queries, keys and values in one tensor to the joined heads."""
    size = settings.hidden // settings.heads
    heads = layers.graph.integers(0, 0, settings.heads, size)
    query, key, value = (layers.graph.add("Reshape", part, heads) for part in layers.parts(x, 3))
    return layers.attended((rotation.of(query), rotation.of(key), value), bias, size, settings.hidden)
