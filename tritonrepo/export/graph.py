"""The ONNX graph that an exporter fills, node by node, and its bytes: equal input gives equal bytes.

ONNX Runtime 1.12 and all later ones read opset 17 and IR 8 (onnxruntime, docs/Versioning.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from tritonrepo.diagnostics import fatal

if TYPE_CHECKING:
    from numpy.typing import NDArray

Attribute = int | float | str | list[int]

OPSET = 17
IR_VERSION = 8
CONTRIB = "com.microsoft"
LARGEST_BYTES = 2**31 - 1
"""Protobuf writes no message of 2 GiB or more, and an object store replaces only single files atomically."""


def too_large(nbytes: int) -> bool:
    """Return whether weights of this size do not fit in one file."""
    return nbytes > LARGEST_BYTES


class ValueInfo(NamedTuple):
    """An input or output of a graph: its name, ONNX element type, and dims; a dim given by name can have any size."""

    name: str
    element: str
    dims: Sequence[str | int]


class Graph:
    """Nodes and constants in the order in which they were added; the names of nodes follow from that order."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}
        self.widened: dict[str, str] = {}
        self.nbytes = 0

    def constant(self, name: str, value: NDArray[Any]) -> str:
        """Keep a constant under this name, once, and return the name."""
        from onnx import numpy_helper

        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(value, name)
            self.nbytes += value.nbytes
        return name

    def narrowed(self, name: str, value: NDArray[Any]) -> str:
        """Keep an FP32 constant in 16 bits if these hold it exactly, and return its tensor in FP32.

        Weights often come in 16 bits; ONNX Runtime widens a constant once, when it loads the model.
        """
        if name not in self.widened:
            self.widened[name] = self._narrowed(name, value)
        return self.widened[name]

    def _narrowed(self, name: str, value: NDArray[Any]) -> str:
        import numpy as np
        from onnx import TensorProto

        halves = np.ascontiguousarray(value).view(np.uint32)
        if not (halves & 0xFFFF).any():
            # BF16, which NumPy lacks, is the upper half of an FP32.
            kept = TensorProto(name=name, dims=value.shape, data_type=TensorProto.BFLOAT16)
            kept.raw_data = (halves >> 16).astype("<u2").tobytes()
            self.constants[name] = kept
            self.nbytes += value.size * 2
            return self.add("Cast", name, to=TensorProto.FLOAT)
        with np.errstate(over="ignore"):
            half = value.astype(np.float16)
        if np.array_equal(half, value):
            return self.add("Cast", self.constant(name, half), to=TensorProto.FLOAT)
        return self.constant(name, value)

    def integers(self, *values: int) -> str:
        """Keep an INT64 vector, such as axes or a shape, and return its name."""
        import numpy as np

        return self.constant("i64_" + "_".join(map(str, values)), np.array(values, np.int64))

    def scalar(self, name: str, value: float) -> str:
        """Keep an FP32 scalar and return its name."""
        import numpy as np

        return self.constant(name, np.array(value, np.float32))

    def add(self, operator: str, *inputs: str, **attributes: Attribute) -> str:
        """Add a node of the standard operators with one output, and return the output's name."""
        output = f"{operator}_{len(self.nodes)}"
        self.add_named(operator, inputs, [output], **attributes)
        return output

    def add_named(self, operator: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Attribute) -> None:
        """Add a node whose outputs have these names; `domain` among the attributes is the operator's domain."""
        from onnx import helper

        self.nodes.append(helper.make_node(operator, inputs, outputs, f"{operator}_{len(self.nodes)}", **attributes))

    def serialized(self, inputs: Sequence[ValueInfo], outputs: Sequence[ValueInfo], at: str) -> bytes:
        """Return the bytes of the model; `at` is the place of the diagnostic if they do not fit in one file."""
        from onnx import TensorProto, helper

        def declared(tensors: Sequence[ValueInfo]) -> list[Any]:
            return [helper.make_tensor_value_info(t.name, getattr(TensorProto, t.element), t.dims) for t in tensors]

        if too_large(self.nbytes):
            raise fatal(
                "export-too-large",
                at,
                f"the weights take {self.nbytes:,} bytes in ONNX, but a file can hold only {LARGEST_BYTES:,}",
                "Choose a smaller model, or set the precision of an embedder to fp16 or int8.",
            )
        graph = helper.make_graph(self.nodes, "tritonrepo", declared(inputs), declared(outputs))
        model = helper.make_model(
            graph,
            ir_version=IR_VERSION,
            producer_name="tritonrepo",
            opset_imports=[helper.make_opsetid(domain, version) for domain, version in self._opsets().items()],
        )
        # Only now: both functions copy what they are given, and weights can take gigabytes.
        model.graph.initializer.extend(self.constants.values())
        return bytes(model.SerializeToString(deterministic=True))

    def _opsets(self) -> Mapping[str, int]:
        """Return the versions of the operator sets in use; Microsoft's is named only where a node needs it."""
        return {"": OPSET} | ({CONTRIB: 1} if any(node.domain == CONTRIB for node in self.nodes) else {})
