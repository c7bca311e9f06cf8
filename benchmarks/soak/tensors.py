"""Realistic inputs and outputs, sometimes odd ones, and the dice that decide it."""

from __future__ import annotations

import random
from typing import Any

from benchmarks.soak.drafts import Plain
from tritonrepo.pbtxt import Enum

TYPES = ("TYPE_FP32", "TYPE_FP32", "TYPE_INT64", "TYPE_INT32", "TYPE_STRING", "TYPE_BOOL", "TYPE_FP16", "TYPE_UINT8")
ODD_TYPES = ("TYPE_INVALID", "TYPE_BF16", "TYPE_FP64", "99")
DIMS = ([1], [-1], [4], [16], [2, 3], [-1, 4], [3, -1, -1], [1, 1, 1], [3, 224, 224])
ODD_DIMS: tuple[list[int], ...] = ([], [0], [-2], [4, 0], [1 << 31], [1 << 62, 4], [-1, -3], [1 << 63 >> 1])


def rare(dice: random.Random, chance: float = 0.08) -> bool:
    """Return whether something odd is due."""
    return dice.random() < chance


def data_type(dice: random.Random) -> Any:  # noqa: ANN401  an enum's name, or a number it does not have
    """Return a data type."""
    if rare(dice, 0.04):
        odd = dice.choice(ODD_TYPES)
        return Enum(odd)
    return Enum(dice.choice(TYPES))


def dims(dice: random.Random) -> list[int]:
    """Return dims."""
    return list(dice.choice(ODD_DIMS if rare(dice, 0.05) else DIMS))


def tensor(dice: random.Random, name: str) -> Plain:
    """Return an input or output."""
    found: Plain = {"name": name, "data_type": data_type(dice), "dims": dims(dice)}
    if rare(dice, 0.12):
        found["reshape"] = reshape(dice, found["dims"])
    return found


def reshape(dice: random.Random, shape: list[int]) -> Plain:
    """Return a reshape of these dims, mostly of the same size."""
    same = [[*shape, 1], [1, *shape], list(reversed(shape)), shape]
    flat = 1
    for dim in shape:
        flat *= dim
    if all(dim > 0 for dim in shape):
        same.append([flat])
    if shape == [1]:
        same.append([])
    return {"shape": list(dice.choice(same)) if not rare(dice, 0.3) else dims(dice)}
