"""The inputs and outputs of a config, completed from the model itself as Triton's auto-complete would.

Source: onnxruntime_backend, src/onnxruntime.cc, AutoCompleteConfig, AutoCompleteMaxBatch, AutoCompleteIO.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tritonrepo.onnxfile import Header, Tensor
from tritonrepo.pbtxt.printer import Enum, Message, Value

DEFAULT_MAX_BATCH = 4
"""The backend's default-max-batch-size (onnxruntime_backend, src/onnxruntime.cc, TRITONBACKEND_Initialize)."""

SCHEDULERS = ("dynamic_batching", "sequence_batching", "ensemble_scheduling")


def lacks(said: Mapping[str, Any]) -> list[str]:
    """Return which of input and output a config does not list; a batch_input counts as an input."""
    lists = {"input": said.get("input") or said.get("batch_input"), "output": said.get("output")}
    return [name for name, listed in lists.items() if not listed]


def wrong(header: Header, said: Mapping[str, Any]) -> str:
    """Return why Triton cannot complete a config from this graph; "" if it can."""
    if not lacks(said):
        return ""
    for kind, tensors in (("input", header.inputs), ("output", header.outputs)):
        for tensor in tensors:
            if tensor.data_type is None:
                return f'{kind} "{tensor.name}" is not a tensor of a data type that Triton has'
            if said.get("max_batch_size") and not _batches([tensor]):
                batch = said["max_batch_size"]
                return f'max_batch_size is {batch}, but the first dimension of {kind} "{tensor.name}" is not variable'
    return ""


def completed(header: Header, said: Mapping[str, Any]) -> Message:
    """Return the fields that complete a config, of which these are written already.

    A graph batches if the first dimension of every input and output is variable; then it is left out of the dims.
    """
    missing = lacks(said)
    if not missing:
        return {}
    batches = _batches([*header.inputs, *header.outputs])
    most = said.get("max_batch_size")
    if most is None:
        most = DEFAULT_MAX_BATCH if batches else 0
    tensors = {"input": header.inputs, "output": header.outputs}
    fields: dict[str, Value] = {"max_batch_size": most}
    fields |= {name: [_tensor(each, bool(most)) for each in tensors[name]] for name in missing}
    if most > 1 and not any(said.get(name) is not None for name in SCHEDULERS):
        fields["dynamic_batching"] = {}
    return fields


def _batches(tensors: Sequence[Tensor]) -> bool:
    return all((tensor.dims or (0,))[0] == -1 for tensor in tensors)


def _tensor(tensor: Tensor, batched: bool) -> Message:  # noqa: FBT001  private
    """Return a tensor of the config: one without dims has the shape [ 1 ], which Triton takes away again."""
    dims = list(tensor.dims or ())[batched:]
    message: dict[str, Value] = {
        "name": tensor.name,
        "data_type": Enum(f"TYPE_{tensor.data_type}"),
        "dims": dims or [1],
    }
    return message if dims or not batched else message | {"reshape": {"shape": []}}
