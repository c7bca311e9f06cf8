"""What would make an engine fit, or hold more sequences: each change computed, not guessed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from tritonrepo.llm.config import divides
from tritonrepo.llm.facts import LanguageModel
from tritonrepo.llm.gpus import Range
from tritonrepo.llm.memory import BLOCK, Settings, Share, share

QUANTIZED = {8: "8-bit weights, such as INT8 or FP8", 4: "4-bit weights, such as AWQ or GPTQ"}
MOST_GPUS = 16


class Option(NamedTuple):
    """A change, and what a GPU then holds."""

    change: str
    share: Share


def options(model: LanguageModel, settings: Settings, total: Range) -> Iterator[Option]:
    """Yield the changes with which a sequence of max_model_len fits even in the smallest cache, the smallest first."""
    if (shorter := _shorter(model, settings, total)) is not None:
        yield shorter
    for bits, change in QUANTIZED.items() if not model.quantization and not settings.quantization else ():
        weights = {"quant_method": "compressed-tensors", "config_groups": {"": {"weights": {"num_bits": bits}}}}
        yield from _fitting(change, share(replace(model, quantization=weights), settings, total))
    if (wider := more_gpus(model, settings, total)) is not None:
        yield wider


def more_gpus(model: LanguageModel, settings: Settings, total: Range) -> Option | None:
    """Return the smallest larger tensor_parallel_size that is enough and can divide the model."""
    tensor = settings.tensor * 2
    while tensor <= MOST_GPUS and divides(model, tensor):
        found = share(model, replace(settings, tensor=tensor), total)
        if _fits(found):
            return Option(f"tensor_parallel_size {tensor}", found)
        tensor *= 2
    return None


def _shorter(model: LanguageModel, settings: Settings, total: Range) -> Option | None:
    """Return the longest max_model_len that fits even in the smallest cache, if that is shorter than what is set."""
    now = share(model, settings, total)
    longest = int(now.tokens.low)
    if longest < BLOCK or longest >= settings.max_model_len:
        return None
    return Option(f"max_model_len {longest}", replace(now, max_model_len=longest))


def _fitting(change: str, found: Share) -> Iterator[Option]:
    if _fits(found):
        yield Option(change, found)


def _fits(found: Share) -> bool:
    return found.tokens.low >= max(BLOCK, found.max_model_len)
