"""Tensors as values, and the binary form in which HTTP sends them.

Source: KServe's v2 inference protocol; Triton's docs/protocol/extension_binary_data.md and extension_sequence.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from tritonrepo.diagnostics import Stop, uninstalled

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Tensor(NamedTuple):
    """A named array; `datatype` in the protocol's words (BYTES, FP32 …). BYTES are held as objects, BF16 as float32."""

    name: str
    datatype: str
    values: NDArray[Any]


Tensors = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class Request:
    """A request to one model; `sequence`: the id of the sequence that it belongs to, 0 for none.

    `begins` and `ends`: whether it is the first and the last of its sequence.
    """

    model: str
    version: str
    inputs: tuple[Tensor, ...]
    sequence: int | str = 0
    begins: bool = True
    ends: bool = True

    def parameters(self) -> dict[str, int | str | bool]:
        """Return what says which sequence it belongs to; nothing if to none."""
        if not self.sequence:
            return {}
        return {"sequence_id": self.sequence, "sequence_start": self.begins, "sequence_end": self.ends}


def missing_extra(error: ImportError | RuntimeError) -> Stop:
    """Return the Stop for a missing tritonclient."""
    return uninstalled("server", "sending requests to a server needs tritonclient", error)


def numpy_type(datatype: str) -> Any:  # noqa: ANN401  tritonclient has no types
    """Return NumPy's type for the protocol's; raise ValueError for one that the protocol does not have.

    NumPy has no BF16, and what represents it differs between versions of tritonclient: here it is float32.
    """
    import numpy as np

    found = np.float32 if datatype == "BF16" else _wire_type(datatype)
    if found is None:
        raise ValueError(f'the protocol does not have the data type "{datatype}"')
    return found


def for_client(tensor: Tensor) -> NDArray[Any]:
    """Return a tensor's values in the form that this version of tritonclient needs."""
    return tensor.values.astype(_wire_type(tensor.datatype), copy=False)


def _wire_type(datatype: str) -> Any:  # noqa: ANN401  tritonclient has no types
    try:
        from tritonclient.utils import triton_to_np_dtype
    except ImportError as error:
        raise missing_extra(error) from None
    return triton_to_np_dtype(datatype)


def packed(request: Request) -> tuple[bytes, int]:
    """Return the body of an HTTP inference, tensors in binary, and the length of its JSON part in bytes."""
    contents = [encoded(tensor) for tensor in request.inputs]
    inputs = [
        {
            "name": tensor.name,
            "datatype": tensor.datatype,
            "shape": list(tensor.values.shape),
            "parameters": {"binary_data_size": len(content)},
        }
        for tensor, content in zip(request.inputs, contents, strict=True)
    ]
    parameters = {"binary_data_output": True, **request.parameters()}
    head = json.dumps({"inputs": inputs, "parameters": parameters}).encode()
    return b"".join([head, *contents]), len(head)


def of_values(name: str, datatype: str, values: object, shape: Sequence[int]) -> Tensor:
    """Return the tensor of plain values, strings in UTF-8; raise ValueError if they do not fit type or shape."""
    import numpy as np

    kind = numpy_type(datatype)
    array = np.array(values, dtype=object).ravel()
    if kind is np.object_:
        array = np.array([v.encode() if isinstance(v, str) else v for v in array], dtype=object)
    elif np.dtype(kind).kind in "iu":
        least, most = np.iinfo(kind).min, np.iinfo(kind).max
        for value in array:
            if isinstance(value, int) and not least <= value <= most:  # NumPy would wrap it around
                raise ValueError(f"{datatype} has values from {least} to {most}")
    return Tensor(name, datatype, array.astype(kind).reshape(list(shape)))


def encoded(tensor: Tensor) -> bytes:
    """Return a tensor's values in binary."""
    from tritonclient.utils import serialize_byte_tensor

    if tensor.datatype == "BYTES":
        return bytes(serialize_byte_tensor(tensor.values).item()) if tensor.values.size else b""
    if tensor.datatype == "BF16":  # the upper half of a float32
        return (tensor.values.view("uint32") >> 16).astype("uint16").tobytes()
    return tensor.values.tobytes()
