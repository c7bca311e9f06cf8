"""Whether values are the same as those that were recorded, apart from floating-point arithmetic."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOLERANCE = 0.01
"""By how much numbers may differ, as a part of the largest: another GPU, TF32 and half precision stay below it."""

AGREED = 0.001
"""The same for two responses of one server."""


def far(one: NDArray[Any], other: NDArray[Any], tolerance: float) -> NDArray[Any]:
    """Return which values of two arrays of one shape differ; NaN is the same as NaN."""
    import numpy as np

    if one.dtype.kind != "f":
        return np.asarray(one != other)
    a, b = one.astype(np.float64), other.astype(np.float64)
    finite = np.abs(b[np.isfinite(b)])
    within = tolerance * (float(finite.max()) if finite.size else 0.0)
    return ~np.isclose(a, b, rtol=0, atol=within, equal_nan=True)


def differing(one: Mapping[str, NDArray[Any]], other: Mapping[str, NDArray[Any]], tolerance: float) -> Iterator[str]:
    """Yield the outputs that differ."""
    for name in sorted(one.keys() | other.keys()):
        first, second = one.get(name), other.get(name)
        if first is None or second is None or first.shape != second.shape or far(first, second, tolerance).any():
            yield name
