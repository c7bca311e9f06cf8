"""An encoder's config.json and weights → one ONNX graph: token ids → token vectors (a family) → an output (a head)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tritonrepo.diagnostics import Stop, fatal
from tritonrepo.export.bert import bert, roberta
from tritonrepo.export.distilbert import distilbert
from tritonrepo.export.family import Encoder
from tritonrepo.export.fields import fault
from tritonrepo.export.graph import ValueInfo, too_large
from tritonrepo.export.heads import Head
from tritonrepo.export.layers import IDS, MASK, TYPES, Layers
from tritonrepo.export.modernbert import modernbert
from tritonrepo.export.mpnet import mpnet
from tritonrepo.export.qwen import qwen2, qwen3

if TYPE_CHECKING:
    from numpy.typing import NDArray

Parse = Callable[[Mapping[str, Any], str], Encoder]

EMBEDDERS: Mapping[str, Parse] = {
    "BertModel": bert,
    "BertForMaskedLM": bert,
    "RobertaModel": roberta,
    "RobertaForMaskedLM": roberta,
    "XLMRobertaModel": roberta,
    "XLMRobertaForMaskedLM": roberta,
    "CamembertModel": roberta,
    "CamembertForMaskedLM": roberta,
    "DistilBertModel": distilbert,
    "DistilBertForMaskedLM": distilbert,
    "MPNetModel": mpnet,
    "MPNetForMaskedLM": mpnet,
    "ModernBertModel": modernbert,
    "ModernBertForMaskedLM": modernbert,
    "Qwen2Model": qwen2,
    "Qwen2ForCausalLM": qwen2,
    "Qwen3Model": qwen3,
    "Qwen3ForCausalLM": qwen3,
}
"""The architectures whose token vectors can be pooled, with the reader of their config."""


OLDER = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}


def parsed(config: Mapping[str, Any], at: str, known: Mapping[str, Parse] = EMBEDDERS) -> Encoder:
    """Read the config of one of these architectures; raise Stop with everything that is missing or not supported."""
    architectures = config.get("architectures")
    if not isinstance(architectures, list) or architectures[:1] not in [[name] for name in known]:
        raise Stop(
            [
                fault(
                    "export-architecture",
                    at,
                    f"architectures is {architectures!r}, but only {', '.join(known)} can be exported",
                    "Use a model of one of these architectures.",
                )
            ]
        )
    return known[architectures[0]](config, at)


def exported(
    encoder: Encoder, weights: Mapping[str, NDArray[Any]], head: Head, at: str = "config.json", *, pairs: bool = False
) -> bytes:
    """Return the model: `input_ids`, `attention_mask` INT64 [batch, sequence] → the head's output.

    With `pairs` it also takes `token_type_ids`, if the encoder tells types of tokens apart. `weights` are the model's
    tensors under transformers' names. Padding is on the right. Raises Stop, with `at` as its place, for weights that do
    not match, or that the graph would not read although the model does.
    """
    inputs = [IDS, MASK, *([TYPES] if pairs and encoder.types > 1 else [])]
    needed = {**encoder.shapes, **head.shapes(encoder.hidden)}
    narrow = _overflows(needed)
    layers = Layers(checked(encoder, needed, weights, at), pairs=TYPES in inputs, narrow=narrow)
    layers.graph.add_named("Identity", [head.add(layers, encoder.add(layers))], [head.output])
    return layers.graph.serialized(
        [ValueInfo(name, "INT64", ["batch", "sequence"]) for name in inputs],
        [ValueInfo(head.output, "FLOAT", head.dims(encoder.hidden))],
        at,
    )


def rounded(encoder: Encoder, weights: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the weights, with their matrices in FP16 where all of them in FP32 would not fit in one file.

    A matrix with a value that FP16 does not hold stays as it is.
    """
    import numpy as np

    if not _overflows(encoder.shapes):
        return dict(weights)

    def half(weight: NDArray[Any]) -> NDArray[Any]:
        with np.errstate(over="ignore"):
            narrow = weight.astype(np.float16)
        return narrow if weight.ndim > 1 and np.isfinite(narrow).all() else weight

    return {name: half(weight) for name, weight in weights.items()}


def _overflows(shapes: Mapping[str, tuple[int, ...]]) -> bool:
    return too_large(sum(4 * math.prod(shape) for shape in shapes.values()))


def checked(
    encoder: Encoder, needed: Mapping[str, tuple[int, ...]], weights: Mapping[str, NDArray[Any]], at: str
) -> dict[str, NDArray[Any]]:
    """Return the weights as FP32 under the plain model's names; raise one Stop for all that do not fit."""
    named = {_plain(name, encoder.prefix): weight for name, weight in weights.items()}
    wrong = [
        f"{name} is missing" if name not in named else f"{name} has shape {list(named[name].shape)}, not {list(shape)}"
        for name, shape in needed.items()
        if name not in named or named[name].shape != shape
    ]
    plain = Counter(_plain(name, encoder.prefix) for name in weights)
    wrong += [f"{name} is there {count} times" for name, count in sorted(plain.items()) if count > 1]
    # A weight that nothing reads means that the model computes more than the graph does: an adapter, another norm.
    wrong += [
        f"{name} is unknown" for name in sorted(named) if name not in needed and not name.startswith(encoder.unused)
    ]
    if wrong:
        raise fatal(
            "export-weights",
            at,
            f"config.json does not match {len(wrong)} of the weights: " + _shortened(wrong),
            "Use the config.json and the complete weights of the same model.",
        )
    return {name: named[name].astype("float32", copy=False) for name in needed}


def _plain(name: str, prefix: str) -> str:
    """Return the name without the prefix; norms of the first BERTs have older names (conversion_mapping.py)."""
    plain = name.removeprefix(prefix + ".")
    for old, new in OLDER.items():
        plain = plain.removesuffix(old) + new if plain.endswith(old) else plain
    return plain


def _shortened(faults: list[str], most: int = 6) -> str:
    rest = len(faults) - most
    return "; ".join(faults[:most]) + (f"; and {rest} more" if rest > 0 else "")
