"""Encoders next to a language model: whether a text can reach them.

A pipeline sends texts. An encoder's graph takes the numbers of tokens, which only the tokenizer of its own model knows.
Source: transformers, docs/source/en/glossary.md, "Input IDs"; sentence-transformers,
sentence_transformers/models/Pooling.py.
"""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.repository import Model
from tritonrepo.repository.once import once
from tritonrepo.repository.tensors import ListedTensor
from tritonrepo.rules.judging import Judging
from tritonrepo.rules.registry import Finding, graph_rule

GRAPHS = ("onnxruntime", "pytorch", "tensorrt", "openvino")
"""Backends that run a graph of numbers and cannot read a text."""

TOKENS = frozenset({"TYPE_INT64", "TYPE_INT32"})
NAMES = frozenset({"input_ids", "attention_mask", "token_type_ids", "tokens"})


@graph_rule("encoder-without-tokenizer", Severity.WARNING, *(f"backend={name}" for name in GRAPHS))
def without_tokenizer(model: Model, judging: Judging) -> Iterator[Finding]:
    """An encoder next to a language model should have a model that tokenizes its texts."""
    if not _only_generates(judging):
        return
    inputs = [tensor for tensor in model.tensors if tensor.kind == "input"]
    if not _takes_tokens(inputs):
        return
    per_token = any(_per_token(tensor) for tensor in model.tensors if tensor.kind == "output")
    pooling = " Its output has a vector for each token: pool and normalize them as well." if per_token else ""
    yield Finding(
        inputs[0].node,
        f'model "{model.name}" takes token numbers, but no model of the repository makes them from a text',
        hint=f"Add a Python model with the encoder's tokenizer, and an ensemble of the two.{pooling}",
    )


def _takes_tokens(inputs: list[ListedTensor]) -> bool:
    """Return whether every input is a row of token numbers, by its name or as TorchScript's arguments."""
    rows = all(tensor.data_type in TOKENS and tuple(tensor.dims)[-1:] == (-1,) for tensor in inputs)
    named = any(tensor.name in NAMES for tensor in inputs) or all(_is_argument(tensor) for tensor in inputs)
    return bool(inputs) and rows and named


def _is_argument(tensor: ListedTensor) -> bool:
    return tensor.name.startswith("INPUT__")


def _per_token(tensor: ListedTensor) -> bool:
    dims = tuple(tensor.dims)
    return len(dims) > 1 and dims[-2] == -1 and dims[-1] > 1 and tensor.data_type.startswith("TYPE_FP")


@once
def _only_generates(judging: Judging) -> bool:
    """Return whether the repository has a language model, and no other model that reads a text."""
    models = judging.models.values()
    if not any(model.backend == "vllm" for model in models):
        return False
    return not any(_may_read_text(model) for model in models)


def _may_read_text(model: Model) -> bool:
    """Return whether a model takes strings, or may: one whose inputs are not all listed, or that cannot be read."""
    if model.backend == "vllm":
        return False
    inputs = [tensor for tensor in model.tensors if tensor.kind == "input"]
    if model.hidden or model.unknown or any(tensor.data_type == "TYPE_STRING" for tensor in inputs):
        return True
    return not inputs and model.backend not in GRAPHS
