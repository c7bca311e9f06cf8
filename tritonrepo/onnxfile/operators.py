"""The operators that ONNX Runtime registers, by domain, operator set and version of ONNX Runtime.

The facts are in data/onnx_operators.json, written by scripts/update_operators.py: of each operator, the operator sets
in which it changed, "-10" for one that removes it, and "@1.18" for the first minor version that has it, if not all do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

from tritonrepo.packaged import facts

FULL = ("", "ai.onnx.ml")
"""Domains in which ONNX Runtime has no other operators than these, however it was built."""


def operators() -> Mapping[str, Mapping[str, str]]:
    """Return domain → operator → its line."""
    found: Mapping[str, Mapping[str, str]] = facts("onnx_operators")["operators"]
    return found


def exists(line: str, opset: int) -> bool:
    """Whether an operator exists in an operator set, by its line."""
    past = [each for each in changes(line) if abs(each) <= opset]
    return bool(past) and past[-1] > 0


@cache
def changes(line: str) -> Sequence[int]:
    """Return the operator sets in which an operator changed, in order; a negative one removes it."""
    return sorted((int(word) for word in line.split() if not word.startswith("@")), key=abs)


@cache
def since(line: str) -> tuple[int, int]:
    """Return the first minor version of ONNX Runtime with an operator; (0, 0) if all known ones have it."""
    _, _, version = line.partition("@")
    return minor(version.partition("-")[0]) if version else (0, 0)


def minor(version: str) -> tuple[int, int]:
    """Return the first two numbers of a version."""
    first, second = version.split(".")[:2]
    return int(first), int(second)
