"""The input of `generate` besides the stack: files that `sources` resolved. Nothing is fetched or opened here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from tritonrepo.spec.stack import Stack
from tritonrepo.tree import File


class Prefixes(NamedTuple):
    """What an encoder reads before each text: one prefix for queries, another one for the passages of an index."""

    query: str = ""
    passage: str = ""


NO_PREFIXES = Prefixes()


TOKENS: Mapping[str, str] = MappingProxyType({"input_ids": "INT64", "attention_mask": "INT64"})
"""The inputs of an exported encoder, with their data types."""


@dataclass(frozen=True, slots=True)
class EncoderFiles:
    """A graph: `input_ids`, `attention_mask` INT64 [batch, tokens] → `embedding` FP32 [batch, dimensions].

    `max_tokens` is the length at which texts are cut, with their prefix. `exact` is the encoder before its weights were
    converted to fewer bits, None if they were not. A graph of the user's own can have other `inputs` and another
    `output`.
    """

    onnx: File
    tokenizer: File
    dimensions: int
    max_tokens: int
    prefixes: Prefixes = NO_PREFIXES
    exact: EncoderFiles | None = None
    inputs: Mapping[str, str] = field(default_factory=lambda: TOKENS)
    output: str = "embedding"


@dataclass(frozen=True, slots=True)
class RerankerFiles:
    """A graph: the tensors of `inputs`, INT64 [batch, tokens] → `output` FP32.

    The output of a cross-encoder is `logits` [batch, width], one per label, and `score` says what is done with that of
    `label`: sigmoid, identity, or softmax over all. The output of a late interaction is `token_embeddings` [batch,
    tokens, width], and `prefixes` come before its texts. `max_tokens` is the length at which pairs or texts are cut.
    """

    onnx: File
    tokenizer: File
    inputs: tuple[str, ...]
    output: str
    width: int
    max_tokens: int
    score: str
    label: int
    prefixes: Prefixes = NO_PREFIXES


@dataclass(frozen=True, slots=True)
class ChatFiles:
    """A language model's tokenizer, its chat template in Jinja, its special tokens and its context length.

    `longest` is the longest context that vLLM accepts for it; 0 if that is not known. `begins` are the tokens that the
    tokenizer adds before a prompt, if they are not BOS alone.
    """

    tokenizer: File
    template: str
    bos_token: str
    eos_token: str
    adds_bos: bool
    special_tokens: tuple[str, ...]
    context_length: int
    longest: int = 0
    begins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Inputs:
    """The stack, what the part of each model gathered by model name, and the files of each vendored package."""

    stack: Stack
    files: Mapping[str, Any]
    vendored: Mapping[str, Mapping[str, File]]
