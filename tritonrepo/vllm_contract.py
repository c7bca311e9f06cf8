"""The tensors that Triton's vLLM backend adds to a config, by the first release that has them.

The facts are data/vllm_tensors.json, written by scripts/update_releases.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import NamedTuple


class Contract(NamedTuple):
    """One tensor of the contract."""

    kind: str
    name: str
    data_type: str
    dims: tuple[int, ...]
    since: str
    optional: bool = False


@cache
def by_name() -> Mapping[tuple[str, str], Contract]:
    """Return the tensors of all releases by kind and name, in the backend's order."""
    text = resources.files("tritonrepo").joinpath("data/vllm_tensors.json").read_text("utf-8")
    tensors = [Contract(**{**facts, "dims": tuple(facts["dims"])}) for facts in json.loads(text)["tensors"]]
    return {(tensor.kind, tensor.name): tensor for tensor in tensors}


def contract(release: str) -> Iterator[Contract]:
    """Return the tensors of the backend in this release."""
    return (tensor for tensor in by_name().values() if tensor.since <= release)
