"""ONNX graphs that were not exported here: their weights put into one file, and a head added after their tokens.

ONNX Runtime 1.32 loads no weights from a file with several hard links, as files of a repository are; in one file with
the graph, they can be anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from tritonrepo.export.graph import LARGEST_BYTES, OPSET
from tritonrepo.export.layers import IDS, MASK, Layers

if TYPE_CHECKING:
    from tritonrepo.export.heads import Head
    from tritonrepo.tree import File

FLOAT = 1
OLDEST = 13
"""The first opset whose operators are those of a head: ReduceSum and Unsqueeze have their axes as an input since then,
and until 17 nothing of them changes (onnx, docs/Changelog.md)."""

READ = (IDS, MASK)
"""The inputs of the graph that a head reads."""


class UnfitError(ValueError):
    """The reason why a graph cannot be changed."""


class Headed(NamedTuple):
    """The graph with a head, and the name of its only output."""

    content: bytes
    output: str


def headed(model: Any, tokens: str, head: Head, width: int) -> Headed:  # noqa: ANN401  onnx has no types
    """Add a head after the tensor `tokens` [batch, tokens, d]; weights in other files are neither read nor changed.

    The head's nodes are converted to the opset of the graph. Raises UnfitError if that cannot be done.
    """
    from onnx import helper

    graph = model.graph
    taken = {name for node in graph.node for name in (*node.input, *node.output)}
    taken |= {each.name for each in (*graph.initializer, *graph.input, *graph.output)}
    output = head.output
    while output in taken:
        output += "_"
    nodes, constants = _nodes(model, tokens, head, output)
    inner = {name for node in nodes for name in node.output} | {each.name for each in constants}
    names: dict[str, str] = {}
    for name in sorted(inner - {output}):
        names[name] = f"pooling/{name}"
        while names[name] in taken:
            names[name] += "_"
    for node in nodes:
        node.name = ""
        for field in (node.input, node.output):
            field[:] = [names.get(name, name) for name in field]
    for each in constants:
        each.name = names.get(each.name, each.name)
    graph.node.extend(nodes)
    graph.initializer.extend(constants)
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(output, FLOAT, ["batch", width]))
    return Headed(bytes(model.SerializeToString(deterministic=True)), output)


def _nodes(model: Any, tokens: str, head: Head, output: str) -> tuple[list[Any], list[Any]]:  # noqa: ANN401  as above
    """Return the nodes of a head and their constants, in the opset of a graph."""
    from onnx import helper, version_converter

    layers = Layers({})
    layers.graph.add_named("Identity", [head.add(layers, tokens)], [output])
    kinds = {each.name: each.type.tensor_type.elem_type for each in model.graph.input}
    inputs = [helper.make_tensor_value_info(name, kinds[name], [None, None]) for name in READ]
    inputs.append(helper.make_tensor_value_info(tokens, FLOAT, [None, None, None]))
    given = [helper.make_tensor_value_info(output, FLOAT, None)]
    body = helper.make_graph(layers.graph.nodes, "head", inputs, given, list(layers.graph.constants.values()))
    opset = next((each.version for each in model.opset_import if each.domain in {"", "ai.onnx"}), 0)
    if opset > OPSET:
        alone = helper.make_model(body, opset_imports=[helper.make_opsetid("", OPSET)])
        body = version_converter.convert_version(alone, opset).graph
    elif opset < OLDEST or any(not _has(node.op_type, opset) for node in body.node):
        raise UnfitError(f"pooling cannot be added to its opset {opset}")
    return list(body.node), list(body.initializer)


def _has(operator: str, opset: int) -> bool:
    """Return whether an opset has an operator."""
    from onnx import defs

    try:
        defs.get_schema(operator, max_inclusive_version=opset)
    except defs.SchemaError:
        return False
    return True


def whole(model: Any, data: Mapping[str, File]) -> bytes:  # noqa: ANN401  as above
    """Return a graph with the weights that it has in other files; raise UnfitError if they are not there or too large.

    Source: onnx, onnx.proto, TensorProto.external_data: location, offset (default 0), length (default: to the end).
    """
    for tensor in _tensors(model.graph):
        if tensor.external_data:
            file, start, length = _place(tensor, data)
            if model.ByteSize() + length > LARGEST_BYTES:
                raise UnfitError(f"its weights take more than the {LARGEST_BYTES:,} bytes that one file can hold")
            tensor.raw_data = file.read(start, length)
            tensor.ClearField("external_data")
            tensor.ClearField("data_location")
    return bytes(model.SerializeToString(deterministic=True))


def _place(tensor: Any, data: Mapping[str, File]) -> tuple[File, int, int]:  # noqa: ANN401  as above
    """Return the file with the weights of a tensor, and the range of bytes that they take in it."""
    said = {each.key: each.value for each in tensor.external_data}
    name = said.get("location", "")
    if name not in data:
        raise UnfitError(f"it does not say in which file {tensor.name!r} is")
    try:
        start = int(said.get("offset", 0))
        length = int(said.get("length", data[name].size - start))
    except ValueError as error:
        raise UnfitError(f"it does not say where in {name!r} {tensor.name!r} is: {error}") from None
    if not 0 <= start <= start + length <= data[name].size:
        raise UnfitError(f"{name!r} ends before the weights that it should have")
    return data[name], start, length


def _tensors(graph: Any) -> Iterator[Any]:  # noqa: ANN401  as above
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
