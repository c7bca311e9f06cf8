"""The parts that encoders and their heads are built of, added to one graph; weights are under transformers' names."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from tritonrepo.export.graph import Graph

if TYPE_CHECKING:
    from numpy.typing import NDArray

IDS, MASK, TYPES = "input_ids", "attention_mask", "token_type_ids"
FLOAT, INT64 = 1, 7
"""The element types' numbers (onnx, onnx.proto, TensorProto.DataType)."""

MASKED = float.fromhex("-0x1.fffffep+127")
"""The lowest FP32, added to the score of a masked position: its weight after softmax is exactly 0, and a row of
only padding stays finite, while -inf would give NaN."""

Activation = Literal["gelu", "gelu_tanh", "relu", "sigmoid", "silu", "tanh"]

ACTIVATIONS: Mapping[str, Activation] = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
}
"""transformers, activations.py, ACT2CLS: the first two are the same function, and so are the next three."""


class Layers:
    """A graph and the weights that it reads; tensors are [batch, sequence, hidden] unless stated otherwise.

    With `pairs` the graph has the input `token_type_ids`, which tells the first text of a pair from the second. With
    `narrow`, matrices that 16 bits hold exactly take no more.
    """

    def __init__(self, weights: Mapping[str, NDArray[Any]], *, pairs: bool = False, narrow: bool = False) -> None:
        self.weights = weights
        self.pairs = pairs
        self.narrow = narrow
        self.graph = Graph()

    def weight(self, name: str) -> str:
        """Keep a weight as the file has it."""
        return self.stored(name, self.weights[name])

    def stored(self, name: str, value: NDArray[Any]) -> str:
        """Keep a weight under this name, and return its tensor in FP32."""
        return self.graph.narrowed(name, value) if self.narrow and value.ndim > 1 else self.graph.constant(name, value)

    def linear(self, x: str, name: str) -> str:
        """Add x·Wᵀ + b; without b where the model has none of this name."""
        transposed = self.stored(f"{name}.weight_T", self.weights[f"{name}.weight"].T)
        product = self.graph.add("MatMul", x, transposed)
        return (
            self.graph.add("Add", product, self.weight(f"{name}.bias")) if f"{name}.bias" in self.weights else product
        )

    def norm(self, x: str, name: str, epsilon: float) -> str:
        """Add the layer norm of this name; without a shift where the model has none."""
        scale = self.weight(f"{name}.weight")
        shift = [self.weight(f"{name}.bias")] if f"{name}.bias" in self.weights else []
        return self.graph.add("LayerNormalization", x, scale, *shift, axis=-1, epsilon=epsilon)

    def root_norm(self, x: str, name: str, epsilon: float) -> str:
        """Add the root-mean-square norm of this name; the form is that which ONNX Runtime fuses into one operator."""
        graph, add = self.graph, self.graph.add
        mean = add("ReduceMean", add("Pow", x, graph.scalar("two", 2.0)), axes=[-1], keepdims=1)
        root = add("Sqrt", add("Add", mean, graph.scalar("epsilon", epsilon)))
        return add("Mul", add("Div", x, root), self.weight(f"{name}.weight"))

    def activated(self, x: str, activation: Activation) -> str:
        """Add the activation; the forms are those that ONNX Runtime fuses into one operator."""
        graph, add = self.graph, self.graph.add
        one, half = graph.scalar("one", 1.0), graph.scalar("half", 0.5)
        match activation:
            case "relu" | "sigmoid" | "tanh":
                return add(activation.capitalize(), x)
            case "silu":
                return add("Mul", x, add("Sigmoid", x))
            case "gelu":
                erf = add("Erf", add("Div", x, graph.scalar("root_of_2", math.sqrt(2))))
                return add("Mul", add("Mul", x, add("Add", erf, one)), half)
            case "gelu_tanh":
                cubic = add("Mul", add("Pow", x, graph.scalar("three", 3.0)), graph.scalar("gelu_cubic", 0.044715))
                inner = add("Mul", add("Add", x, cubic), graph.scalar("root_of_2_by_pi", math.sqrt(2 / math.pi)))
                return add("Mul", add("Mul", x, half), add("Add", add("Tanh", inner), one))

    def whole(self, name: str, value: int) -> str:
        """Keep an INT64 scalar and return its name."""
        import numpy as np

        return self.graph.constant(name, np.array(value, np.int64))

    def count_up(self) -> str:
        """Add 0, 1, … up to the length of the sequence: INT64 [sequence]."""
        graph = self.graph
        length = graph.add("Gather", graph.add("Shape", IDS), self.whole("axis_1", 1))
        zero, one = (self.whole(f"count_{n}", n) for n in (0, 1))
        return graph.add("Range", zero, length, one)

    def kept(self) -> str:
        """Add the attention mask as FP32 [batch, sequence]."""
        return self.graph.add("Cast", MASK, to=FLOAT)

    def mask_bias(self) -> str:
        """Add what each position adds to its score: 0, or MASKED for padding; [batch, 1, 1, sequence]."""
        graph, add = self.graph, self.graph.add
        kept = add("Unsqueeze", self.kept(), graph.integers(1, 2))
        return add("Mul", add("Sub", graph.scalar("one", 1.0), kept), graph.scalar("masked", MASKED))

    def apart(self) -> str:
        """Add how far each key is after each query: INT64 [sequence, sequence]."""
        graph, add = self.graph, self.graph.add
        places = self.count_up()
        return add("Sub", add("Unsqueeze", places, graph.integers(0)), add("Unsqueeze", places, graph.integers(1)))

    def positions_after(self, padding: int) -> str:
        """Add RoBERTa's position ids: they start after the padding id and skip padding, whose position is its id."""
        add = self.graph.add
        skipped = self.whole("padding_id", padding)
        present = add("Cast", add("Not", add("Equal", IDS, skipped)), to=INT64)
        counted = add("CumSum", present, self.whole("axis_1", 1))
        return add("Add", add("Mul", counted, present), skipped)

    def parts(self, x: str, count: int) -> list[str]:
        """Add the split of the last axis into equal parts."""
        graph = self.graph
        names = [f"{x}_part_{n}" for n in range(count)]
        graph.add_named("Split", [x], names, axis=-1)
        return names

    def split(self, x: str, heads: int, size: int) -> str:
        """Add the split of the last axis into heads: [batch, sequence, heads, size]."""
        return self.graph.add("Reshape", x, self.graph.integers(0, 0, heads, size))

    def attended(self, heads: tuple[str, str, str], bias: str, size: int, width: int) -> str:
        """Add attention of queries to keys and values, all [batch, sequence, heads, size]: [batch, sequence, width].

        `bias` is added to the scores [batch, heads, sequence, sequence].
        """
        graph, add = self.graph, self.graph.add
        query, key, value = heads
        scores = add("MatMul", add("Transpose", query, perm=[0, 2, 1, 3]), add("Transpose", key, perm=[0, 2, 3, 1]))
        scale = graph.scalar("root_of_head_size", math.sqrt(size))
        shares = add("Softmax", add("Add", add("Div", scores, scale), bias), axis=-1)
        mixed = add("MatMul", shares, add("Transpose", value, perm=[0, 2, 1, 3]))
        return add("Reshape", add("Transpose", mixed, perm=[0, 2, 1, 3]), graph.integers(0, 0, width))
