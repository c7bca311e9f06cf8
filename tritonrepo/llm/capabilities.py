"""GPUs with their compute capability, which decides what runs on them: data/gpu_capabilities.json."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import NamedTuple

WORD = re.compile(r"[a-z0-9]+")
BESIDE = re.compile(r"nvidia|geforce|tesla|quadro|[0-9]{1,3}gb|pcie|sxm[0-9]?|hbm[0-9]e?|nvl")
"""Words in a driver's name of a GPU that do not tell its compute capability."""


class Gpu(NamedTuple):
    """A model of GPU and its compute capability."""

    name: str
    capability: str

    def below(self, capability: str) -> bool:
        """Return whether it is older than GPUs of this compute capability."""
        return _numbers(self.capability) < _numbers(capability)


def _numbers(capability: str) -> tuple[int, ...]:
    return tuple(map(int, capability.split(".")))


@cache
def gpus() -> Mapping[str, Gpu]:
    """Return the known GPUs by the plain form of their name."""
    text = resources.files("tritonrepo").joinpath("data/gpu_capabilities.json").read_text("utf-8")
    return {_plain(name): Gpu(name, capability) for name, capability in json.loads(text)["gpus"].items()}


def gpu(name: str) -> Gpu | None:
    """Return the GPU of a name such as `A100-80GB` or `NVIDIA GeForce RTX 4090`; None if it is not known."""
    return gpus().get(_plain(name))


def _plain(name: str) -> str:
    return "".join(word for word in WORD.findall(name[:99].lower()) if not BESIDE.fullmatch(word))
