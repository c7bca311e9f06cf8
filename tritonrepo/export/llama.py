"""The weights of a decoder of the Llama family → a graph for ONNX Runtime, next to its tokenizer and its end tokens.

Operators of ONNX Runtime's own (onnxruntime, docs/ContribOperators.md): GroupQueryAttention with rotary positions
inside, MatMulNBits with blocks of 32 and 8-bit activations, GatherBlockQuantized on the same bytes where embeddings and
logits are tied.

ONNX Runtime 1.23 is the first that supports 8 bits in all of them; 1.22 rejects the GatherBlockQuantized (tried).
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tritonrepo.diagnostics import fatal
from tritonrepo.export.container import read
from tritonrepo.export.gguf import adds_bos, bos_token_id, eos_token_ids, of_container
from tritonrepo.export.graph import CONTRIB, Graph, ValueInfo
from tritonrepo.export.llamaconfig import sizes_of
from tritonrepo.export.sizes import BLOCK, EMBEDDING, OUTPUT, Sizes, Weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

INT64 = 7
"""ONNX's number of the type (onnx.TensorProto.INT64)."""

ROWS = 4096
"""Rows of a weight that are rounded at once."""


class Beside(NamedTuple):
    """What the graph needs next to it: tokenizer.json, and the content of generation.json."""

    tokenizer: bytes
    generation: Mapping[str, Any]


def decoder(gguf_path: Path, dest: Path) -> None:
    """Write the decoder in a GGUF file, as `write` does; raise Stop for another architecture as well."""
    container = read(gguf_path)
    sizes = sizes_of(container)
    generation = {
        "context_length": sizes.context,
        "eos_token_ids": eos_token_ids(container),
        "adds_bos": adds_bos(container),
        "bos_token_id": bos_token_id(container),
    }
    write(container, sizes, Beside(of_container(container).tokenizer_json, generation), dest)


def write(weights: Weights, sizes: Sizes, beside: Beside, dest: Path) -> None:
    """Write dest/model.onnx, dest/tokenizer.json and dest/generation.json, all or nothing; an older dest is replaced.

    model.onnx: `input_ids` INT64 [batch, new], `past_key_values.N.key|value` FP32 [batch, kv heads, past, head],
    `seqlens_k` INT32 [batch] (tokens so far with the new ones, less 1), `total_sequence_length` INT32 [] → `logits`
    FP32 [batch, vocabulary] of the last position, `present.N.key|value`.

    generation.json: `context_length` in tokens, `eos_token_ids`, `adds_bos`, `bos_token_id` (null if it has none).

    Raises Stop for anything in the weights that this graph would not compute.
    """
    files = {
        "tokenizer.json": beside.tokenizer,
        "generation.json": json.dumps(beside.generation).encode() + b"\n",
        "model.onnx": graph(weights, sizes),
    }
    try:
        _place(files, dest)
    except OSError as error:
        raise fatal(
            "export-write",
            str(dest),
            f"the exported model cannot be written: {error.strerror}",
            "Free some space, or use another path.",
        ) from error


def _place(files: Mapping[str, bytes], dest: Path) -> None:
    dest.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{dest.name}.", dir=dest.parent) as staging:
        whole = Path(staging, "new")
        whole.mkdir()
        for name, content in files.items():
            (whole / name).write_bytes(content)
        if dest.exists():
            dest.rename(Path(staging, "old"))
        whole.rename(dest)


def graph(weights: Weights, sizes: Sizes, *, quantized: bool = True) -> bytes:
    """Return the serialized decoder, with weights in 8 bits, or in FP32, which shows what rounding changes."""
    model = Decoder(weights, sizes, quantized=quantized)
    model.logits()
    steps = [(n, part) for n in range(sizes.layers) for part in ("key", "value")]

    def states(name: str, length: str) -> list[ValueInfo]:
        dims: list[str | int] = ["batch", sizes.shared, length, sizes.head]
        return [ValueInfo(f"{name}.{n}.{part}", "FLOAT", dims) for n, part in steps]

    inputs = [
        ValueInfo("input_ids", "INT64", ["batch", "new"]),
        ValueInfo("seqlens_k", "INT32", ["batch"]),
        ValueInfo("total_sequence_length", "INT32", []),
        *states("past_key_values", "past"),
    ]
    outputs = [ValueInfo("logits", "FLOAT", ["batch", sizes.vocabulary]), *states("present", "total")]
    return model.graph.serialized(inputs, outputs, str(weights.path))


class Decoder:
    """One decoder as it is written into its graph; tensors are [batch, new, hidden] unless stated otherwise."""

    def __init__(self, weights: Weights, sizes: Sizes, *, quantized: bool = True) -> None:
        self.weights = weights
        self.sizes = sizes
        self.quantized = quantized
        self.graph = Graph()
        self.named: set[str] = set()

    def logits(self) -> None:
        """Add everything from ids to the last position's logits."""
        import numpy as np

        add = self.graph.add
        x = self.embedded()
        rotations = self.rotations()
        for layer in range(self.sizes.layers):
            at = f"blk.{layer}."
            y = self.attention(self.norm(x, at + "attn_norm"), layer, rotations)
            x = add("Add", x, self.linear(y, at + "attn_output"))
            y = self.norm(x, at + "ffn_norm")
            gate = self.linear(y, at + "ffn_gate")
            y = add("Mul", add("Mul", gate, add("Sigmoid", gate)), self.linear(y, at + "ffn_up"))
            x = add("Add", x, self.linear(y, at + "ffn_down"))
        last = add("Gather", x, self.graph.constant("last", np.array(-1, np.int64)), axis=1)
        name = (EMBEDDING if self.sizes.tied else OUTPUT).removesuffix(".weight")
        self.graph.add_named("Identity", [self.linear(self.norm(last, "output_norm"), name)], ["logits"])

    def embedded(self) -> str:
        """Add the tokens' vectors, taken from the weights that the logits also read if both are tied."""
        graph, sizes = self.graph, self.sizes
        if not self.quantized:
            return graph.add("Gather", graph.constant(EMBEDDING, self.weights.array(EMBEDDING)), "input_ids", axis=0)
        blocks, scales = self.blocks(EMBEDDING)
        by_block = graph.add("Reshape", scales, graph.integers(sizes.vocabulary, sizes.hidden // BLOCK, 1))
        layout = {"bits": 8, "block_size": BLOCK, "gather_axis": 0, "quantize_axis": 2}
        graph.add_named("GatherBlockQuantized", [blocks, "input_ids", by_block], ["vectors"], domain=CONTRIB, **layout)
        return graph.add("Reshape", "vectors", graph.integers(0, 0, sizes.hidden))

    def rotations(self) -> tuple[str, str]:
        """Keep cosines and sines of every position of the context: FP32 [context, head / 2] each."""
        import numpy as np

        angles = np.outer(np.arange(self.sizes.context), self.sizes.frequencies)
        cosines, sines = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
        return self.graph.constant("cosines", cosines), self.graph.constant("sines", sines)

    def attention(self, x: str, layer: int, rotations: tuple[str, str]) -> str:
        """Add attention over past and new tokens up to the joined heads, before the output projection."""
        sizes, at = self.sizes, f"blk.{layer}.attn_"
        query, key, value = (self.linear(x, at + part) for part in "qkv")
        if sizes.head_normed:
            query = self.head_norm(query, at + "q_norm", sizes.heads)
            key = self.head_norm(key, at + "k_norm", sizes.shared)
        states = [f"{layer}.key", f"{layer}.value"]
        inputs = [
            query,
            key,
            value,
            *(f"past_key_values.{state}" for state in states),
            "seqlens_k",
            "total_sequence_length",
            *rotations,
        ]
        window = sizes.windows[layer] if sizes.windows else 0
        if 0 < window < sizes.context:
            inputs += ["", self.window(window)]  # "" are the positions, which follow from the lengths
        output = f"attention_{layer}"
        self.graph.add_named(
            "GroupQueryAttention",
            inputs,
            [output, *(f"present.{state}" for state in states)],
            domain=CONTRIB,
            num_heads=sizes.heads,
            kv_num_heads=sizes.shared,
            do_rotary=1,
            rotary_interleaved=int(sizes.interleaved),
        )
        return output

    def window(self, length: int) -> str:
        """Add, once, what keeps tokens from reading further back than `length`: FP32 [1, 1, new, total], 0 or -1e9.

        The attribute local_window_size would do the same, but with 3, ONNX Runtime 1.23 lets a token read four tokens,
        and 1.32 lets it read three (tried).
        """
        import numpy as np

        name, add, graph = f"window_{length}", self.graph.add, self.graph
        if name in self.named:
            return name
        zero, one = (graph.constant(f"i64_scalar_{n}", np.array(n, np.int64)) for n in (0, 1))
        total = add("Cast", "total_sequence_length", to=INT64)
        new = add("Gather", add("Shape", "input_ids"), one, axis=0)
        queries = add("Range", add("Sub", total, new), total, one)
        distance = add("Sub", add("Unsqueeze", queries, graph.integers(1)), add("Range", zero, total, one))
        far = add("GreaterOrEqual", distance, graph.constant(f"i64_scalar_{length}", np.array(length, np.int64)))
        mask = add("Where", far, graph.scalar("far", -1e9), graph.scalar("near", 0))
        graph.add_named("Unsqueeze", [mask, graph.integers(0, 1)], [name])
        self.named.add(name)
        return name

    def head_norm(self, x: str, name: str, heads: int) -> str:
        """Add the norm of each of these heads by itself."""
        apart = self.graph.add("Reshape", x, self.graph.integers(0, 0, heads, self.sizes.head))
        return self.graph.add("Reshape", self.norm(apart, name), self.graph.integers(0, 0, heads * self.sizes.head))

    def norm(self, x: str, name: str) -> str:
        """Add the root-mean-square norm of this name."""
        scale = self.graph.constant(name, self.weights.array(f"{name}.weight"))
        return self.graph.add("SimplifiedLayerNormalization", x, scale, axis=-1, epsilon=self.sizes.epsilon)

    def linear(self, x: str, name: str) -> str:
        """Add x·Wᵀ, and the bias of this name if the model has one."""
        import numpy as np

        weight, bias = f"{name}.weight", f"{name}.bias"
        rows, columns = self.weights.tensors[weight].shape
        output = f"{weight}.product"
        if self.quantized:
            layout = {"K": columns, "N": rows, "bits": 8, "block_size": BLOCK, "accuracy_level": 4}
            self.graph.add_named("MatMulNBits", [x, *self.blocks(weight)], [output], domain=CONTRIB, **layout)
        else:
            turned = np.ascontiguousarray(self.weights.array(weight).T)
            self.graph.add_named("MatMul", [x, self.graph.constant(f"{weight}.turned", turned)], [output])
        if bias not in self.weights.tensors:
            return output
        return self.graph.add("Add", output, self.graph.constant(bias, self.weights.array(bias)))

    def blocks(self, name: str) -> tuple[str, str]:
        """Keep a weight in blocks of 32 bytes, each 128 + value / scale, and their scales; return both names."""
        blocks, scales = f"{name}.blocks", f"{name}.scales"
        if blocks not in self.graph.constants:
            for part, value in zip((blocks, scales), _quantize(self.weights.array(name)), strict=True):
                self.graph.constant(part, value)
        return blocks, scales


def _quantize(weight: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Round FP32 [rows, columns] to 8 bits: UINT8 [rows, columns / 32, 32] and FP32 scales [rows * columns / 32]."""
    import numpy as np

    rows, columns = weight.shape
    whole = np.empty((rows, columns // BLOCK, BLOCK), np.uint8)
    scales = np.empty((rows, columns // BLOCK, 1), np.float32)
    for start in range(0, rows, ROWS):  # an embedding of 150,000 tokens would take gigabytes at once
        blocks = weight[start : start + ROWS].reshape(-1, columns // BLOCK, BLOCK)
        scale = np.abs(blocks).max(-1, keepdims=True) / np.float32(127)
        # A block of zeros has scale 0: any divisor gives its zeros.
        whole[start : start + ROWS] = np.rint(blocks / np.where(scale == 0, np.float32(1), scale)) + 128
        scales[start : start + ROWS] = scale
    return whole, scales.reshape(-1)
