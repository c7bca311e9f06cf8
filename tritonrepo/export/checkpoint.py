"""The safetensors files of a decoder, one or several shards, read tensor by tensor under the names of GGUF.

`weights.safetensors` reads whole files, which is too much for a language model of several gigabytes.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tritonrepo.diagnostics import Stop, fatal

if TYPE_CHECKING:
    from numpy.typing import NDArray

KINDS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
"""The types of weights that are not quantized (safetensors, src/tensor.rs, Dtype), and NumPy's."""

HEADER_BYTES = 100_000_000
"""Maximum bytes of a header (safetensors, src/tensor.rs, MAX_HEADER_SIZE)."""

OUTER = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
}
INNER = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
"""Names of modules in transformers (models/llama/modeling_llama.py) and of the same tensors in GGUF."""

LAYER = re.compile(r"model\.layers\.(\d+)\.(.+)")
COMPUTED = re.compile(r".*\.rotary_emb\.inv_freq")
"""What older versions of transformers saved, although it follows from the config."""


class Place(NamedTuple):
    """A tensor's dims in row-major order, its type, its file, and its first byte there."""

    shape: tuple[int, ...]
    kind: str
    file: Path
    start: int


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The header of the files; `path` is named in messages."""

    path: Path
    tensors: Mapping[str, Place]

    def array(self, name: str) -> NDArray[Any]:
        """Return a tensor's values as FP32; raise Stop if they cannot be read."""
        import numpy as np

        place = self.tensors[name]
        try:
            data = np.memmap(place.file, KINDS[place.kind], "r", place.start, place.shape)
        except (OSError, ValueError) as error:
            raise _broken(place.file, f"tensor {name} cannot be read: {error}") from error
        if place.kind == "BF16":  # the upper half of an FP32
            return (data.astype(np.uint32) << 16).view(np.float32)
        return np.array(data, np.float32)


def checkpoint(paths: Sequence[Path], *, tied: bool) -> Checkpoint:
    """Return the tensors of all files; raise Stop if a file is damaged, or has quantized or unknown weights.

    Where embeddings and logits are `tied`, a weight of the logits is left out, as transformers does.
    """
    found: dict[str, Place] = {}
    for path in paths:
        for name, place in _places(path).items():
            known = _renamed(name)
            if not COMPUTED.fullmatch(name) and not (tied and known == "output.weight"):
                found[known] = place
    return Checkpoint(paths[0] if len(paths) == 1 else paths[0].parent, found)


def _renamed(name: str) -> str:
    """Return GGUF's name of a tensor; an unknown name stays as it is, and is reported as such."""
    module, _, kind = name.rpartition(".")
    if module in OUTER:
        return f"{OUTER[module]}.{kind}"
    inside = LAYER.fullmatch(module)
    if inside is None or inside[2] not in INNER:
        return name
    return f"blk.{int(inside[1])}.{INNER[inside[2]]}.{kind}"


def _places(path: Path) -> dict[str, Place]:
    """Return the tensors of one file (safetensors, README.md, Format)."""
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            size = path.stat().st_size
            if not 0 < length <= min(HEADER_BYTES, size - 8):
                raise _broken(path, f"the safetensors file is damaged or incomplete: it has only {size:,} bytes")
            header = json.loads(stream.read(length))
    except OSError as error:
        message = f"the weights cannot be read: {error.strerror}"
        raise fatal("weights-unreadable", str(path), message, "Check the path.") from error
    except (ValueError, RecursionError) as error:
        raise _broken(path, f"the safetensors file is damaged or incomplete: {error}") from error
    if not isinstance(header, dict):
        raise _broken(path, "the safetensors file is damaged or incomplete: its header is not a JSON object")
    header.pop("__metadata__", None)
    return {name: _place(path, name, said, (8 + length, size)) for name, said in header.items()}


def _place(path: Path, name: str, said: Mapping[str, Any], data: tuple[int, int]) -> Place:
    try:
        kind, shape, (start, end) = said["dtype"], tuple(map(int, said["shape"])), map(int, said["data_offsets"])
    except (TypeError, KeyError, ValueError, OverflowError) as error:
        raise _broken(path, f'the header says no type, shape and place of tensor "{name}": {error!r}') from error
    if kind not in KINDS:
        message = f'tensor "{name}" has type {kind}, but only these types are supported: {", ".join(KINDS)}'
        raise fatal("weights-type-unknown", str(path), message, "Use weights that are not quantized.")
    width = 8 if kind == "F64" else 4 if kind == "F32" else 2
    if start < 0 or min(shape, default=0) < 0 or data[0] + end > data[1] or end - start != width * math.prod(shape):
        raise _broken(path, f'tensor "{name}" of shape {list(shape)} does not fit in the file')
    return Place(shape, kind, path, data[0] + start)


def _broken(path: Path, message: str) -> Stop:
    return fatal("weights-unreadable", str(path), message, "Download the file again, and check its size and SHA-256.")
