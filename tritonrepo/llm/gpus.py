"""GPUs with the memory that their driver reports, and what vLLM does with it, by its version: data/gpus.json."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

GIB = 1 << 30
UNITS = {"gib": GIB, "mib": 1 << 20, "gb": 10**9, "mb": 10**6}
SIZE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?) ?(gib|mib|gb|mb)", re.IGNORECASE)
NOT_IN_A_NAME = re.compile(r"[^a-z0-9]+")


class Range(NamedTuple):
    """A number that is known within two bounds."""

    low: float
    high: float

    @property
    def middle(self) -> float:
        """The middle of the bounds."""
        return (self.low + self.high) / 2

    def plus(self, other: Range) -> Range:
        """Return the sum of two numbers."""
        return Range(self.low + other.low, self.high + other.high)

    def less(self, other: Range) -> Range:
        """Return the difference of two numbers."""
        return Range(self.low - other.high, self.high - other.low)

    def times(self, factor: float) -> Range:
        """Return the number times a factor that is not negative."""
        return Range(self.low * factor, self.high * factor)


class Gpu(NamedTuple):
    """A GPU: the number of GB in its name, and the bytes that its driver reports, lowest and highest seen."""

    name: str
    sold: int
    reported: Range


@cache
def _data() -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(resources.files("tritonrepo").joinpath("data/gpus.json").read_text("utf-8"))
    return found


@cache
def gpus() -> Mapping[str, Gpu]:
    """Return the known GPUs by name."""
    found = (Gpu(each["name"], each["sold"], Range(*each["gib"]).times(GIB)) for each in _data()["gpus"])
    return {gpu.name: gpu for gpu in found}


def gpu_memory(text: str) -> int | None:
    """Return the bytes of a size such as 80GiB or of a GPU such as L4; None if it is neither, or no memory."""
    text = text.strip()
    if size := SIZE.fullmatch(text):
        return int(float(size[1]) * UNITS[size[2].lower()]) or None
    wanted = NOT_IN_A_NAME.sub("", text.lower()).removeprefix("nvidia")
    named = [gpu for gpu in gpus().values() if NOT_IN_A_NAME.sub("", gpu.name.lower()) == wanted]
    return int(named[0].reported.high) if named else None


def reported(memory: int) -> tuple[Range, str]:
    """Return the bytes that the driver of a GPU with this memory reports, and of which GPUs; "" if it is not known.

    80 GiB or GB are what people write of a GPU whose driver reports 79.2 GiB: the range then begins with the lowest of
    these. It ends with what they wrote, or with the highest if that is more.
    """
    for gpu in gpus().values():
        if int(gpu.reported.high) == memory:
            return gpu.reported, gpu.name
    sold = [gpu for gpu in gpus().values() if memory in (gpu.sold * GIB, gpu.sold * UNITS["gb"])]
    if not sold:
        return Range(memory, memory), ""
    high = max(memory, *(gpu.reported.high for gpu in sold))
    return Range(min(gpu.reported.low for gpu in sold), high), ", ".join(gpu.name for gpu in sold)


@cache
def behaviour(fact: str, vllm: str) -> Any:  # noqa: ANN401  a fact has its own type
    """Return what this version of vLLM does; see data/gpus.json for the facts."""
    since = _data()["vllm"][fact]["since"]
    before = [name for name in since if version(name) <= version(vllm)]
    return since[max(before or since, key=version)] if before else since[min(since, key=version)]


def version(text: str) -> tuple[int, ...]:
    """Return the numbers of a version, so that 0.10 comes after 0.9; what follows them is left out."""
    found = re.match(r"[0-9]+(?:\.[0-9]+)*", text[:40])
    return tuple(map(int, found[0].split("."))) if found else ()
