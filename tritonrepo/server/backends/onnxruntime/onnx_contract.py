"""Checks a model's configuration against its graph: completes what is missing, and rejects what does not match.

Source of every check, its order and its words: onnxruntime_backend, src/onnxruntime.cc, ModelState::AutoCompleteConfig
and ModelInstanceState::ValidateInputs and ValidateOutputs; src/onnxruntime_utils.cc, CompareDimsSupported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import onnxruntime
import triton_python_backend_utils as pb_utils

TYPES = {
    "tensor(bool)": "TYPE_BOOL",
    "tensor(double)": "TYPE_FP64",
    "tensor(float)": "TYPE_FP32",
    "tensor(float16)": "TYPE_FP16",
    "tensor(int16)": "TYPE_INT16",
    "tensor(int32)": "TYPE_INT32",
    "tensor(int64)": "TYPE_INT64",
    "tensor(int8)": "TYPE_INT8",
    "tensor(string)": "TYPE_STRING",
    "tensor(uint16)": "TYPE_UINT16",
    "tensor(uint32)": "TYPE_UINT32",
    "tensor(uint64)": "TYPE_UINT64",
    "tensor(uint8)": "TYPE_UINT8",
}
# The core does not pass --backend-config=onnxruntime,default-max-batch-size on, so the backend's default is used.
DEFAULT_MAX_BATCH_SIZE = 4
CONTROL_TYPES = {"int32_false_true": "TYPE_INT32", "fp32_false_true": "TYPE_FP32", "bool_false_true": "TYPE_BOOL"}
NOT_TENSORS = {"seq": "SEQUENCE", "map": "MAP", "optional": "OPTIONAL", "sparse_tensor": "SPARSETENSOR"}


class ValueInfo(NamedTuple):
    """A tensor of the graph: Triton's data type (TYPE_INVALID if it has none) and its dims, -1 if dynamic."""

    data_type: str
    dims: list[int]


class Graph(NamedTuple):
    """The tensors of a session by name; `initializers` are the inputs that a request can omit."""

    inputs: dict[str, ValueInfo]
    outputs: dict[str, ValueInfo]
    initializers: dict[str, ValueInfo]


def read_graph(session: onnxruntime.InferenceSession) -> Graph:
    """Return the session's tensors; raise ValueError if one of them is a sequence, a map or the like."""
    return Graph(
        tensors(session.get_inputs()), tensors(session.get_outputs()), tensors(session.get_overridable_initializers())
    )


def tensors(arguments: Iterable[onnxruntime.NodeArg]) -> dict[str, ValueInfo]:
    """Return name → ValueInfo in alphabetical order."""
    found = {}
    for argument in sorted(arguments, key=lambda argument: argument.name):
        kind = argument.type.split("(")[0]
        if kind in NOT_TENSORS:
            raise ValueError(
                f"Unsupported ONNX Type 'ONNX_TYPE_{NOT_TENSORS[kind]}' for I/O '{argument.name}', "
                "expected 'ONNX_TYPE_TENSOR'."
            )
        dims = [size if isinstance(size, int) and size >= 0 else -1 for size in argument.shape]
        found[argument.name] = ValueInfo(TYPES.get(argument.type, "TYPE_INVALID"), dims)
    return found


def is_complete(config: dict[str, Any]) -> bool:
    """Return whether both inputs and outputs are listed: then nothing is completed, not even max_batch_size."""
    return bool((config["input"] or config.get("batch_input")) and config["output"])


def complete(model_config: pb_utils.ModelConfig, graph: Graph, warn: Callable[[str], None]) -> None:
    """Fill in missing inputs, outputs, max_batch_size and scheduler of Triton's `model_config`, in place."""
    config = model_config.as_dict()
    complete_max_batch(model_config, graph, warn)
    batching = config["max_batch_size"] > 0
    for key, found in (("input", graph.inputs), ("output", graph.outputs)):
        if not config[key] and not (key == "input" and config.get("batch_input")):
            # add_input and add_output do not accept reshape, which a tensor of rank 1 needs.
            config[key].extend(entry(name, tensor, batching=batching) for name, tensor in found.items())


def complete_max_batch(model_config: pb_utils.ModelConfig, graph: Graph, warn: Callable[[str], None]) -> None:
    """Set max_batch_size and dynamic batching if the first dimension of every tensor is dynamic."""
    config = model_config.as_dict()
    name, size = config["name"], config["max_batch_size"]
    if not all(tensor.dims and tensor.dims[0] == -1 for tensor in [*graph.inputs.values(), *graph.outputs.values()]):
        if size:
            raise ValueError(
                f"autofill failed for model '{name}': model does not support batching while non-zero max_batch_size "
                "is specified"
            )
        return
    if size == 0:
        model_config.set_max_batch_size(DEFAULT_MAX_BATCH_SIZE)
        warn(
            f"autofilled max_batch_size to {DEFAULT_MAX_BATCH_SIZE} for model '{name}' since batching is supporrted "
            "but no max_batch_size is specified in model configuration. Must specify max_batch_size to utilize "
            "autofill with a larger max batch size"
        )
    if config["max_batch_size"] > 1 and "sequence_batching" not in config and "dynamic_batching" not in config:
        model_config.set_dynamic_batching()


def entry(name: str, tensor: ValueInfo, *, batching: bool) -> dict[str, Any]:
    """Return the configuration of one graph tensor, without the batch dimension when batching."""
    dims = tensor.dims[1:] if batching else tensor.dims
    given = {"name": name, "data_type": tensor.data_type, "dims": dims or [1]}
    return {**given, "reshape": {"shape": []}} if batching and not dims else given


def validate(config: dict[str, Any], graph: Graph) -> None:
    """Reject, in the real backend's order, the first thing in the configuration that does not match the graph."""
    refuse_not_done(config)
    controls = list(sequence_controls(config))
    for control in controls:
        validate_control(config, control, graph.inputs)
    expected = sum(not given.get("optional") for given in config["input"]) + len(controls)
    if expected != len(graph.inputs):
        raise ValueError(
            f"unable to load model '{config['name']}', configuration expects {expected} inputs, "
            f"model provides {len(graph.inputs)}"
        )
    for given in config["input"]:
        validate_input(config, given, {**graph.inputs, **graph.initializers})
    for given in config["output"]:
        validate_dims(config, given, named(config, given, graph.outputs, "output"), exact=True)


def refuse_not_done(config: dict[str, Any]) -> None:
    """Reject the features of the real backend that Triton does not pass on to a Python-based one."""
    states = (config.get("sequence_batching") or {}).get("state")
    for feature, used in (
        ("batch_input", config.get("batch_input")),
        ("batch_output", config.get("batch_output")),
        ("sequence_batching.state", states),
    ):
        if used:
            raise ValueError(not_done(config, feature))


def not_done(config: dict[str, Any], feature: str) -> str:
    """Return the message for a feature that only the real backend has."""
    return (
        f"unable to load model '{config['name']}', {feature} needs the real onnxruntime backend: "
        "this CPU stand-in does not have it"
    )


def sequence_controls(config: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Return name and data type of each sequence control that names a tensor."""
    for given in (config.get("sequence_batching") or {}).get("control_input") or []:
        for control in given.get("control") or []:
            types = [data_type for key, data_type in CONTROL_TYPES.items() if control.get(key)]
            yield given["name"], types[0] if types else control["data_type"]


def validate_control(config: dict[str, Any], control: tuple[str, str], inputs: dict[str, ValueInfo]) -> None:
    """Check one sequence control against the graph's inputs: it exists, with dims [1] and the same type."""
    name, data_type = control
    if name not in inputs:
        raise ValueError(f"configuration specified sequence control '{name}', but model does not provide that input")
    start = f"unable to load model '{config['name']}', sequence control '{name}'"
    dims = inputs[name].dims[1:] if config["max_batch_size"] > 0 else inputs[name].dims
    if dims != [1]:
        raise ValueError(f"{start} in model has dims {shape_text(dims)} but dims [1] is expected")
    if data_type != inputs[name].data_type:
        raise ValueError(
            f"{start}, the model expects data-type {onnx_name(inputs[name].data_type)} but the model configuration "
            f"specifies data-type {data_type}"
        )


def onnx_name(data_type: str) -> str:
    """Return a type as the backend names it here: FLOAT for TYPE_FP32 (src/onnxruntime_utils.cc, OnnxDataTypeName)."""
    name = data_type.removeprefix("TYPE_")
    return {"FP16": "FLOAT16", "FP32": "FLOAT", "FP64": "DOUBLE", "INVALID": "UNDEFINED"}.get(name, name)


def validate_input(config: dict[str, Any], given: dict[str, Any], found: dict[str, ValueInfo]) -> None:
    """Check one listed input; `optional` cannot be combined with batching."""
    if given.get("optional") and config["max_batch_size"]:
        raise ValueError(
            f"unable to load model '{config['name']}', optional input '{given['name']}' is not supported for models "
            "that support batching"
        )
    tensor = named(config, given, found, "input")
    if given.get("allow_ragged_batch"):
        refuse_ragged(config, given, tensor)
    validate_dims(config, given, tensor, exact=False)


def refuse_ragged(config: dict[str, Any], given: dict[str, Any], tensor: ValueInfo) -> None:
    """Reject a ragged input: first for the real backend's reasons, then because the stand-in does not support it."""
    start = (
        f"unable to load model '{config['name']}', configuration expects model provides input with shape [-1] "
        f"for ragged input '{given['name']}',"
    )
    if given.get("optional"):
        raise ValueError(f"{start} which is not supported for optional input")
    if tensor.dims != [-1]:
        raise ValueError(f"{start} model provides {shape_text(tensor.dims)}")
    raise ValueError(not_done(config, "allow_ragged_batch"))


def named(config: dict[str, Any], given: dict[str, Any], found: dict[str, ValueInfo], kind: str) -> ValueInfo:
    """Return the graph's tensor for a listed input or output; its name and data type must be the graph's."""
    name, data_type = given["name"], given["data_type"]
    if name not in found:
        allowed = ", ".join(sorted(found))
        raise ValueError(f"unexpected inference {kind} '{name}', allowed {kind}s are: {allowed}")
    if data_type not in TYPES.values():
        raise ValueError(f"unsupported datatype {data_type} for {kind} '{name}' for model '{config['name']}'")
    tensor = found[name]
    if data_type != tensor.data_type:
        provided = {"TYPE_STRING": "TYPE_BYTES", "TYPE_INVALID": "TYPE_<invalid>"}
        raise ValueError(
            f"unable to load model '{config['name']}', configuration expects datatype {data_type} for {kind} '{name}', "
            f"model provides {provided.get(tensor.data_type, tensor.data_type)}"
        )
    return tensor


def validate_dims(config: dict[str, Any], given: dict[str, Any], tensor: ValueInfo, *, exact: bool) -> None:
    """Check the configured dims against the graph's; those of a scalar must be 1."""
    dims = configured_dims(given)
    if tensor.dims:
        compare_dims(config, given["name"], tensor.dims, dims, exact=exact)
    elif any(size != 1 for size in dims):
        raise ValueError(
            f"unable to load model '{config['name']}', scalar tensor '{given['name']}', should only provide 1 in the "
            "model configuration when the model doesn't support batching. Model configuration provided: "
            f"{shape_text(dims)}."
        )


def configured_dims(given: dict[str, Any]) -> list[int]:
    """Return the dims to compare with the graph's: those of `reshape`, if it is set."""
    return list((given.get("reshape") or {"shape": given["dims"]}).get("shape") or [])


def compare_dims(config: dict[str, Any], name: str, expected: list[int], dims: list[int], *, exact: bool) -> None:
    """Compare a graph's dims with the configured ones; a graph's -1 matches any size, unless `exact`."""
    batching = config["max_batch_size"] > 0
    start = f"model '{config['name']}', tensor '{name}': "
    if batching and expected[0] != -1:
        raise ValueError(
            f"{start}for the model to support batching the shape should have at least 1 dimension and the first "
            f"dimension must be -1; but shape expected by the model is {shape_text(expected)}"
        )
    full = [-1, *dims] if batching else dims
    fits = len(expected) == len(full) and all(
        size == given or (size == -1 and not exact) for size, given in zip(expected, full, strict=True)
    )
    if fits:
        return
    batched = (
        "an initial batch dimension because max_batch_size > 0 followed by the explicit tensor shape, making complete "
    )
    raise ValueError(
        f"{start}the model expects {len(expected)} dimensions (shape {shape_text(expected)}) but the model "
        f"configuration specifies {len(full)} dimensions ({batched if batching else ''}shape {shape_text(full)})"
    )


def shape_text(dims: list[int]) -> str:
    """Return a shape as the server prints it: `[-1,384]`."""
    return f"[{','.join(map(str, dims))}]"
