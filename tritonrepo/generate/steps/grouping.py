"""Texts of like length share a call of an ONNX model, so that less padding is computed.

On a CPU, a token of padding costs as much as any other, and a call costs about as much as a number of tokens:
`call_tokens` of settings.json, whose `kind` says where the model runs. On a GPU, a further call is dearer than padding.
`instances` are those of the model, if it has more than one: calls run at the same time on them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

GPUS = "/dev/nvidiactl", "/dev/dxg"
"""What a machine or a container with a GPU of NVIDIA has (nvidia-container-toolkit mounts both), the latter on WSL."""

FEWEST = 1 << 40
"""The tokens that a call is worth if calls are to be as few as possible."""


def call_tokens(settings: dict[str, Any]) -> int:
    """Return how many tokens a call is worth; `auto` means a GPU if the server has one."""
    gpu = settings.get("kind") == "auto" and any(map(os.path.exists, GPUS))
    return FEWEST if gpu else int(settings.get("call_tokens", FEWEST))


def groups(lengths: NDArray[Any], cost: int, most: Callable[[int], int]) -> list[NDArray[Any]]:
    """Return the places of the texts of each call, so that tokens, with padding, and calls together cost least.

    `cost` is how many tokens a call is worth, and `most` says how many texts of a length a call can have. The texts of
    a call stand in its group by length, but in their own order if a single call is enough.
    """
    order = np.argsort(lengths, kind="stable")
    costs, begins = np.zeros(len(order) + 1, np.int64), [0]
    for end, longest in enumerate(lengths[order].tolist(), 1):
        first = max(0, end - max(1, most(longest)))
        options = costs[first:end] + np.arange(end - first, 0, -1) * longest
        best = int(options.argmin())
        costs[end] = options[best] + cost
        begins.append(first + best)
    found, end = [], len(order)
    while end:
        found.append(order[begins[end] : end])
        end = begins[end]
    return found[::-1] if len(found) > 1 else [np.arange(len(order))]


def called(call: Callable[[NDArray[Any]], NDArray[Any]], parts: list[NDArray[Any]], at_once: int) -> list[NDArray[Any]]:
    """Return what a call returns for each of these groups; so many of them run at a time.

    The group of the longest texts, which is the last one and takes longest, begins first.
    """
    if at_once == 1 or len(parts) == 1:
        return [call(part) for part in parts]
    with ThreadPoolExecutor(at_once) as pool:
        return [*pool.map(call, parts[::-1])][::-1]
