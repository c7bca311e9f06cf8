"""Outputs of an ONNX graph that have the shape of an input, because only operators that keep a shape are between them.

ONNX Runtime infers the shapes of outputs again: a variable dim in the file may have a size in its session, but not one
of such an output.

Source: onnxruntime, onnxruntime/core/graph/graph.cc, InferAndVerifyTypeMatch and MergeShapeInfo; onnx,
docs/Operators.md; onnx/onnx.proto, NodeProto.
"""

from __future__ import annotations

from collections.abc import Mapping

from tritonrepo.onnxfile.header import GRAPH
from tritonrepo.onnxfile.wire import BYTES, BrokenError, Part, Wire
from tritonrepo.tree import File

NODE, INPUT, OUTPUT, OP_TYPE, DOMAIN = 1, 1, 2, 4, 7
KEEPING = frozenset(
    {"Abs", "Cast", "Ceil", "Clip", "Elu", "Erf", "Exp", "Floor", "Identity", "LeakyRelu", "Log", "LogSoftmax", "Neg"}
    | {"Not", "Reciprocal", "Relu", "Round", "Selu", "Sigmoid", "Sign", "Softmax", "Softplus", "Softsign", "Sqrt"}
    | {"Tanh"}
)
"""Operators of ONNX whose output has the shape of their first input."""

LONGEST_CHAIN = 100
MOST_NODES = 20_000
"""The nodes of a graph of more are not followed."""


def sources(file: File) -> Mapping[str, str]:
    """Return the outputs of the nodes, each with the first input of its node; "" if that does not keep the shape."""
    try:
        return _made(Wire(file))
    except BrokenError:
        return {}


def source(made: Mapping[str, str], output: str) -> str:
    """Return the tensor whose shape an output of the graph has: a graph input, or where other operators begin."""
    for _ in range(LONGEST_CHAIN):
        if output not in made:
            return output
        output = made[output]
    return ""


def _made(wire: Wire) -> dict[str, str]:
    """Return the outputs of the nodes: the first input of one that keeps a shape, "" for any other."""
    found: dict[str, str] = {}
    nodes = (node for graph in wire.inner(wire.whole, GRAPH) for node in wire.inner(graph, NODE))
    for number, node in enumerate(nodes):
        if number == MOST_NODES:
            return {}
        taken, given, keeps = _node(wire, node)
        found |= {name: taken if keeps and index == 0 else "" for index, name in enumerate(given)}
    return found


def _node(wire: Wire, node: Part) -> tuple[str, list[str], bool]:
    """Return a node's first input, its outputs, and whether the first of them has the input's shape."""
    taken, given, operator, domain = list[str](), list[str](), "", ""
    for number, kind, _, part in wire.fields(node):
        if kind != BYTES or number not in {INPUT, OUTPUT, OP_TYPE, DOMAIN}:
            continue
        text = wire.text(part)
        if number == INPUT:
            taken.append(text)
        elif number == OUTPUT:
            given.append(text)
        elif number == OP_TYPE:
            operator = text
        else:
            domain = text
    return taken[0] if taken else "", given, operator in KEEPING and domain in {"", "ai.onnx"}
