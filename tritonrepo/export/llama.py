"""A GGUF file of the Llama architecture → an 8-bit decoder for ONNX Runtime, its tokenizer and its end tokens.

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
from typing import TYPE_CHECKING, Any

from tritonrepo.diagnostics import fatal
from tritonrepo.export.container import Container, read
from tritonrepo.export.gguf import adds_bos, bos_token_id, eos_token_ids, of_container
from tritonrepo.export.graph import CONTRIB, Graph, ValueInfo
from tritonrepo.export.llamaconfig import BLOCK, EMBEDDING, OUTPUT, Sizes, sizes_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


def decoder(gguf_path: Path, dest: Path) -> None:
    """Write dest/model.onnx, dest/tokenizer.json and dest/generation.json, all or nothing; an older dest is replaced.

    model.onnx: `input_ids` INT64 [batch, new], `past_key_values.N.key|value` FP32 [batch, kv heads, past, head],
    `seqlens_k` INT32 [batch] (tokens so far with the new ones, less 1), `total_sequence_length` INT32 [] → `logits`
    FP32 [batch, vocabulary] of the last position, `present.N.key|value`.

    generation.json: `context_length` in tokens, `eos_token_ids`, `adds_bos`, `bos_token_id` (null if it has none).

    Raises Stop for another architecture, and for anything in the file that this graph would not compute.
    """
    container = read(gguf_path)
    sizes = sizes_of(container)
    generation = {
        "context_length": sizes.context,
        "eos_token_ids": eos_token_ids(container),
        "adds_bos": adds_bos(container),
        "bos_token_id": bos_token_id(container),
    }
    files = {
        "tokenizer.json": of_container(container).tokenizer_json,
        "generation.json": json.dumps(generation).encode() + b"\n",
        "model.onnx": graph(container, sizes),
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


def graph(container: Container, sizes: Sizes) -> bytes:
    """Return the serialized decoder."""
    model = Decoder(container, sizes)
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
    return model.graph.serialized(inputs, outputs, str(container.path))


class Decoder:
    """One decoder as it is written into its graph; tensors are [batch, new, hidden] unless stated otherwise."""

    def __init__(self, container: Container, sizes: Sizes) -> None:
        self.container = container
        self.sizes = sizes
        self.graph = Graph()

    def logits(self) -> None:
        """Add everything from ids to the last position's logits."""
        import numpy as np

        add = self.graph.add
        x = self.embedded()
        rotations = self.rotations()
        for layer in range(self.sizes.layers):
            at = f"blk.{layer}."
            y = self.attention(self.norm(x, at + "attn_norm"), layer, rotations)
            x = add("Add", x, self.linear(y, at + "attn_output.weight"))
            y = self.norm(x, at + "ffn_norm")
            gate = self.linear(y, at + "ffn_gate.weight")
            y = add("Mul", add("Mul", gate, add("Sigmoid", gate)), self.linear(y, at + "ffn_up.weight"))
            x = add("Add", x, self.linear(y, at + "ffn_down.weight"))
        last = add("Gather", x, self.graph.constant("last", np.array(-1, np.int64)), axis=1)
        name = OUTPUT if OUTPUT in self.container.tensors else EMBEDDING
        self.graph.add_named("Identity", [self.linear(self.norm(last, "output_norm"), name)], ["logits"])

    def embedded(self) -> str:
        """Add the tokens' vectors, taken from the 8-bit blocks that the logits also read."""
        graph, sizes = self.graph, self.sizes
        blocks, scales = self.quantised(EMBEDDING)
        by_block = graph.add("Reshape", scales, graph.integers(sizes.vocabulary, sizes.hidden // BLOCK, 1))
        layout = {"bits": 8, "block_size": BLOCK, "gather_axis": 0, "quantize_axis": 2}
        graph.add_named("GatherBlockQuantized", [blocks, "input_ids", by_block], ["vectors"], domain=CONTRIB, **layout)
        return graph.add("Reshape", "vectors", graph.integers(0, 0, sizes.hidden))

    def rotations(self) -> tuple[str, str]:
        """Keep cosines and sines of every position of the context: FP32 [context, head / 2] each."""
        import numpy as np

        # Python's power: the last bit of NumPy's differs from version to version, and so would the file.
        frequencies = [self.sizes.base ** (-pair / self.sizes.head) for pair in range(0, self.sizes.head, 2)]
        angles = np.outer(np.arange(self.sizes.context), frequencies)
        cosines, sines = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
        return self.graph.constant("cosines", cosines), self.graph.constant("sines", sines)

    def attention(self, x: str, layer: int, rotations: tuple[str, str]) -> str:
        """Add attention over past and new tokens up to the joined heads, before the output projection."""
        names = [f"blk.{layer}.attn_{part}.weight" for part in "qkv"]
        states = [f"{layer}.key", f"{layer}.value"]
        inputs = [
            *(self.linear(x, name) for name in names),
            *(f"past_key_values.{state}" for state in states),
            "seqlens_k",
            "total_sequence_length",
            *rotations,
        ]
        output = f"attention_{layer}"
        # GGUF stores the query and key rows of a llama so that a rotated pair is adjacent (llama.cpp,
        # convert_hf_to_gguf.py, LlamaModel.permute): interleaved.
        self.graph.add_named(
            "GroupQueryAttention",
            inputs,
            [output, *(f"present.{state}" for state in states)],
            domain=CONTRIB,
            num_heads=self.sizes.heads,
            kv_num_heads=self.sizes.shared,
            do_rotary=1,
            rotary_interleaved=1,
        )
        return output

    def norm(self, x: str, name: str) -> str:
        """Add the root-mean-square norm of this name."""
        scale = self.graph.constant(name, self.container.array(f"{name}.weight"))
        return self.graph.add("SimplifiedLayerNormalization", x, scale, axis=-1, epsilon=self.sizes.epsilon)

    def linear(self, x: str, name: str) -> str:
        """Add x·Wᵀ with 8-bit weights."""
        rows, columns = self.container.tensors[name].shape
        output = f"{name}.product"
        layout = {"K": columns, "N": rows, "bits": 8, "block_size": BLOCK, "accuracy_level": 4}
        self.graph.add_named("MatMulNBits", [x, *self.quantised(name)], [output], domain=CONTRIB, **layout)
        return output

    def quantised(self, name: str) -> tuple[str, str]:
        """Keep a weight in blocks of 32 bytes, each 128 + value / scale, and their scales; return both names."""
        blocks, scales = f"{name}.blocks", f"{name}.scales"
        if blocks not in self.graph.constants:
            for part, value in zip((blocks, scales), _quantise(self.container.array(name)), strict=True):
                self.graph.constant(part, value)
        return blocks, scales


def _quantise(weight: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Round FP32 [rows, columns] to 8 bits: UINT8 [rows, columns / 32, 32] and FP32 scales [rows * columns / 32]."""
    import numpy as np

    blocks = weight.reshape(len(weight), -1, BLOCK)
    scales = np.abs(blocks).max(-1, keepdims=True) / np.float32(127)
    # A block of zeros has scale 0: any divisor gives its zeros.
    whole = np.rint(blocks / np.where(scales == 0, np.float32(1), scales)) + 128
    return whole.astype(np.uint8), scales.reshape(-1)
