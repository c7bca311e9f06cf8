"""What the tolerance of the smoke test lets through, measured with MiniLM: other precisions of its weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tokenizers import Tokenizer

from tests import reference
from tests.test_rag import TEXTS
from tritonrepo.export.weights import safetensors

Array = NDArray[Any]
FEW = TEXTS[1:9]


def shortened(weights: Array, bits: int) -> Array:
    """Round to fewer bits of the mantissa, as a type with the exponent of FP32 does."""
    words = weights.astype(np.float32).view(np.uint32).astype(np.uint64)
    half = (1 << (bits - 1)) - 1 + ((words >> bits) & 1)
    return (((words + half) >> bits) << bits).astype(np.uint32).view(np.float32)


def halved(weights: Array) -> Array:
    return weights.astype(np.float16).astype(np.float32)


def quantized(weights: Array, axis: int | None) -> Array:
    if weights.ndim < 2:
        return weights
    scale = np.abs(weights).max(axis, keepdims=True) / 127
    rounded: Array = np.round(weights / scale) * scale
    return rounded.astype(np.float32)


FORMS: dict[str, tuple[Callable[[Array], Array], bool]] = {
    "half precision": (halved, True),
    "TF32": (partial(shortened, bits=13), True),
    "bfloat16": (partial(shortened, bits=16), True),
    "8 bits, one scale a tensor": (partial(quantized, axis=None), False),
    "8 bits, one scale a row": (partial(quantized, axis=1), False),
}


@pytest.fixture(scope="module")
def embedded(minilm_dir: Path) -> Callable[[Callable[[Array], Array]], Array]:
    """Embed a few texts with the weights in some form, by the forward pass that shares no code with the exporter."""
    config = json.loads((minilm_dir / "config.json").read_text("utf-8"))
    weights = safetensors(minilm_dir / "model.safetensors")
    tokenizer = Tokenizer.from_file(str(minilm_dir / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(256)
    texts = [each.ids for each in tokenizer.encode_batch(FEW)]

    def embed(form: Callable[[Array], Array]) -> Array:
        bert = reference.Bert(config, {name: form(np.asarray(tensor)) for name, tensor in weights.items()})
        return np.stack([bert.embedding(ids, "mean", normalize=True) for ids in texts])

    return embed


@pytest.mark.parametrize(("form", "kept"), FORMS.values(), ids=FORMS)
def test_half_precision_keeps_the_cosine_and_8_bits_do_not(
    embedded: Callable[[Callable[[Array], Array]], Array],
    form: Callable[[Array], Array],
    kept: bool,  # noqa: FBT001  a table's column
) -> None:
    cosines = (embedded(np.asarray) * embedded(form)).sum(1)
    assert cosines.min() >= 0.9999 if kept else cosines.max() < 0.9999
