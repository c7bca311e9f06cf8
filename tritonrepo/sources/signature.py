"""What the header of an embedder's own ONNX file says: the tokens that it takes, and the vectors that it returns.

The names are those of optimum and of sentence-transformers, which export `last_hidden_state`, or `token_embeddings` and
`sentence_embedding` (optimum, exporters/onnx/model_configs.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from tritonrepo.diagnostics import Diagnostic, Severity, Span, either
from tritonrepo.onnxfile import Header, Tensor
from tritonrepo.sources.encoder_files import RULE

NEEDED = ("input_ids", "attention_mask")
ALLOWED = (*NEEDED, "token_type_ids", "position_ids")
SENTENCES = ("embedding", "sentence_embedding")
TOKENS = ("last_hidden_state", "token_embeddings")
INTEGERS = ("INT64", "INT32")
BATCH, BATCH_OF_TOKENS = 2, 3


class Signature(NamedTuple):
    """Inputs with their data types, the output that is read, whether that has a vector per token, and its last dim."""

    inputs: Mapping[str, str]
    output: str
    tokens: bool
    width: int


def signature(said: Header, *, pooled: bool) -> Signature:
    """Return the signature of a graph without faults; with `pooled`, token vectors are chosen before others."""
    found = _sentence(said), _tokens(said)
    chosen = next(filter(None, reversed(found) if pooled else found))
    dims = chosen.dims or ()
    kinds = {tensor.name: str(tensor.data_type) for tensor in said.inputs}
    inputs = {name: kinds[name] for name in ALLOWED if name in kinds}
    return Signature(inputs, chosen.name, len(dims) == BATCH_OF_TOKENS, dims[-1])


def faults(said: Header, at: Span) -> Iterator[Diagnostic]:
    """Yield everything that keeps a graph from being an embedder."""
    names = {tensor.name for tensor in said.inputs}
    if not names.issuperset(NEEDED) or not names.issubset(ALLOWED):
        message = (
            f"the ONNX file of the embedder must have the inputs {' and '.join(NEEDED)}, and can have "
            f"{' and '.join(ALLOWED[2:])}, not {', '.join(sorted(names)) or 'none'}"
        )
        yield _fault(at, message, "Export it with these inputs.")
    for tensor in said.inputs:
        if tensor.name in ALLOWED and (tensor.data_type not in INTEGERS or tensor.dims != (-1, -1)):
            needed = f"{either(INTEGERS)} [batch, tokens], both variable"
            message = f'input "{tensor.name}" of the embedder\'s ONNX file must be {needed}'
            yield _fault(at, message, "Export it again.")
    if _sentence(said) is None and _tokens(said) is None:
        message = (
            "the ONNX file of the embedder must have an output FP32 [batch, dimensions], such as "
            f"{SENTENCES[1]}, or {' or '.join(TOKENS)} FP32 [batch, tokens, dimensions], not "
            f"{', '.join(map(_shown, said.outputs)) or 'none'}"
        )
        yield _fault(at, message, "Export it with one of these outputs.")


def _sentence(said: Header) -> Tensor | None:
    """Return the output with a vector per text: one of the known names, or the only one if tokens have none."""
    fit = [each for each in said.outputs if _is(each, BATCH)]
    named = next((each for name in SENTENCES for each in fit if each.name == name), None)
    return named or (fit[0] if len(fit) == 1 and _tokens(said) is None else None)


def _tokens(said: Header) -> Tensor | None:
    return next((each for each in said.outputs if each.name in TOKENS and _is(each, BATCH_OF_TOKENS)), None)


def _is(tensor: Tensor, rank: int) -> bool:
    dims = tensor.dims or ()
    return tensor.data_type == "FP32" and len(dims) == rank and all(dim == -1 for dim in dims[:-1])


def _shown(tensor: Tensor) -> str:
    return f"{tensor.name} {tensor.data_type} {list(tensor.dims or ())}"


def _fault(at: Span, message: str, hint: str) -> Diagnostic:
    return Diagnostic(RULE, Severity.FATAL, at, message, hint)
