"""How many bytes of weights each stage of an engine loads onto one GPU."""

from __future__ import annotations

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
    "fp8": Range(8, 8.1),
    "fbgemm_fp8": Range(8, 8.1),
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

Sources: vLLM, model_executor/layers/quantization; bitsandbytes, NF4 has a scale of 32 bits for 64 parameters, or one of
8 bits if it is quantized itself, and leaves some layers alone in common checkpoints.
"""


class Stage(NamedTuple):
    """One stage of a pipeline: its layers, the bytes of its weights on one GPU, and whether it samples."""

    layers: int
    weights: Range
    samples: bool


def bits(model: LanguageModel, method: str = "") -> Range:
    """Return the bits of a parameter in a linear layer; `method` is that of the engine's arguments, "" if none."""
    found = model.quantization
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
    return METHODS.get(name, Range(2, 16))


def _compressed(found: Mapping[str, Any]) -> float:
    groups = found.get("config_groups")
    for group in groups.values() if isinstance(groups, dict) else ():
        weights = group.get("weights") if isinstance(group, dict) else None
        size = weights.get("num_bits") if isinstance(weights, dict) else None
        if type(size) is int and 1 < size <= 16:  # noqa: PLR2004
            return float(size)
    return 0.0


def stages(model: LanguageModel, split: tuple[int, int], method: str = "", whole: float = SIXTEEN) -> Iterator[Stage]:
    """Yield the stages that can have the smallest cache: the first, one in the middle, and the last.

    `split` are the GPUs that share a layer and the stages, `whole` the bytes of a parameter that is not quantized. The
    number of parameters must be known. Source: vLLM, distributed/utils.py, get_pp_indices: layers that remain go to all
    stages but the last.
    """
    tensor, pipeline = split[0], max(1, min(split[1], model.layers))
    table = model.vocabulary * model.hidden
    linear = max(0, (model.parameters or 0) - table * (1 if model.tied else 2))
    share = bits(model, method).times(whole / SIXTEEN / 8)
    least, rest = divmod(model.layers, pipeline)
    for number in sorted({0, pipeline // 2, pipeline - 1}):
        last = number == pipeline - 1
        layers = least + (1 if rest and not last else 0)
        tables = (number == 0) + (last and not (model.tied and pipeline == 1))
        weights = share.times(linear * layers / model.layers).plus(Range(1, 1).times(whole * table * tables))
        yield Stage(layers, weights.times(1 / tensor), last)
