"""The sizes of a decoder of the Llama family, and the shapes of its tensors, under the names of GGUF.

Llama, Mistral, Qwen2 and Qwen3 have the same blocks. Qwen2 adds a bias to queries, keys and values, and Qwen3 a norm of
each head's queries and keys (transformers, models/*/modeling_*.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK = 32
"""Weights that share a scale; rows are quantized in such blocks, so every width must be a multiple."""

HEAD = 16
"""A head's values are rotated in such blocks (onnxruntime, contrib_ops/cpu/bert/group_query_attention_helper.h)."""

EMBEDDING, OUTPUT, LAST_NORM = "token_embd.weight", "output.weight", "output_norm.weight"
LAYER = ("attn_norm", "attn_q", "attn_k", "attn_v", "attn_output", "ffn_norm", "ffn_gate", "ffn_up", "ffn_down")
HEAD_NORMS = ("attn_q_norm", "attn_k_norm")
ARCHITECTURES = ("llama", "mistral", "qwen2", "qwen3")
BIASED = {"qwen2": frozenset({"attn_q", "attn_k", "attn_v"})}
"""The parts of a layer that always have a bias, by architecture."""

HEAD_NORMED = frozenset({"qwen3"})
"""The architectures with a norm of each head's queries and keys."""

STAND_IN = "Use a Llama, Mistral, Qwen2 or Qwen3 model, or `--llm-engine script`, which echoes the prompt."


class Sizes(NamedTuple):
    """The numbers of a decoder.

    `frequencies` are angles per position of each rotated pair. A pair's values are adjacent if `interleaved`, and half
    a head apart otherwise. `windows` are how many tokens each layer reads back, itself included; 0 is all of them.
    """

    layers: int
    hidden: int
    between: int
    heads: int
    shared: int
    head: int
    vocabulary: int
    context: int
    epsilon: float
    frequencies: tuple[float, ...]
    interleaved: bool
    tied: bool
    biased: frozenset[str] = frozenset()
    head_normed: bool = False
    windows: tuple[int, ...] = ()


class Shaped(Protocol):
    """Where a tensor is; its dims are in row-major order."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the dims."""


class Weights(Protocol):
    """The tensors of a model under the names of GGUF, each read when it is asked for."""

    @property
    def path(self) -> Path:
        """Return the file or directory, for messages."""

    @property
    def tensors(self) -> Mapping[str, Shaped]:
        """Return where each tensor is."""

    def array(self, name: str) -> NDArray[Any]:
        """Return a tensor's values as FP32."""


MOST = {"layers": 10_000, "values in a head": 4096}
MOST_POSITIONS = 1 << 27
"""The limits of what is made of mere numbers: a config of a few bytes must not fill the memory. The last one is that of
the context times the size of a head, whose cosines and sines take 4 bytes each."""


def excess(layers: int, head: int, context: float) -> str | None:
    """Return what is wrong with sizes that no model has; None if nothing is."""
    for (name, most), value in zip(MOST.items(), (layers, head), strict=True):
        if value > most:
            return f"the model has {value:,} {name}, but at most {most:,} can be exported"
    if not context * head <= MOST_POSITIONS:
        return f"the context has {context:,.0f} tokens, but at most {MOST_POSITIONS // head:,} can be exported"
    return None


def frequencies(base: float, head: int) -> tuple[float, ...]:
    """Return the angle per position of each pair of a head; raise OverflowError for a base that is too small."""
    # Python's power: the last bit of NumPy's differs from version to version, and so would the file.
    return tuple(base ** (-pair / head) for pair in range(0, head, 2))


def misfits(weights: Weights, sizes: Sizes, *read: str) -> Iterator[str]:
    """Yield what does not match: first among the sizes, then between them and the tensors; `read` are known others."""
    if min(sizes[:8]) < 1 or sizes.heads % sizes.shared:
        yield f"{sizes.hidden} values cannot be split evenly into {sizes.heads} heads over {sizes.shared} key heads"
        return
    if sizes.head % HEAD:
        yield f"the size of a head must be a multiple of {HEAD}, not {sizes.head}"
    if sizes.hidden % BLOCK or sizes.between % BLOCK or sizes.heads * sizes.head % BLOCK:
        joined = sizes.heads * sizes.head
        yield (
            f"the widths of the hidden layer ({sizes.hidden}), the feed-forward layer ({sizes.between}) and all heads "
            f"({joined}) must be multiples of {BLOCK}"
        )
    needed = shapes(sizes)
    yield from _mistensors(weights, needed)
    for name in sorted(weights.tensors.keys() - needed.keys() - {*read}):
        yield f"unexpected tensor {name}, which the exported decoder does not read"


def _mistensors(weights: Weights, needed: Mapping[str, tuple[int, ...]]) -> Iterator[str]:
    for name, shape in needed.items():
        if name not in weights.tensors:
            yield f"tensor {name} is missing"
        elif weights.tensors[name].shape != shape:
            yield f"tensor {name} has shape {list(weights.tensors[name].shape)}, not {list(shape)}"


def shapes(sizes: Sizes) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor that the graph needs."""
    hidden, keys, joined, between = sizes.hidden, sizes.shared * sizes.head, sizes.heads * sizes.head, sizes.between
    norm, key, up = (hidden,), (keys, hidden), (between, hidden)
    inner = (norm, (joined, hidden), key, key, (hidden, joined), norm, up, up, (hidden, between))
    layer = {f"{name}.weight": shape for name, shape in zip(LAYER, inner, strict=True)}
    layer |= {f"{name}.bias": layer[f"{name}.weight"][:1] for name in LAYER if name in sizes.biased}
    layer |= {f"{name}.weight": (sizes.head,) for name in HEAD_NORMS if sizes.head_normed}
    return {
        EMBEDDING: (sizes.vocabulary, hidden),
        **{f"blk.{n}.{name}": shape for n in range(sizes.layers) for name, shape in layer.items()},
        LAST_NORM: norm,
        **({} if sizes.tied else {OUTPUT: (sizes.vocabulary, hidden)}),
    }
