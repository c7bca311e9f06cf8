"""The metadata and tensors of a GGUF file → the sizes of a Llama decoder; anything else is rejected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from tritonrepo.diagnostics import Stop, fatal
from tritonrepo.export.container import Container

BLOCK = 32
"""Weights that share a scale; rows are quantised in such blocks, so every width must be a multiple."""

HEAD = 16
"""A head's values are rotated in such blocks (onnxruntime, contrib_ops/cpu/bert/group_query_attention_helper.h)."""

EMBEDDING, OUTPUT = "token_embd.weight", "output.weight"
LAYER = ("attn_norm", "attn_q", "attn_k", "attn_v", "attn_output", "ffn_norm", "ffn_gate", "ffn_up", "ffn_down")

KNOWN = {
    "block_count",
    "context_length",
    "embedding_length",
    "feed_forward_length",
    "vocab_size",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.layer_norm_rms_epsilon",
    "attention.key_length",
    "attention.value_length",
    "rope.freq_base",
    "rope.dimension_count",
}
NEUTRAL: Mapping[str, object] = {"rope.scaling.type": "none", "expert_count": 0, "expert_used_count": 0}
"""Keys of the architecture, with the one value that leaves the arithmetic as it is; keys in neither are rejected."""


class Sizes(NamedTuple):
    """The numbers of a decoder; `base` is the rotary positions' frequency base."""

    layers: int
    hidden: int
    between: int
    heads: int
    shared: int
    head: int
    vocabulary: int
    context: int
    epsilon: float
    base: float


def sizes_of(container: Container) -> Sizes:
    """Read the sizes; raise Stop if the file is not a Llama or needs something that the graph does not compute."""
    architecture = container.text("general.architecture")
    if architecture != "llama":
        raise _refused(container, f"general.architecture is {architecture!r}, but only llama can be exported")
    for key, value in container.metadata.items():
        name = key.removeprefix("llama.")
        if name != key and name not in KNOWN and (name not in NEUTRAL or value != NEUTRAL[name]):
            raise _refused(container, f"{key} is {value!r:.40}, which the exported decoder does not compute")
    heads, hidden = container.whole("llama.attention.head_count"), container.whole("llama.embedding_length")
    sizes = Sizes(
        layers=container.whole("llama.block_count"),
        hidden=hidden,
        between=container.whole("llama.feed_forward_length"),
        heads=heads,
        shared=container.whole("llama.attention.head_count_kv", heads),
        head=hidden // max(heads, 1),
        vocabulary=len(container.texts("tokenizer.ggml.tokens")),
        context=container.whole("llama.context_length"),
        epsilon=container.number("llama.attention.layer_norm_rms_epsilon"),
        base=container.number("llama.rope.freq_base", 10000.0),
    )
    for message in _misfits(container, sizes):
        raise _refused(container, message)
    return sizes


def _misfits(container: Container, sizes: Sizes) -> Iterator[str]:
    """Yield what does not match: first among the sizes, then between them and the tensors."""
    if min(sizes[:8]) < 1 or sizes.hidden % sizes.heads or sizes.heads % sizes.shared:
        yield f"{sizes.hidden} values cannot be split evenly into {sizes.heads} heads over {sizes.shared} key heads"
    if sizes.head % HEAD:
        yield f"the size of a head must be a multiple of {HEAD}, not {sizes.head}"
    if sizes.hidden % BLOCK or sizes.between % BLOCK:
        yield f"embedding_length {sizes.hidden} and feed_forward_length {sizes.between} must be multiples of {BLOCK}"
    for key in ("attention.key_length", "attention.value_length", "rope.dimension_count"):
        if container.whole(f"llama.{key}", sizes.head) != sizes.head:
            yield f"llama.{key} must be {sizes.head}, not {container.whole(f'llama.{key}')}"
    untied = {OUTPUT: (sizes.vocabulary, sizes.hidden)} if OUTPUT in container.tensors else {}
    yield from _mistensors(container, shapes(sizes) | untied)


def _mistensors(container: Container, needed: Mapping[str, tuple[int, ...]]) -> Iterator[str]:
    for name, shape in needed.items():
        if name not in container.tensors:
            yield f"tensor {name} is missing"
        elif container.tensors[name].shape != shape:
            yield f"tensor {name} has shape {list(container.tensors[name].shape)}, not {list(shape)}"
    for name in sorted(container.tensors.keys() - needed.keys()):
        yield f"unexpected tensor {name}, which the exported decoder does not read"


def shapes(sizes: Sizes) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor that the graph needs; OUTPUT is added if the logits are not tied."""
    hidden, keys, between = sizes.hidden, sizes.shared * sizes.head, sizes.between
    norm, square, key = (hidden,), (hidden, hidden), (keys, hidden)
    up, down = (between, hidden), (hidden, between)
    layer = dict(zip(LAYER, (norm, square, key, key, square, norm, up, up, down), strict=True))
    return {
        EMBEDDING: (sizes.vocabulary, hidden),
        **{f"blk.{n}.{name}.weight": shape for n in range(sizes.layers) for name, shape in layer.items()},
        "output_norm.weight": norm,
    }


def _refused(container: Container, message: str) -> Stop:
    return fatal("export-decoder", str(container.path), message, "Use another GGUF file.")
