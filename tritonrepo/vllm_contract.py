"""The tensors that Triton's vLLM backend adds to a config, by the first release that has them.

The facts are data/vllm_tensors.json, written by scripts/update_releases.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import NamedTuple

from tritonrepo.packaged import facts


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
    tensors = [Contract(**{**each, "dims": tuple(each["dims"])}) for each in facts("vllm_tensors")["tensors"]]
    return {(tensor.kind, tensor.name): tensor for tensor in tensors}


def contract(release: str) -> Iterator[Contract]:
    """Return the tensors of the backend in this release."""
    return (tensor for tensor in by_name().values() if tensor.since <= release)


TEXTS = {
    "input": frozenset({"text_input", "prompt", "prompts", "text", "query", "input_text", "input"}),
    "output": frozenset({"text_output", "text", "output", "answer", "response", "output_text", "generated_text"}),
}
"""Names that models use for the text that goes in and the text that comes out; the vLLM backend's are the first."""


def same_text(kind: str, name: str, known: Iterable[str]) -> str | None:
    """Return the only one of these inputs or outputs that is a text like the named one; None if none is."""
    found = [each for each in known if each in TEXTS[kind]] if name in TEXTS[kind] else []
    return found[0] if len(found) == 1 else None
