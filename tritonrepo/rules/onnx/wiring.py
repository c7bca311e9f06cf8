"""How an ONNX graph hangs together: each tensor is made once, and the weights in the file have the size that they need.

Source: onnxruntime, core/graph/graph.cc, Graph::InitializeStateFromModelFileGraphProto, VerifyNoDuplicateName and
BuildConnections; core/framework/tensorprotoutils.cc, UnpackTensor. ONNX Runtime 1.16 to 1.28 were asked to load such
models, also with what is wrong in a node that no output needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tritonrepo.diagnostics import Severity
from tritonrepo.onnxfile import Fault, Size
from tritonrepo.repository import Model
from tritonrepo.repository.graphs import graphs
from tritonrepo.rules.onnx.compared import listing
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage

UNDEFINED = "is not a graph input, initializer, or output of a previous node."
HINT = "Export the model again: a tool that edits graphs has probably removed or renamed something."


@rule(
    "onnx-output-undefined",
    Severity.ERROR,
    "backend=onnxruntime",
    at=Stage.BACKEND.after("onnx-input-without-type"),
)
def output_undefined(model: Model) -> Iterator[Finding]:
    """Each output of an ONNX graph must be made by a node, or be an input or initializer."""
    for path, _, names in _loose(model, (Fault.NOT_MADE,)):
        yield Finding(
            path,
            f"the graph gives out {_tensors(names)}, which nothing in it makes",
            hint=HINT,
            reason=f"This is an invalid model. Graph output ({names[0]}) does not exist in the graph.",
        )


@rule(
    "onnx-node-name-twice",
    Severity.ERROR,
    "backend=onnxruntime",
    at=Stage.BACKEND.after("onnx-output-undefined"),
)
def named_twice(model: Model) -> Iterator[Finding]:
    """The nodes of an ONNX graph must have different names, or none."""
    for path, _, names in _loose(model, (Fault.NODES_TWICE,)):
        yield Finding(
            path,
            f"more than one node of the graph has the name {_tensors(names, '')}",
            hint='Rename one of them with the onnx package, or remove the names: `node.name = ""`.',
            reason=_words("two nodes with same node name", names),
        )


@rule(
    "onnx-tensor-defined-twice",
    Severity.ERROR,
    "backend=onnxruntime",
    at=Stage.BACKEND.after("onnx-node-name-twice"),
)
def defined_twice(model: Model) -> Iterator[Finding]:
    """Each name in an ONNX graph must be that of one tensor."""
    for path, fault, names in _loose(model, (Fault.INPUT_TWICE, Fault.MADE_TWICE)):
        twice = fault is Fault.INPUT_TWICE
        yield Finding(
            path,
            f"the graph has two inputs of the name {_tensors(names, '')}"
            if twice
            else f"a node of the graph makes {_tensors(names)}, but so does another node, or an input or weights have "
            "that name",
            hint=HINT,
            reason=_words(f"Duplicate definition{'-site for' if twice else ' of name'}", names),
        )


@rule(
    "onnx-tensor-undefined",
    Severity.ERROR,
    "backend=onnxruntime",
    at=Stage.BACKEND.after("onnx-tensor-defined-twice"),
)
def undefined(model: Model) -> Iterator[Finding]:
    """Each tensor that a node of an ONNX graph reads must be an input or initializer, or be made by a node."""
    for path, fault, names in _loose(model, (Fault.NOT_THERE, Fault.NOT_THERE_INSIDE)):
        inside = fault is Fault.NOT_THERE_INSIDE
        yield Finding(
            path,
            f"a node of {'a subgraph' if inside else 'the graph'} reads {_tensors(names)}, but nothing in the graph "
            f"makes {'it' if len(names) == 1 else 'them'}",
            hint=HINT,
            reason="Nodes in a graph must be topologically sorted, however input "
            if inside
            else _undefined_words(names),
        )


@rule(
    "onnx-weights-size",
    Severity.ERROR,
    "backend=onnxruntime",
    at=Stage.BACKEND.after("onnx-external-data-escapes"),
)
def weights_size(model: Model) -> Iterator[Finding]:
    """Weights in an ONNX file must have as many bytes as their type and shape need."""
    for graph in graphs(model):
        sizes = graph.header.sizes if graph.header is not None else ()
        for size in sizes[:1]:
            others = len(sizes) - 1
            yield Finding(
                graph.path,
                f'the weights "{size.name}" have {_bytes(size)}, but their type and shape need {size.needed:,}'
                f"{f', and {others:,} others have a wrong size as well' if others else ''}",
                hint="Export the model again: a script has probably changed the type or the shape of the weights.",
            )


def _undefined_words(names: list[str]) -> str:
    return f"Invalid model. Node input '{names[0]}' {UNDEFINED}" if len(names) == 1 else UNDEFINED


def _bytes(size: Size) -> str:
    return f"{size.has:,} bytes" if size.has else "no data"


def _loose(model: Model, faults: Sequence[Fault]) -> Iterator[tuple[str, Fault, list[str]]]:
    """Yield the names with a fault, by the file and the fault."""
    for graph in graphs(model):
        for fault in faults if graph.header is not None and graph.header.loose else ():
            names = (
                [each.name for each in graph.header.loose if each.fault is fault] if graph.header is not None else []
            )
            if names:
                yield graph.path, fault, names


def _tensors(names: list[str], word: str = "tensor ") -> str:
    quoted = listing([f'"{name}"' for name in names])
    return f"{word.replace(' ', 's ') if len(names) > 1 else word}{quoted}"


def _words(words: str, names: list[str]) -> str:
    return f"{words} ({names[0]})." if len(names) == 1 else f"{words} ("
