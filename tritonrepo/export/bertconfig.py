"""config.json and weights of a BERT-like encoder → what its graph needs; anything else is rejected here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from tritonrepo.diagnostics import Diagnostic, Severity, Span, Stop, fatal

if TYPE_CHECKING:
    from numpy.typing import NDArray

Activation = Literal["gelu", "gelu_tanh", "relu"]

ACTIVATIONS: Mapping[str, Activation] = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
}
"""transformers, activations.py, ACT2CLS: the first two are the same function, and so are the next three."""

FAMILIES = {
    "BertModel": "bert",
    "BertForMaskedLM": "bert",
    "RobertaModel": "roberta",
    "RobertaForMaskedLM": "roberta",
    "XLMRobertaModel": "roberta",
    "XLMRobertaForMaskedLM": "roberta",
}
NEUTRAL: Mapping[str, object] = {
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "add_cross_attention": False,
    "quantization_config": None,
    "auto_map": None,
    "pruned_heads": {},
}
"""Fields that change the arithmetic, with the one value that does not; `auto_map` means custom code."""

UNUSED = ("pooler.", "cls.", "lm_head.", "embeddings.position_ids", "embeddings.token_type_ids")
"""Prefixes of names that a checkpoint can hold and that token vectors do not depend on."""


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


def parsed(config: Mapping[str, Any], at: str) -> Settings:
    """Read the settings; raise Stop with everything that is missing, wrong or not supported, in field order."""
    found = list(_refused(config, at))
    if found:
        raise Stop(found)
    prefix = FAMILIES[config["architectures"][0]]
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


def _refused(config: Mapping[str, Any], at: str) -> Iterator[Diagnostic]:
    architectures = config.get("architectures")
    if not isinstance(architectures, list) or architectures[:1] not in [[name] for name in FAMILIES]:
        yield _fault(
            "export-architecture",
            at,
            f"architectures is {architectures!r}, but only {', '.join(FAMILIES)} can be exported",
            "Use a model of one of these architectures.",
        )
        return
    for field, neutral in NEUTRAL.items():
        if config.get(field, neutral) != neutral:
            yield _unsupported(config, field, f"it must be {neutral!r} or missing", at)
    if str(config.get("hidden_act", "gelu")) not in ACTIVATIONS:
        yield _unsupported(config, "hidden_act", f"only {', '.join(ACTIVATIONS)} can be exported", at)
    if FAMILIES[architectures[0]] == "roberta" and not _is_count(config.get("pad_token_id", 1), least=0):
        yield _unsupported(config, "pad_token_id", "it must be the id of a token", at)
    yield from _misnumbered(config, at)


def _misnumbered(config: Mapping[str, Any], at: str) -> Iterator[Diagnostic]:
    wrong = [field for field in SIZES if not _is_count(config.get(field))]
    for field in wrong:
        yield _unsupported(config, field, "it must be an integer of 1 or more", at)
    if not isinstance(config.get("layer_norm_eps", 1e-12), int | float):
        yield _unsupported(config, "layer_norm_eps", "it must be a number", at)
    if not wrong and config["hidden_size"] % config["num_attention_heads"]:
        yield _unsupported(config, "num_attention_heads", f"it must divide hidden_size {config['hidden_size']}", at)


def _is_count(value: object, least: int = 1) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _unsupported(config: Mapping[str, Any], field: str, needed: str, at: str) -> Diagnostic:
    seen = f"{field} is {config[field]!r}" if field in config else f"{field} is missing"
    return _fault("export-config", at, f"{seen}, but {needed}", "Use another model.")


def _fault(rule: str, at: str, message: str, hint: str) -> Diagnostic:
    return Diagnostic(rule, Severity.FATAL, Span(at), message, hint)


def checked(settings: Settings, weights: Mapping[str, NDArray[Any]], at: str) -> dict[str, NDArray[Any]]:
    """Return the weights as FP32 under the plain model's names; raise one Stop for all that do not fit."""
    named = {name.removeprefix(settings.prefix + "."): weight for name, weight in weights.items()}
    needed = shapes(settings)
    wrong = [
        f"{name} is missing" if name not in named else f"{name} has shape {list(named[name].shape)}, not {list(shape)}"
        for name, shape in needed.items()
        if name not in named or named[name].shape != shape
    ]
    # A weight that nothing reads means that the model computes more than the graph does: an adapter, another norm.
    wrong += [f"{name} is unknown" for name in sorted(named) if name not in needed and not name.startswith(UNUSED)]
    if wrong:
        raise fatal(
            "export-weights",
            at,
            f"config.json does not match {len(wrong)} of the weights: " + _shortened(wrong),
            "Use the config.json and the complete weights of the same model.",
        )
    return {name: named[name].astype("float32", copy=False) for name in needed}


def _shortened(faults: list[str], most: int = 6) -> str:
    rest = len(faults) - most
    return "; ".join(faults[:most]) + (f"; and {rest} more" if rest > 0 else "")


def shapes(settings: Settings) -> dict[str, tuple[int, ...]]:
    """Return the shape of every weight that the graph reads, in transformers' order."""
    hidden, between = settings.hidden, settings.intermediate
    found: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (settings.vocabulary, hidden),
        "embeddings.position_embeddings.weight": (settings.positions, hidden),
        "embeddings.token_type_embeddings.weight": (settings.types, hidden),
        **_pair("embeddings.LayerNorm", hidden),
    }
    for layer in range(settings.layers):
        at = f"encoder.layer.{layer}."
        for name in ("query", "key", "value"):
            found |= _pair(f"{at}attention.self.{name}", hidden, hidden)
        found |= _pair(f"{at}attention.output.dense", hidden, hidden)
        found |= _pair(f"{at}attention.output.LayerNorm", hidden)
        found |= _pair(f"{at}intermediate.dense", between, hidden)
        found |= _pair(f"{at}output.dense", hidden, between)
        found |= _pair(f"{at}output.LayerNorm", hidden)
    return found


def _pair(name: str, *shape: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
