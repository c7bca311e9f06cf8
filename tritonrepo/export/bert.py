"""BERT, RoBERTa and XLM-R encoders → one ONNX graph from token ids to the sentence's embedding.

The arithmetic is that of transformers, models/bert/modeling_bert.py and models/roberta/modeling_roberta.py; pooling and
normalisation that of sentence-transformers, models/Pooling.py and models/Normalize.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from tritonrepo.export.bertconfig import Settings, checked, parsed
from tritonrepo.export.graph import Graph, ValueInfo

if TYPE_CHECKING:
    from numpy.typing import NDArray

IDS, MASK, EMBEDDING = "input_ids", "attention_mask", "embedding"
FLOAT, INT64 = 1, 7
"""The element types' numbers (onnx, onnx.proto, TensorProto.DataType)."""

MASKED = float.fromhex("-0x1.fffffep+127")
"""The lowest FP32, added to the score of a masked position: its weight after softmax is exactly 0, and a row of
only padding stays finite, while -inf would give NaN."""


class Pool(StrEnum):
    """Which token vectors make the sentence's: the mean of all, the first, or the last that is not padding."""

    MEAN = "mean"
    CLS = "cls"
    LAST = "last"


@dataclass(frozen=True, slots=True)
class Pooling:
    """How token vectors become the embedding, and whether that is scaled to length 1."""

    pool: Pool
    normalize: bool


def encoder(
    config: Mapping[str, Any], weights: Mapping[str, NDArray[Any]], pooling: Pooling, at: str = "config.json"
) -> bytes:
    """Return the model: `input_ids`, `attention_mask` INT64 [batch, sequence] → `embedding` FP32 [batch, hidden].

    `config` is the model's config.json, `weights` its tensors under transformers' names. Padding is on the right; a row
    without any token gives zeros, or its first vector with CLS. Raises Stop, with `at` as its place, for what the graph
    would not compute as the model does.
    """
    settings = parsed(config, at)
    model = Encoder(settings, checked(settings, weights, at))
    pooled = model.pooled(model.tokens(), pooling.pool)
    model.graph.add_named("Identity", [model.normalized(pooled) if pooling.normalize else pooled], [EMBEDDING])
    return model.graph.serialized(
        [ValueInfo(name, "INT64", ["batch", "sequence"]) for name in (IDS, MASK)],
        [ValueInfo(EMBEDDING, "FLOAT", ["batch", settings.hidden])],
        at,
    )


class Encoder:
    """One encoder as it is written into its graph; tensors are [batch, sequence, hidden] unless stated otherwise."""

    def __init__(self, settings: Settings, weights: Mapping[str, NDArray[Any]]) -> None:
        self.settings = settings
        self.weights = weights
        self.graph = Graph()

    def tokens(self) -> str:
        """Add everything from ids to the last layer's token vectors."""
        add = self.graph.add
        x = self.norm(self.embedded(), "embeddings.LayerNorm")
        bias = self.mask_bias()
        for layer in range(self.settings.layers):
            at = f"encoder.layer.{layer}."
            y = self.linear(self.attention(x, bias, at + "attention.self."), at + "attention.output.dense")
            x = self.norm(add("Add", y, x), at + "attention.output.LayerNorm")
            y = self.activated(self.linear(x, at + "intermediate.dense"))
            y = self.linear(y, at + "output.dense")
            x = self.norm(add("Add", y, x), at + "output.LayerNorm")
        return x

    def embedded(self) -> str:
        """Add the sum of word, position and token type; the type is 0 throughout, as for a single text."""
        add = self.graph.add
        words = add("Gather", self.weight("embeddings.word_embeddings.weight"), IDS)
        positions = add("Gather", self.weight("embeddings.position_embeddings.weight"), self.positions())
        types = self.weights["embeddings.token_type_embeddings.weight"]
        return add("Add", add("Add", words, self.graph.constant("token_type_0", types[0])), positions)

    def positions(self) -> str:
        """Add position ids: 0, 1, …, or RoBERTa's, which start after the padding id and skip padding."""
        import numpy as np

        graph, add = self.graph, self.graph.add
        if self.settings.padding is None:
            return self.count_up()
        padding = graph.constant("padding_id", np.array(self.settings.padding, np.int64))
        present = add("Cast", add("Not", add("Equal", IDS, padding)), to=INT64)
        counted = add("CumSum", present, graph.constant("axis_1", np.array(1, np.int64)))
        return add("Add", add("Mul", counted, present), padding)

    def count_up(self) -> str:
        """Add 0, 1, … up to the length of the sequence: INT64 [sequence]."""
        import numpy as np

        graph = self.graph
        length = graph.add("Gather", graph.add("Shape", IDS), graph.constant("axis_1", np.array(1, np.int64)))
        zero, one = (graph.constant(f"count_{n}", np.array(n, np.int64)) for n in (0, 1))
        return graph.add("Range", zero, length, one)

    def kept(self) -> str:
        """Add the attention mask as FP32 [batch, sequence]."""
        return self.graph.add("Cast", MASK, to=FLOAT)

    def mask_bias(self) -> str:
        """Add what each position adds to its score: 0, or MASKED for padding; [batch, 1, 1, sequence]."""
        graph, add = self.graph, self.graph.add
        kept = add("Unsqueeze", self.kept(), graph.integers(1, 2))
        return add("Mul", add("Sub", graph.scalar("one", 1.0), kept), graph.scalar("masked", MASKED))

    def attention(self, x: str, bias: str, at: str) -> str:
        """Add self-attention up to the joined heads, before the output projection."""
        graph, add, settings = self.graph, self.graph.add, self.settings
        heads = graph.integers(0, 0, settings.heads, settings.hidden // settings.heads)
        query, key, value = (add("Reshape", self.linear(x, at + name), heads) for name in ("query", "key", "value"))
        scores = add("MatMul", add("Transpose", query, perm=[0, 2, 1, 3]), add("Transpose", key, perm=[0, 2, 3, 1]))
        scale = graph.scalar("root_of_head_size", math.sqrt(settings.hidden // settings.heads))
        shares = add("Softmax", add("Add", add("Div", scores, scale), bias), axis=-1)
        mixed = add("MatMul", shares, add("Transpose", value, perm=[0, 2, 1, 3]))
        return add("Reshape", add("Transpose", mixed, perm=[0, 2, 1, 3]), graph.integers(0, 0, settings.hidden))

    def activated(self, x: str) -> str:
        """Add the activation; the forms are those that ONNX Runtime fuses into one operator."""
        graph, add = self.graph, self.graph.add
        one, half = graph.scalar("one", 1.0), graph.scalar("half", 0.5)
        match self.settings.activation:
            case "relu":
                return add("Relu", x)
            case "gelu":
                erf = add("Erf", add("Div", x, graph.scalar("root_of_2", math.sqrt(2))))
                return add("Mul", add("Mul", x, add("Add", erf, one)), half)
            case "gelu_tanh":
                cubic = add("Mul", add("Pow", x, graph.scalar("three", 3.0)), graph.scalar("gelu_cubic", 0.044715))
                inner = add("Mul", add("Add", x, cubic), graph.scalar("root_of_2_by_pi", math.sqrt(2 / math.pi)))
                return add("Mul", add("Mul", x, half), add("Add", add("Tanh", inner), one))

    def linear(self, x: str, name: str) -> str:
        """Add x·Wᵀ + b."""
        transposed = self.graph.constant(f"{name}.weight_T", self.weights[f"{name}.weight"].T)
        return self.graph.add("Add", self.graph.add("MatMul", x, transposed), self.weight(f"{name}.bias"))

    def norm(self, x: str, name: str) -> str:
        """Add the layer norm of this name."""
        scale, shift = self.weight(f"{name}.weight"), self.weight(f"{name}.bias")
        return self.graph.add("LayerNormalization", x, scale, shift, axis=-1, epsilon=self.settings.epsilon)

    def weight(self, name: str) -> str:
        """Keep a weight as the file has it."""
        return self.graph.constant(name, self.weights[name])

    def pooled(self, x: str, pool: Pool) -> str:
        """Add pooling: [batch, hidden]."""
        import numpy as np

        graph, add = self.graph, self.graph.add
        match pool:
            case Pool.CLS:
                return add("Gather", x, graph.constant("first", np.array(0, np.int64)), axis=1)
            case Pool.MEAN:
                kept = self.kept()
                total = add("ReduceSum", kept, graph.integers(1), keepdims=1)
                return add("Div", self.summed(x, kept), add("Max", total, graph.scalar("least_count", 1e-9)))
            case Pool.LAST:
                return self.summed(x, self.is_last())

    def normalized(self, x: str) -> str:
        """Add the scaling of [batch, hidden] to length 1; zeros stay zeros."""
        length = self.graph.add("ReduceL2", x, axes=[1], keepdims=1)
        return self.graph.add("Div", x, self.graph.add("Max", length, self.graph.scalar("least_length", 1e-12)))

    def summed(self, x: str, shares: str) -> str:
        """Add the sum of token vectors, each times its share [batch, sequence]: [batch, hidden]."""
        graph, add = self.graph, self.graph.add
        return add(
            "ReduceSum", add("Mul", x, add("Unsqueeze", shares, graph.integers(2))), graph.integers(1), keepdims=0
        )

    def is_last(self) -> str:
        """Add 1 for each row's last token that is not padding, 0 elsewhere: FP32 [batch, sequence]."""
        add = self.graph.add
        places = add("Cast", self.count_up(), to=FLOAT)
        kept = self.kept()
        last = add("ReduceMax", add("Mul", kept, places), axes=[1], keepdims=1)
        return add("Mul", kept, add("Cast", add("Equal", places, last), to=FLOAT))
