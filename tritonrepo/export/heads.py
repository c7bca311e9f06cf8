"""What follows an encoder's token vectors in its graph: pooling, and what sentence-transformers puts after it.

Sources: sentence-transformers, sentence_transformer/modules/pooling.py, layer_norm.py and base/modules/dense.py,
normalize.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from tritonrepo.export.layers import FLOAT, MASKED, Activation, Layers

if TYPE_CHECKING:
    from numpy.typing import NDArray

EMBEDDING, TOKENS = "embedding", "token_embeddings"
NORM_EPSILON = 1e-5
"""The epsilon of torch.nn.LayerNorm where none is given."""


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
    """How token vectors make the sentence's.

    MEAN_SQRT is their sum by the root of their number, WEIGHTED their mean in which the n-th token counts n times, and
    LAST the last one that is not padding.
    """

    MEAN = "mean"
    CLS = "cls"
    LAST = "last"
    MAX = "max"
    MEAN_SQRT = "mean_sqrt_len"
    WEIGHTED = "weightedmean"


@dataclass(frozen=True, slots=True)
class Dense:
    """A linear layer and its activation; `weight` is FP32 [out, in], and `bias` [out]."""

    weight: NDArray[Any]
    bias: NDArray[Any] | None
    activation: Activation | None


@dataclass(frozen=True, slots=True)
class Norm:
    """A layer norm."""

    scale: NDArray[Any]
    shift: NDArray[Any]


@dataclass(frozen=True, slots=True)
class UnitLength:
    """The scaling of vectors to length 1."""


@dataclass(frozen=True, slots=True)
class Pooling:
    """Token vectors → `embedding`, one vector per text; several ways of pooling are concatenated.

    `after` follows the pooling, and the scaling to length 1 follows that if `normalize` is set. A row without tokens is
    pooled to zeros, or to its first vector with CLS.
    """

    pool: Pool | tuple[Pool, ...]
    normalize: bool
    after: tuple[Dense | Norm | UnitLength, ...] = ()

    @property
    def output(self) -> str:
        """The name of the output."""
        return EMBEDDING

    def shapes(self, hidden: int) -> Mapping[str, tuple[int, ...]]:  # noqa: ARG002  a head's
        """Return no shape: what follows the pooling has its weights in files of its own."""
        return {}

    def dims(self, hidden: int) -> Sequence[str | int]:
        """Return the dims of the output."""
        widths = [part.weight.shape[0] for part in self.after if isinstance(part, Dense)]
        return ["batch", [hidden * len(self._pools()), *widths][-1]]

    def add(self, layers: Layers, x: str) -> str:
        """Add pooling, what follows it, and the scaling to length 1 if it is wanted."""
        pooled = [_pooled(layers, x, pool) for pool in self._pools()]
        x = pooled[0] if len(pooled) == 1 else layers.graph.add("Concat", *pooled, axis=1)
        for number, part in enumerate(self.after):
            x = _followed(layers, x, part, f"after.{number}")
        return _normalized(layers, x, axis=1) if self.normalize else x

    def _pools(self) -> tuple[Pool, ...]:
        return self.pool if isinstance(self.pool, tuple) else (self.pool,)


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
    """Add pooling: [batch, hidden]."""
    graph, add = layers.graph, layers.graph.add
    match pool:
        case Pool.CLS:
            return add("Gather", x, layers.whole("first", 0), axis=1)
        case Pool.MEAN | Pool.MEAN_SQRT:
            return _mean(layers, x, layers.kept(), root=pool is Pool.MEAN_SQRT)
        case Pool.WEIGHTED:
            kept = layers.kept()
            return _mean(layers, x, add("Mul", add("CumSum", kept, layers.whole("axis_1", 1)), kept), root=False)
        case Pool.MAX:
            kept = add("Unsqueeze", layers.kept(), graph.integers(2))
            hidden = add("Mul", add("Sub", graph.scalar("one", 1.0), kept), graph.scalar("masked", MASKED))
            largest = add("ReduceMax", add("Add", x, hidden), axes=[1], keepdims=0)
            return add("Mul", largest, add("ReduceMax", kept, axes=[1], keepdims=0))
        case Pool.LAST:
            return _summed(layers, x, _is_last(layers))


def _mean(layers: Layers, x: str, shares: str, *, root: bool) -> str:
    """Add the sum of token vectors, each times its share, by the sum of the shares, or by its root."""
    graph, add = layers.graph, layers.graph.add
    total = add("ReduceSum", shares, graph.integers(1), keepdims=1)
    summed = _summed(layers, x, shares)
    total = add("Max", total, graph.scalar("least_count", 1e-9))
    return add("Div", summed, add("Sqrt", total) if root else total)


def _followed(layers: Layers, x: str, part: Dense | Norm | UnitLength, name: str) -> str:
    graph = layers.graph
    match part:
        case Dense():
            x = graph.add("MatMul", x, graph.constant(f"{name}.weight_T", part.weight.T))
            x = x if part.bias is None else graph.add("Add", x, graph.constant(f"{name}.bias", part.bias))
            return x if part.activation is None else layers.activated(x, part.activation)
        case Norm():
            weights = (graph.constant(f"{name}.{n}", w) for n, w in (("scale", part.scale), ("shift", part.shift)))
            return graph.add("LayerNormalization", x, *weights, axis=-1, epsilon=NORM_EPSILON)
        case UnitLength():
            return _normalized(layers, x, axis=1)


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
