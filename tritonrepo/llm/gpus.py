"""GPUs: capability, the memory that drivers report, its bandwidth, and what vLLM does with it; data/gpus.json."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from tritonrepo.packaged import facts

BFLOAT16 = "8.0"
"""The compute capability that bfloat16 needs, the type of most models. Source: vllm, worker.py, of 0.5.5."""

GIB = 1 << 30
UNITS = {"gib": GIB, "mib": 1 << 20, "gb": 10**9, "mb": 10**6}
SIZE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?) ?(gib|mib|gb|mb)", re.IGNORECASE)
WORD = re.compile(r"[a-z0-9]+")
BESIDE = re.compile(r"nvidia|geforce|tesla|quadro|pcie|sxm[0-9]?|hbm[0-9]e?")
"""Words in a driver's name of a GPU that tell neither its compute capability nor its memory."""

KIND = re.compile(r"([0-9]{1,3})gb|nvl")
"""Words that tell which of several GPUs of one name it is, whose memory differs."""


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
    """A GPU: its compute capability, the number of GB in its name, and the bytes that its driver reports.

    These are the lowest and the highest that were seen; 0 and None if its memory is not known. `linked` means that
    several of them can have NVLink. `bandwidth` is that of its memory in bytes per second by its data sheet, of several
    kinds the highest; None if it is not known.
    """

    name: str
    capability: str
    sold: int = 0
    reported: Range | None = None
    linked: bool = False
    bandwidth: float | None = None

    @property
    def memory(self) -> int | None:
        """The bytes that stand for its memory, see `reported`."""
        return None if self.reported is None else int(self.reported.high)

    def below(self, capability: str) -> bool:
        """Return whether it is older than GPUs of this compute capability."""
        return version(self.capability) < version(capability)


@cache
def gpus() -> Mapping[str, Gpu]:
    """Return the known GPUs by name."""
    return {each["name"]: _gpu(each) for each in facts("gpus")["gpus"]}


def _gpu(facts: Mapping[str, Any]) -> Gpu:
    seen = Range(*facts["gib"]).times(GIB) if "gib" in facts else None
    bandwidth = facts["gb_per_s"] * 1e9 if "gb_per_s" in facts else None
    return Gpu(facts["name"], facts["capability"], facts.get("sold", 0), seen, "linked" in facts, bandwidth)


def gpu(name: str) -> Gpu | None:
    """Return the GPU of a name such as `A100-80GB` or `NVIDIA GeForce RTX 4090`; None if it is not known.

    Its memory and bandwidth are left out if the name says another one, or does not say which of several it is.
    """
    known = {"".join(_words(each.name)): each for each in gpus().values()}
    words = _words(name[:99])
    if (found := known.get("".join(words))) is not None:
        return found
    found = known.get("".join(word for word in words if not KIND.fullmatch(word)))
    told = [match[1] for word in words if (match := KIND.fullmatch(word))]
    if found is None or told == [str(found.sold)]:
        return found
    return found._replace(sold=0, reported=None, bandwidth=None)


def _words(name: str) -> list[str]:
    return [word for word in WORD.findall(name.lower()) if not BESIDE.fullmatch(word)]


def gpu_memory(text: str) -> int | None:
    """Return the bytes of a size such as 80GiB; None if it is none, or no memory."""
    size = SIZE.fullmatch(text.strip())
    return int(float(size[1]) * UNITS[size[2].lower()]) or None if size else None


def reported(memory: int) -> tuple[Range, str]:
    """Return the bytes that the driver of a GPU with this memory reports, and of which GPUs; "" if it is not known.

    80 GiB or GB are what people write of a GPU whose driver reports 79.2 GiB: the range then begins with the lowest of
    these. It ends with what they wrote, or with the highest if that is more.
    """
    known = {each.name: (each.sold, each.reported) for each in gpus().values() if each.reported is not None}
    for name, (_, seen) in known.items():
        if int(seen.high) == memory:
            return seen, name
    sold = {name: seen for name, (gb, seen) in known.items() if memory in (gb * GIB, gb * UNITS["gb"])}
    if not sold:
        return Range(memory, memory), ""
    high = max(memory, *(seen.high for seen in sold.values()))
    return Range(min(seen.low for seen in sold.values()), high), ", ".join(sold)


@cache
def linked(memory: float) -> bool:
    """Return whether several GPUs with these bytes can have NVLink; larger ones that are not known count as such."""
    known = [(each.linked, *each.reported, each.sold * GIB) for each in gpus().values() if each.reported is not None]
    fitting = [link for link, low, high, sold in known if low <= memory <= max(high, sold)]
    return any(fitting) or (not fitting and memory > min(low for link, low, *_ in known if link))


@cache
def behaviour(fact: str, vllm: str) -> Any:  # noqa: ANN401  a fact has its own type
    """Return what this version of vLLM does; see data/gpus.json for the facts."""
    since = facts("gpus")["vllm"][fact]["since"]
    before = [name for name in since if version(name) <= version(vllm)]
    return since[max(before or since, key=version)] if before else since[min(since, key=version)]


def version(text: str) -> tuple[int, ...]:
    """Return the numbers of a version, so that 0.10 comes after 0.9; what follows them is left out."""
    found = re.match(r"[0-9]+(?:\.[0-9]+)*", text[:40])
    return tuple(map(int, found[0].split("."))) if found else ()
