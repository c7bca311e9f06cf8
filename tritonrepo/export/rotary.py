"""Rotary positions: their fields in a config.json, and the rotation of queries and keys.

Sources: transformers, modeling_rope_utils.py, RotaryEmbeddingConfigMixin, for the fields; rotate_half of its models for
which values make a pair.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tritonrepo.diagnostics import Diagnostic
from tritonrepo.export import fields
from tritonrepo.export.layers import FLOAT, Layers

FIELD, TYPES = "rope_parameters", ("rope_type", "type")
NEUTRAL: Mapping[str, object] = {"rope_scaling": None, "partial_rotary_factor": None}
"""Fields beside the rotary parameters that change the positions, with the one value that does not."""


def misturned(config: Mapping[str, Any], said: object, older: str, at: str) -> Iterator[Diagnostic]:
    """Yield a diagnostic if these rotary parameters of a config are more than the base of the frequencies.

    `older` is the field that has the base in files without rotary parameters.
    """
    if not isinstance(said, dict) or any(said.get(key, "default") != "default" for key in TYPES):
        yield fields.unsupported(config, FIELD, "only the default rope_type can be exported", at)
    elif said.keys() - {*TYPES, "rope_theta"}:
        yield fields.unsupported(config, FIELD, "only rope_theta can be exported", at)
    elif not fields.is_number(said["rope_theta"]) or said["rope_theta"] == 0:
        yield fields.unsupported(config, FIELD if FIELD in config else older, "the base must be a number above 0", at)


class Rotation:
    """The cosines and sines of positions, FP32 or INT64 [batch or 1, sequence], in heads of one size."""

    def __init__(self, layers: Layers, positions: str, base: float, size: int) -> None:
        import numpy as np

        self.layers = layers
        graph, add = layers.graph, layers.graph.add
        # Python's power: the last bit of NumPy's differs from version to version, and so would the file.
        turns = np.array([base ** (-pair / size) for pair in range(0, size, 2)], np.float32)
        by_head = add("Unsqueeze", add("Cast", positions, to=FLOAT), graph.integers(2, 3))
        angles = add("Mul", by_head, graph.constant(f"turns_{base:g}", turns))
        self.cosines, self.sines = add("Cos", angles), add("Sin", angles)

    def of(self, x: str) -> str:
        """Add the rotation of [batch, sequence, heads, size]: a value's partner is half a head away."""
        graph, add = self.layers.graph, self.layers.graph.add
        first, second = (f"{x}_{half}" for half in ("first", "second"))
        graph.add_named("Split", [x], [first, second], axis=-1)
        turned = (
            add("Sub", add("Mul", first, self.cosines), add("Mul", second, self.sines)),
            add("Add", add("Mul", second, self.cosines), add("Mul", first, self.sines)),
        )
        return add("Concat", *turned, axis=-1)
