"""How many bytes of weights each stage of an engine loads onto one GPU."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tritonrepo.llm.facts import LanguageModel
from tritonrepo.llm.gpus import Range

SIXTEEN, THIRTY_TWO = 2.0, 4.0
"""Bytes of a parameter: in 16 bits also those of the embeddings and the output layer of a quantized model.

vLLM loads a model in 16 bits even if its files have 32, unless dtype is float32 (config.py, _get_and_verify_dtype).
"""

SCALES = 20 / 128
"""Bits that the scale (16) and the zero point (4) of a group of 128 parameters add to each."""

METHODS = {
    "fp8": Range(8, 8.02),
    "fbgemm_fp8": Range(8, 8.02),
    "modelopt": Range(8, 8.1),
    "bitsandbytes": Range(4.127, 5.2),
    "mxfp4": Range(4.25, 4.3),
    "modelopt_fp4": Range(4.5, 4.6),
    "nvfp4": Range(4.5, 4.6),
    "awq": Range(4 + SCALES, 4.3),
    "awq_marlin": Range(4 + SCALES, 4.3),
    "gptq": Range(4 + SCALES, 4.3),
    "gptq_marlin": Range(4 + SCALES, 4.3),
}
"""Bits of a parameter in a linear layer by the method of quantization.

Sources: vLLM, model_executor/layers/quantization: FP8 has a scale of 32 bits for a row or for a block of 128 x 128, and
16 bits for what is no linear layer of a decoder, such as norms and routers; bitsandbytes: NF4 has a scale of 32 bits
for 64 parameters, or one of 8 bits if it is quantized itself, and leaves some layers alone in common checkpoints.
"""

EIGHT_BITS = Range(8, 9)
"""The same for bitsandbytes with load_in_8bit, whose rows have a scale of 32 bits."""

SPARED = ("modules_to_not_convert", "llm_int8_skip_modules", "ignored_layers", "ignore", "exclude_modules", "exclude")
"""Keys of quantization_config that list what is left in 16 bits. Source: vLLM, model_executor/layers/quantization."""

PROJECTION = re.compile(r"(?:.{0,64}\.)?layers\.[0-9]{1,4}\.(?:self_attn|mlp)\.([a-z]{1,9})_proj")
LINEAR = re.compile(r"proj|attn|mlp(?!\.gate$|\.shared_expert_gate$)|experts|layers\.[0-9]+$")
"""What is a linear layer of the decoder: one whose size is known, and whatever may be another."""


class Stage(NamedTuple):
    """One stage of a pipeline: its layers, the bytes of its weights on one GPU, and whether it samples."""

    layers: int
    weights: Range
    samples: bool


def bits(model: LanguageModel, method: str = "") -> Range:
    """Return the bits of a parameter in a linear layer; `method` is that of the engine's arguments, "" if none."""
    found = _bits(model.quantization, method)
    if found.high >= SIXTEEN * 8 or not (spared := _spared(model)):
        return found
    low, high = (min(1.0, part / max(1, _linear(model))) for part in spared)
    return Range(found.low + (SIXTEEN * 8 - found.low) * low, found.high + (SIXTEEN * 8 - found.high) * high)


def size(model: LanguageModel) -> int | None:
    """Return the bytes of the files of a model's weights; None if the number of its parameters is not known."""
    return int(model.parameters * bits(model).high / 8) if model.parameters else None


def _linear(model: LanguageModel) -> int:
    """Return the number of parameters but those of the embeddings and the output layer."""
    return max(0, (model.parameters or 0) - model.vocabulary * model.hidden * (1 if model.tied else 2))


def _spared(model: LanguageModel) -> Range | None:
    """Return how many parameters of linear layers a checkpoint leaves in 16 bits; None if it is none."""
    lists = [named for key in SPARED if isinstance(named := model.quantization.get(key), list)]
    names = [name for named in lists for name in named if isinstance(name, str) and LINEAR.search(name[:200])]
    queries, keys = model.hidden * model.heads * model.head_dim, model.hidden * model.kv_heads * model.head_dim
    wide = model.hidden * model.intermediate
    sizes = {"q": queries, "o": queries, "k": keys, "v": keys, "gate": wide, "up": wide, "down": wide}
    if not names:
        return None
    told = [match[1] for name in names if (match := PROJECTION.fullmatch(name[:200]))]
    if model.kv_lora_rank or model.experts or len(told) < len(names) or not {*told} <= sizes.keys():
        return Range(0, _linear(model))
    total = sum(sizes[name] for name in told)
    return Range(total, total)


def _bits(found: Mapping[str, Any], method: str) -> Range:
    name = str(found.get("quant_method", "") or method).lower()
    if not name or name == "none":
        return Range(SIXTEEN * 8, SIXTEEN * 8)
    written = found.get("bits", found.get("w_bit"))
    if name in {"gptq", "awq", "gptq_marlin", "awq_marlin", "auto-round"} and type(written) is int and 1 < written <= 8:  # noqa: PLR2004
        group = found.get("group_size")
        more = 20 / group if type(group) is int and group > 0 else SCALES
        return Range(written + more, written + more if group else written + 2 * SCALES)
    if name == "compressed-tensors" and (own := _compressed(found)):
        return Range(own, own + 2 * SCALES) if own < 8 else Range(own, own + 0.1)  # noqa: PLR2004  bits of a byte
    if name == "bitsandbytes" and found.get("load_in_8bit") is True:
        return EIGHT_BITS
    return METHODS.get(name, Range(2, 16))


def _compressed(found: Mapping[str, Any]) -> float:
    groups = found.get("config_groups")
    for group in groups.values() if isinstance(groups, dict) else ():
        weights = group.get("weights") if isinstance(group, dict) else None
        size = weights.get("num_bits") if isinstance(weights, dict) else None
        if type(size) is int and 1 < size <= 16:  # noqa: PLR2004
            return float(size)
    return 0.0


def stages(
    model: LanguageModel,
    split: tuple[int, int],
    method: str = "",
    whole: float = SIXTEEN,
    *,
    rest_last: bool = False,
) -> Iterator[Stage]:
    """Yield the stages that can have the smallest cache: the first, the one before the last, and the last.

    `split` are the GPUs that share a layer and the stages, `whole` the bytes of a parameter that is not quantized.
    Layers that remain go to the last stage if `rest_last`, else to those before it. The number of parameters must be
    known. Source: vLLM, distributed/utils.py, get_pp_indices.
    """
    tensor, pipeline = split[0], max(1, min(split[1], model.layers))
    table = model.vocabulary * model.hidden
    linear = _linear(model)
    found = bits(model, method)
    share = found.times((whole / SIXTEEN if found.low >= SIXTEEN * 8 else 1) / 8)
    least, rest = divmod(model.layers, pipeline)
    positions = 2.0 * model.context * (model.rope_head_dim or model.head_dim)
    for number in sorted({0, max(0, pipeline - 2), pipeline - 1}):
        last = number == pipeline - 1
        layers = least + (rest * last if rest_last else pipeline - 1 - rest <= number < pipeline - 1)
        tables = (number == 0) + (last and not (model.tied and pipeline == 1))
        weights = share.times(linear * layers / model.layers).plus(Range(1, 1).times(whole * table * tables))
        twice = share.times(_on_each(model, tensor) * layers)
        yield Stage(layers, weights.times(1 / tensor).plus(twice).plus(Range(0, positions)), last)


def _on_each(model: LanguageModel, tensor: int) -> float:
    """Return the parameters of a layer that a GPU has beyond its part, because they cannot be divided.

    They are the projections into the latent space, and keys and values of fewer heads than GPUs. Source: vLLM,
    model_executor/models/deepseek_v2.py (ReplicatedLinear); layers/linear.py, QKVParallelLinear.
    """
    if model.kv_lora_rank:
        whole = model.hidden * (model.q_lora_rank + model.kv_lora_rank + model.rope_head_dim)
        return whole * (1 - 1 / tensor)
    return 2 * model.hidden * model.head_dim * max(0.0, 1 - model.kv_heads / tensor)
