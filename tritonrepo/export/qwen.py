"""Qwen2 and Qwen3 as encoders: token ids → the last layer's vectors, in which each token sees those up to itself.

The arithmetic is that of transformers, models/qwen2/modeling_qwen2.py and models/qwen3/modeling_qwen3.py. Positions
count the tokens that are not padding, so that padding on either side gives the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tritonrepo.diagnostics import Diagnostic
from tritonrepo.export import fields, rotary
from tritonrepo.export.family import Encoder, Shapes, pair
from tritonrepo.export.layers import FLOAT, IDS, INT64, MASK, MASKED, Layers
from tritonrepo.export.rotary import Rotation

SIZES = (
    "hidden_size",
    "intermediate_size",
    "num_attention_heads",
    "num_hidden_layers",
    "vocab_size",
    "max_position_embeddings",
)
ACTIVATIONS = ("silu", "swish")
"""transformers, activations.py, ACT2CLS: two names of one function."""

FULL = "full_attention"
THETA = 10_000.0
"""The base of the frequencies where the config says none (modeling_rope_utils.py, default_theta)."""

NEUTRAL: Mapping[str, object] = {**fields.NEUTRAL, **rotary.NEUTRAL, "use_sliding_window": False, "is_causal": True}
UNUSED = ("lm_head.",)


class Settings(NamedTuple):
    """The numbers of a decoder; `shared` heads of keys and values serve all heads, `normed` if they are normalised."""

    hidden: int
    heads: int
    shared: int
    size: int
    layers: int
    epsilon: float
    base: float
    normed: bool


def qwen2(config: Mapping[str, Any], at: str) -> Encoder:
    """Return the encoder of a Qwen2's config.json; raise Stop for what its graph would not compute.

    Its queries, keys and values have biases, and its output projection has none.
    """
    fields.stop(_refused(config, _size(config), at))
    return _encoder(config, _settings(config, _size(config), normed=False), biased=("q_proj", "k_proj", "v_proj"))


def qwen3(config: Mapping[str, Any], at: str) -> Encoder:
    """Return the encoder of a Qwen3's config.json; raise Stop for what its graph would not compute.

    It normalises the heads of queries and keys; `attention_bias` gives biases to all four projections.
    """
    biased = config.get("attention_bias", False)
    found = [*_refused(config, 128, at)]
    if not isinstance(biased, bool):
        found.append(fields.unsupported(config, "attention_bias", "it must be true or false", at))
    fields.stop(found)
    settings = _settings(config, 128, normed=True)
    return _encoder(config, settings, biased=("q_proj", "k_proj", "v_proj", "o_proj") if biased else ())


def _size(config: Mapping[str, Any]) -> object:
    """Return the size of a head if the config does not say it (modeling_qwen2.py, Qwen2Attention)."""
    hidden, heads = config.get("hidden_size"), config.get("num_attention_heads")
    if not isinstance(hidden, int) or not isinstance(heads, int) or heads < 1 or hidden % heads:
        return None
    return hidden // heads


def _refused(config: Mapping[str, Any], size: object, at: str) -> Iterator[Diagnostic]:
    full = {"head_dim": size, **config, "num_key_value_heads": _shared(config)}
    yield from fields.changed(config, NEUTRAL, at)
    yield from fields.unlisted(config, "hidden_act", ACTIVATIONS, at)
    wrong = [*fields.miscounted(full, (*SIZES, "num_key_value_heads", "head_dim"), at)]
    yield from wrong
    yield from fields.misnumbered(config, "rms_norm_eps", at)
    if not wrong:
        yield from fields.indivisible(full, "num_attention_heads", "num_key_value_heads", at)
        yield from fields.odd(full["head_dim"], at)
        yield from fields.too_deep(config, "num_hidden_layers", at)
    kinds = config.get("layer_types")
    if kinds is not None and (not isinstance(kinds, list) or [kind for kind in kinds if kind != FULL]):
        yield fields.unsupported(config, "layer_types", f"only {FULL} can be exported", at)
    yield from rotary.misturned(config, _rotary(config), "rope_theta", at)


def _shared(config: Mapping[str, Any]) -> Any:  # noqa: ANN401  foreign data
    """Return the number of heads of keys and values (Qwen3Config: 32 if it is missing, all heads if it is null)."""
    said = config.get("num_key_value_heads", 32)
    return config.get("num_attention_heads") if said is None else said


def _rotary(config: Mapping[str, Any]) -> object:
    """Return the rotary parameters; an older file has the base beside them (convert_rope_params_to_dict)."""
    said = config.get("rope_parameters")
    base = {"rope_theta": config.get("rope_theta", THETA)}
    return base | said if isinstance(said, dict) else base if said is None else said


def _settings(config: Mapping[str, Any], size: object, *, normed: bool) -> Settings:
    said: Any = _rotary(config)
    return Settings(
        hidden=config["hidden_size"],
        heads=config["num_attention_heads"],
        shared=_shared(config),
        size=config.get("head_dim", size),
        layers=config["num_hidden_layers"],
        epsilon=float(config.get("rms_norm_eps", 1e-6)),
        base=float(said["rope_theta"]),
        normed=normed,
    )


def _encoder(config: Mapping[str, Any], settings: Settings, biased: tuple[str, ...]) -> Encoder:
    return Encoder(
        prefix="model",
        hidden=settings.hidden,
        vocabulary=config["vocab_size"],
        positions=config["max_position_embeddings"],
        types=1,
        shapes=_shapes(config, settings, biased),
        unused=UNUSED,
        add=lambda layers: _tokens(layers, settings),
    )


def _shapes(config: Mapping[str, Any], settings: Settings, biased: tuple[str, ...]) -> Shapes:
    """Return the shape of every weight that the graph reads, in transformers' order."""
    hidden, between = settings.hidden, config["intermediate_size"]
    own, shared = settings.heads * settings.size, settings.shared * settings.size
    projections = {"q_proj": (own, hidden), "k_proj": (shared, hidden), "v_proj": (shared, hidden)}
    projections["o_proj"] = (hidden, own)
    found: Shapes = {"embed_tokens.weight": (config["vocab_size"], hidden)}
    for layer in range(settings.layers):
        at = f"layers.{layer}."
        for name, shape in projections.items():
            both = pair(f"{at}self_attn.{name}", *shape)
            found |= both if name in biased else {f"{at}self_attn.{name}.weight": shape}
        for name in ("q_norm", "k_norm") if settings.normed else ():
            found[f"{at}self_attn.{name}.weight"] = (settings.size,)
        found |= {f"{at}mlp.{name}.weight": (between, hidden) for name in ("gate_proj", "up_proj")}
        found[f"{at}mlp.down_proj.weight"] = (hidden, between)
        found |= {f"{at}{name}.weight": (hidden,) for name in ("input_layernorm", "post_attention_layernorm")}
    return found | {"norm.weight": (hidden,)}


def _tokens(layers: Layers, settings: Settings) -> str:
    """Add everything from ids to the last norm."""
    add, epsilon = layers.graph.add, settings.epsilon
    x = add("Gather", layers.weight("embed_tokens.weight"), IDS)
    counted = add("CumSum", add("Cast", MASK, to=INT64), layers.whole("axis_1", 1))
    rotation = Rotation(layers, counted, settings.base, settings.size)
    bias = add("Min", layers.mask_bias(), _causal(layers))
    for layer in range(settings.layers):
        at = f"layers.{layer}."
        y = layers.root_norm(x, at + "input_layernorm", epsilon)
        y = _attention(layers, y, bias, at + "self_attn.", (rotation, settings))
        x = add("Add", x, layers.linear(y, at + "self_attn.o_proj"))
        y = layers.root_norm(x, at + "post_attention_layernorm", epsilon)
        gate = layers.linear(y, at + "mlp.gate_proj")
        y = add("Mul", add("Mul", gate, add("Sigmoid", gate)), layers.linear(y, at + "mlp.up_proj"))
        x = add("Add", x, layers.linear(y, at + "mlp.down_proj"))
    return layers.root_norm(x, "norm", epsilon)


def _causal(layers: Layers) -> str:
    """Add the bias that hides from each token those after it: [sequence, sequence]."""
    add = layers.graph.add
    after = add("Greater", layers.apart(), layers.whole("count_0", 0))
    return add("Mul", add("Cast", after, to=FLOAT), layers.graph.scalar("masked", MASKED))


def _attention(layers: Layers, x: str, bias: str, at: str, how: tuple[Rotation, Settings]) -> str:
    """Add attention up to the joined heads, before the output projection."""
    rotation, settings = how
    query, key, value = (
        layers.split(layers.linear(x, at + name), heads, settings.size)
        for name, heads in (("q_proj", settings.heads), ("k_proj", settings.shared), ("v_proj", settings.shared))
    )
    if settings.normed:
        query = layers.root_norm(query, at + "q_norm", settings.epsilon)
        key = layers.root_norm(key, at + "k_norm", settings.epsilon)
    query, key = rotation.of(query), rotation.of(key)
    key, value = (_repeated(layers, part, settings) for part in (key, value))
    return layers.attended((query, key, value), bias, settings.size, settings.heads * settings.size)


def _repeated(layers: Layers, x: str, settings: Settings) -> str:
    """Add the repetition of each shared head for all the heads that it serves (repeat_kv)."""
    graph, add = layers.graph, layers.graph.add
    times = settings.heads // settings.shared
    if times == 1:
        return x
    spread = add("Expand", add("Unsqueeze", x, graph.integers(3)), graph.integers(1, 1, 1, times, 1))
    return add("Reshape", spread, graph.integers(0, 0, settings.heads, settings.size))
