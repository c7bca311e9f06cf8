"""safetensors files → arrays."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tritonrepo.diagnostics import Stop, fatal

if TYPE_CHECKING:
    from numpy.typing import NDArray

NUMPY_TYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "<i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "<u1",
    "BOOL": "?",
}
"""safetensors' names (safetensors, src/tensor.rs, Dtype) and NumPy's; the file is little-endian by definition."""


def safetensors(path: Path) -> dict[str, NDArray[Any]]:
    """Read all tensors of a safetensors file; BF16, which NumPy lacks, becomes FP32, all others stay as they are.

    Raises Stop (`weights-unreadable`) for a file that is missing, truncated or does not match its header.
    """
    from safetensors import SafetensorError, deserialize

    try:
        tensors = deserialize(path.read_bytes())  # type: ignore[no-untyped-call]
    except OSError as error:
        raise fatal(
            "weights-unreadable", str(path), f"the weights cannot be read: {error.strerror}", "Check the path."
        ) from error
    except SafetensorError as error:
        raise _broken(path, f"the safetensors file is damaged or incomplete: {error}") from error
    return {name: _array(path, name, tensor) for name, tensor in sorted(tensors)}


def _array(path: Path, name: str, tensor: dict[str, Any]) -> NDArray[Any]:
    import numpy as np

    kind, shape, data = tensor["dtype"], tensor["shape"], tensor["data"]
    if kind == "BF16":
        # BF16 is the upper half of an FP32.
        halves = np.frombuffer(data, "<u2").astype(np.uint32)
        return (halves << 16).view(np.float32).reshape(shape)
    if kind not in NUMPY_TYPES:
        known = ", ".join(["BF16", *NUMPY_TYPES])
        raise fatal(
            "weights-type-unknown",
            str(path),
            f'tensor "{name}" has type {kind}, but only these types are supported: {known}',
            "Use weights that are not quantized.",
        )
    return np.frombuffer(data, NUMPY_TYPES[kind]).reshape(shape)


def _broken(path: Path, message: str) -> Stop:
    return fatal("weights-unreadable", str(path), message, "Download the file again, and check its size and SHA-256.")
