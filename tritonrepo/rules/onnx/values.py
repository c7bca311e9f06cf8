"""What the inputs and outputs of a graph are: tensors, of types that Triton has.

Source: onnxruntime_backend, src/onnxruntime_utils.cc, InputOutputInfos, ConvertFromOnnxDataType,
ModelConfigDataTypeToOnnxDataType; src/onnxruntime.cc, ModelInstanceState::ValidateInputs and ValidateOutputs.
"""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.onnxfile import Header, Tensor, element_name, used
from tritonrepo.repository import Model
from tritonrepo.repository.graphs import Graph, graphs
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage

ONNX_TYPES = {
    "sequence": "ONNX_TYPE_SEQUENCE",
    "map": "ONNX_TYPE_MAP",
    "opaque": "ONNX_TYPE_OPAQUE",
    "sparse_tensor": "ONNX_TYPE_SPARSETENSOR",
    "optional": "ONNX_TYPE_UNKNOWN",
}
BFLOAT16 = 16
COMPLEX = {14, 15}


@rule(
    "onnx-input-without-type",
    Severity.ERROR,
    "backend=onnxruntime",
    at=Stage.BACKEND.after("onnx-opset-newer-than-image"),
)
def without_type(model: Model) -> Iterator[Finding]:
    """The inputs of an ONNX graph must have a type, and its tensors a type of elements."""
    for graph in graphs(model):
        for what, tensor in _values(graph.header) if graph.header is not None else ():
            untyped = not tensor.kind and graph.header is not None and tensor in graph.header.inputs
            if untyped or (tensor.kind == "tensor" and tensor.element <= 0):
                yield Finding(
                    graph.path,
                    f'{what} "{tensor.name}" of the graph has no type'
                    if untyped
                    else f'{what} "{tensor.name}" of the graph is a tensor whose elements have no type',
                    hint="Export the model again, or set the type with the onnx package.",
                    reason=_untyped_words(graph, tensor) if untyped else f"Invalid tensor data type {tensor.element}.",
                )


def _untyped_words(graph: Graph, tensor: Tensor) -> str:
    if graph.file is not None and tensor.name in used(graph.file):
        return f"This is an invalid model. Model input ({tensor.name}) does not have type information."
    return f"Graph ctor should have created NodeArg for initializer. Missing:{tensor.name}"


@rule(
    "onnx-io-not-tensor",
    Severity.ERROR,
    "backend=onnxruntime",
    at=Stage.BACKEND.after("onnx-weights-size"),
)
def not_tensor(model: Model) -> Iterator[Finding]:
    """The inputs and outputs of an ONNX graph must be tensors."""
    for graph in graphs(model):
        if graph.header is None:
            continue
        for what, tensor in _values(graph.header):
            if tensor.kind in ONNX_TYPES:
                yield Finding(
                    graph.path,
                    f'{what} "{tensor.name}" of the graph has the type {tensor.written or tensor.kind}, but Triton '
                    "supports only tensors",
                    hint=_other(tensor),
                    reason=f"Unsupported ONNX Type '{ONNX_TYPES[tensor.kind]}' for I/O '{tensor.name}', expected "
                    "'ONNX_TYPE_TENSOR'.",
                )


@rule(
    "onnx-io-dtype-unsupported",
    Severity.ERROR,
    "backend=onnxruntime",
    at=Stage.BACKEND.after("onnx-io-not-tensor"),
)
def type_unsupported(model: Model) -> Iterator[Finding]:
    """The inputs and outputs of an ONNX graph must have a type that Triton has."""
    for path, what, tensor in _served(model):
        if tensor.data_type is None and tensor.kind == "tensor" and tensor.element:
            yield Finding(
                path,
                f'{what} "{tensor.name}" of the graph has the type {element_name(tensor.element)}, which Triton does '
                "not have",
                hint="Convert it inside the graph with a Cast node.",
                reason=f"MLDataType for: tensor({element_name(tensor.element)}) is not currently registered or "
                "supported"
                if tensor.element in COMPLEX
                else "model provides TYPE_<invalid>"
                if any(each.name == tensor.name for each in model.tensors)
                else "",
            )


@rule("onnx-bf16-io", Severity.ERROR, "backend=onnxruntime", at=Stage.BACKEND.after("onnx-io-dtype-unsupported"))
def bf16(model: Model) -> Iterator[Finding]:
    """Before Triton 26.03, the inputs and outputs of an ONNX graph cannot be BF16."""
    if model.target.release.has("onnx-bf16"):
        return
    for path, what, tensor in _served(model):
        if tensor.element == BFLOAT16:
            yield Finding(
                path,
                f'{what} "{tensor.name}" of the graph is BF16, which the ONNX Runtime backend has since Triton 26.03; '
                f"the target is {model.target.release.name}",
                hint="Convert it inside the graph with a Cast node, or use Triton 26.03 or newer.",
                reason=f"unsupported datatype TYPE_BF16 for {what} '{tensor.name}'" if _written(model, tensor) else "",
            )


def _values(header: Header) -> Iterator[tuple[str, Tensor]]:
    yield from (("input", tensor) for tensor in (*header.inputs, *header.overridable))
    yield from (("output", tensor) for tensor in header.outputs)


def _served(model: Model) -> Iterator[tuple[str, str, Tensor]]:
    """Yield the tensors that the config must list: all inputs, and the outputs that it lists or that are completed."""
    listed = {tensor.name for tensor in model.tensors if tensor.kind == "output"}
    for graph in graphs(model):
        if graph.header is None:
            continue
        yield from ((graph.path, "input", tensor) for tensor in graph.header.inputs)
        for tensor in graph.header.outputs:
            if tensor.name in listed or (not listed and model.target.auto_complete):
                yield graph.path, "output", tensor


def _written(model: Model, tensor: Tensor) -> bool:
    return any(each.name == tensor.name and each.data_type == "TYPE_BF16" for each in model.tensors)


def _other(tensor: Tensor) -> str:
    if "map(" in tensor.written:
        return "Export a scikit-learn classifier with `zipmap: False`, so that its probabilities are a tensor."
    return "Export the model with tensors only."
