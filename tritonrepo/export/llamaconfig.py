"""The metadata and tensors of a GGUF file → the sizes of a decoder of the Llama family; anything else is rejected."""

from __future__ import annotations

from collections.abc import Mapping

from tritonrepo.diagnostics import Stop, fatal
from tritonrepo.export.container import Container
from tritonrepo.export.sizes import BIASED, HEAD_NORMED, LAYER, OUTPUT, STAND_IN, Sizes, excess, frequencies, misfits

FAMILY = ("llama", "qwen2", "qwen3")
"""The architectures by GGUF's names; Mistral's is llama (llama.cpp, convert_hf_to_gguf.py, MistralForCausalLM)."""

FACTORS = "rope_freqs.weight"
"""Divisors of the frequencies, with which GGUF tells the scaled positions of Llama 3 (llama.cpp, llama-graph.cpp)."""

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


def sizes_of(container: Container) -> Sizes:
    """Read the sizes; raise Stop if the file is of another family or needs what the graph does not compute."""
    family = container.text("general.architecture")
    if family not in FAMILY:
        known = f"{', '.join(FAMILY[:-1])} and {FAMILY[-1]}"
        raise _refused(container, f"general.architecture is {family!r}, but only {known} can be exported")
    for key, value in container.metadata.items():
        name = key.removeprefix(f"{family}.")
        if name != key and name not in KNOWN and (name not in NEUTRAL or value != NEUTRAL[name]):
            raise _refused(container, f"{key} is {value!r:.40}, which the exported decoder does not compute")
    sizes = _sizes(container, family)
    for message in misfits(container, sizes, FACTORS):
        raise _refused(container, message)
    return sizes


def _sizes(container: Container, family: str) -> Sizes:
    heads, hidden = container.whole(f"{family}.attention.head_count"), container.whole(f"{family}.embedding_length")
    if not heads or (f"{family}.attention.key_length" not in container.metadata and hidden % heads):
        raise _refused(container, f"{hidden} values cannot be split evenly into {heads} heads")
    head = container.whole(f"{family}.attention.key_length", hidden // heads)
    for key in ("attention.value_length", "rope.dimension_count"):
        if container.whole(f"{family}.{key}", head) != head:
            found = container.whole(f"{family}.{key}")
            raise _refused(container, f"{family}.{key} must be {head}, not {found}")
    layers, context = container.whole(f"{family}.block_count"), container.whole(f"{family}.context_length")
    if message := excess(layers, head, context):
        raise _refused(container, message)
    biased = {name for name in LAYER if f"blk.0.{name}.bias" in container.tensors} | BIASED.get(family, frozenset())
    return Sizes(
        layers=layers,
        hidden=hidden,
        between=container.whole(f"{family}.feed_forward_length"),
        heads=heads,
        shared=container.whole(f"{family}.attention.head_count_kv", heads),
        head=head,
        vocabulary=len(container.texts("tokenizer.ggml.tokens")),
        context=context,
        epsilon=container.number(f"{family}.attention.layer_norm_rms_epsilon"),
        frequencies=_frequencies(container, container.number(f"{family}.rope.freq_base", 10000.0), head),
        # llama.cpp permutes the query and key rows of a llama so that a rotated pair is adjacent, and only of a llama
        # (convert_hf_to_gguf.py, LlamaModel.permute; src/llama-model.cpp, llama_model_rope_type).
        interleaved=family == "llama",
        tied=OUTPUT not in container.tensors,
        biased=frozenset(biased),
        head_normed=family in HEAD_NORMED,
    )


def _frequencies(container: Container, base: float, head: int) -> tuple[float, ...]:
    try:
        found = frequencies(base, head)
    except OverflowError:
        raise _refused(container, f"the base of the rotary positions is {base:g}, which is too small") from None
    if FACTORS not in container.tensors:
        return found
    factors = container.array(FACTORS)
    if factors.shape != (len(found),) or not (factors > 0).all():
        raise _refused(container, f"tensor {FACTORS} must have {len(found)} numbers above 0")
    return tuple(each / float(factor) for each, factor in zip(found, factors, strict=True))


def _refused(container: Container, message: str) -> Stop:
    return fatal("export-decoder", str(container.path), message, STAND_IN)
