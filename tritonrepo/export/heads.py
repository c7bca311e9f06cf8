"""What follows an encoder's token vectors in its graph; pooling and normalisation are those of sentence-transformers.

Their sources are models/Pooling.py and models/Normalize.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from tritonrepo.export.layers import FLOAT, Layers

EMBEDDING, TOKENS = "embedding", "token_embeddings"


class Head(Protocol):
    """A head adds its nodes after the token vectors, and gives the graph's one output, FP32."""

    @property
    def output(self) -> str:
        """The name of the output."""

    def shapes(self, hidden: int) -> Mapping[str, tuple[int, ...]]:
        """Return the shapes of the weights that the head reads from the model's own file."""

    def dims(self, hidden: int) -> Sequence[str | int]:
        """Return the dims of the output."""

    def add(self, layers: Layers, x: str) -> str:
        """Add everything from the token vectors to the output, and return its tensor."""


class Pool(StrEnum):
    """Which token vectors make the sentence's: the mean of all, the first, or the last that is not padding."""

    MEAN = "mean"
    CLS = "cls"
    LAST = "last"


@dataclass(frozen=True, slots=True)
class Pooling:
    """Token vectors → `embedding` [batch, hidden]; a row without tokens gives zeros, or its first vector with CLS."""

    pool: Pool
    normalize: bool

    @property
    def output(self) -> str:
        """The name of the output."""
        return EMBEDDING

    def shapes(self, hidden: int) -> Mapping[str, tuple[int, ...]]:  # noqa: ARG002  a head's
        """Return no shape: pooling has no weights."""
        return {}

    def dims(self, hidden: int) -> Sequence[str | int]:
        """Return the dims of the output."""
        return ["batch", hidden]

    def add(self, layers: Layers, x: str) -> str:
        """Add pooling, and the scaling to length 1 if it is wanted."""
        pooled = _pooled(layers, x, self.pool)
        return _normalized(layers, pooled, axis=1) if self.normalize else pooled


@dataclass(frozen=True, slots=True)
class TokenVectors:
    """Token vectors → `token_embeddings` [batch, sequence, hidden], each scaled to length 1 if that is wanted."""

    normalize: bool

    @property
    def output(self) -> str:
        """The name of the output."""
        return TOKENS

    def shapes(self, hidden: int) -> Mapping[str, tuple[int, ...]]:  # noqa: ARG002  a head's
        """Return no shape: token vectors are the encoder's own."""
        return {}

    def dims(self, hidden: int) -> Sequence[str | int]:
        """Return the dims of the output."""
        return ["batch", "sequence", hidden]

    def add(self, layers: Layers, x: str) -> str:
        """Add the scaling to length 1 if it is wanted."""
        return _normalized(layers, x, axis=2) if self.normalize else x


def _pooled(layers: Layers, x: str, pool: Pool) -> str:
    graph, add = layers.graph, layers.graph.add
    match pool:
        case Pool.CLS:
            return add("Gather", x, layers.whole("first", 0), axis=1)
        case Pool.MEAN:
            kept = layers.kept()
            total = add("ReduceSum", kept, graph.integers(1), keepdims=1)
            return add("Div", _summed(layers, x, kept), add("Max", total, graph.scalar("least_count", 1e-9)))
        case Pool.LAST:
            return _summed(layers, x, _is_last(layers))


def _normalized(layers: Layers, x: str, axis: int) -> str:
    """Add the scaling of the vectors along the last axis, which is given, to length 1; zeros stay zeros."""
    add = layers.graph.add
    length = add("ReduceL2", x, axes=[axis], keepdims=1)
    return add("Div", x, add("Max", length, layers.graph.scalar("least_length", 1e-12)))


def _summed(layers: Layers, x: str, shares: str) -> str:
    """Add the sum of token vectors, each times its share [batch, sequence]: [batch, hidden]."""
    graph, add = layers.graph, layers.graph.add
    return add("ReduceSum", add("Mul", x, add("Unsqueeze", shares, graph.integers(2))), graph.integers(1), keepdims=0)


def _is_last(layers: Layers) -> str:
    """Add 1 for each row's last token that is not padding, 0 elsewhere: FP32 [batch, sequence]."""
    add = layers.graph.add
    places = add("Cast", layers.count_up(), to=FLOAT)
    kept = layers.kept()
    last = add("ReduceMax", add("Mul", kept, places), axes=[1], keepdims=1)
    return add("Mul", kept, add("Cast", add("Equal", places, last), to=FLOAT))
