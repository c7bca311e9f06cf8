"""An ONNX graph with its weights in fewer bits: FP16, or INT8 with a scale for each column of a matrix.

Only matrices change: those of MatMul and Gemm, and the tables of Gather. Everything between them, such as softmax and
layer norm, and the graph's inputs and outputs stay as they are. With FP16, products are computed in it, as the tensor
cores of a GPU do; on a CPU, ONNX Runtime computes them in FP32. With INT8, the weights become FP32 when the graph is
loaded, and the rows of a table when they are read.

A vector must be the same wherever it is computed, or an index would not fit its server. 8-bit activations do not keep
it: with DynamicQuantizeLinear, a vector depends on the other texts of its batch (MiniLM: a cosine down to 0.986), and
with a scale for each token, on the optimizations of ONNX Runtime (0.9986). After DequantizeLinear, ONNX Runtime 1.32
rounds activations to 8 bits as well (0.9998); after Cast and Mul, no version does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal

from tritonrepo.export.graph import LARGEST_BYTES

if TYPE_CHECKING:
    from numpy.typing import NDArray

Precision = Literal["fp16", "int8"]

FLOAT, FLOAT16, BFLOAT16 = 1, 10, 16
"""The element types' numbers (onnx, onnx.proto, TensorProto.DataType)."""

MATRICES = {"MatMul": 1, "Gemm": 1, "Gather": 0}
"""The index of the input that can be a matrix of weights."""

LARGEST_FP16 = 65504.0
LARGEST_INT8 = 127
MATRIX = 2


class UnfitError(ValueError):
    """The reason why the weights of a graph cannot be converted."""


def lowered(model: Any, precision: Precision) -> bytes:  # noqa: ANN401  onnx has no types
    """Return a ModelProto with its weights in this precision; raise UnfitError if that is not possible."""
    lowering = _Lowering(model.graph)
    convert = {"fp16": lowering.half, "int8": lowering.eighth}[precision]
    nodes = [new for node in model.graph.node for new in lowering.converted(node, convert)]
    if not lowering.made:
        raise UnfitError("it has no FP32 matrices as weights")
    lowering.finish(nodes)
    if (size := model.ByteSize()) > LARGEST_BYTES:
        raise UnfitError(f"it would still have {size:,} bytes, but a file can hold only {LARGEST_BYTES:,}")
    return bytes(model.SerializeToString(deterministic=True))


Convert = Callable[[Any, int, "NDArray[Any]"], "Iterator[Any]"]
"""Yields what replaces a node, whose input at an index is the matrix."""


class _Lowering:
    """A graph whose nodes are replaced; `made` are the new constants by name, `known` their names by what they are."""

    def __init__(self, graph: Any) -> None:  # noqa: ANN401  as above
        self.graph = graph
        self.constants = {each.name: each for each in graph.initializer}
        self.wide = {node.output[0]: node for node in graph.node if self._widens(node)}
        self.names = {name for node in _all(graph) for name in (*node.input, *node.output)} | self.constants.keys()
        self.made: dict[str, Any] = {}
        self.known: dict[tuple[str, str, tuple[int, ...]], str] = {}

    def converted(self, node: Any, convert: Convert) -> Iterator[Any]:  # noqa: ANN401  as above
        """Yield what replaces a node: itself if it reads no matrix of weights."""
        place = MATRICES.get(node.op_type, -1) if node.domain in {"", "ai.onnx"} else -1
        tensor = self._matrix(node.input[place]) if place >= 0 else None
        if tensor is None or len(tensor.dims) != MATRIX or _axis(node, "axis") != 0:
            yield node
            return
        yield from convert(node, place, _values(tensor))

    def _widens(self, node: Any) -> bool:  # noqa: ANN401  as above
        """Return whether a node only makes a constant of 16 bits FP32, as in graphs that FP32 would make too large."""
        tensor = self.constants.get(node.input[0]) if node.op_type == "Cast" else None
        return tensor is not None and tensor.data_type in {FLOAT16, BFLOAT16} and _axis(node, "to") == FLOAT

    def _matrix(self, name: str) -> Any:  # noqa: ANN401  as above
        """Return the constant that is a tensor in FP32, as it is or widened; None if it is none."""
        if name in self.wide:
            return self.constants[self.wide[name].input[0]]
        tensor = self.constants.get(name)
        return tensor if tensor is not None and tensor.data_type == FLOAT else None

    def half(self, node: Any, place: int, values: NDArray[Any]) -> Iterator[Any]:  # noqa: ANN401  as above
        """Yield a node that computes in FP16, between casts; itself if a weight is too large for that."""
        import numpy as np

        if not np.abs(values).max(initial=0) <= LARGEST_FP16:
            yield node
            return
        inputs = [*node.input]
        inputs[place] = self._constant(inputs[place], "fp16", values.astype(np.float16))
        for number, name in enumerate(node.input):
            if node.op_type != "Gather" and number != place and name:
                inputs[number] = self._name(f"{node.output[0]}_{number}_fp16")
                yield _node("Cast", [name], inputs[number], to=FLOAT16)
        narrow = self._name(f"{node.output[0]}_fp16")
        yield _changed(node, inputs, narrow)
        yield _node("Cast", [narrow], node.output[0], to=FLOAT)

    def eighth(self, node: Any, place: int, values: NDArray[Any]) -> Iterator[Any]:  # noqa: ANN401  as above
        """Yield a node whose weights are INT8, each row of a table and each column of a matrix with its own scale."""
        import numpy as np

        if not np.isfinite(values).all():
            yield node
            return
        axis = 1 if node.op_type == "Gather" or _axis(node, "transB") else 0
        scales = np.abs(values).max(axis=axis, keepdims=True, initial=0) / LARGEST_INT8
        scales[scales == 0] = 1
        whole = self._constant(node.input[place], "int8", np.rint(values / scales).astype(np.int8))
        scale = self._constant(node.input[place], "scale", scales)
        if node.op_type == "Gather":
            rows, factors = (self._name(f"{node.output[0]}_{part}") for part in ("int8", "scale"))
            yield _changed(node, [whole, node.input[1]], rows)
            yield _changed(node, [scale, node.input[1]], factors)
            yield from self._wide(rows, factors, node.output[0])
        else:
            wide = self._name(f"{node.output[0]}_weight")
            yield from self._wide(whole, scale, wide)
            yield _changed(node, [*node.input[:place], wide, *node.input[place + 1 :]], node.output[0])

    def _wide(self, whole: str, scale: str, output: str) -> Iterator[Any]:
        """Yield what makes INT8 values FP32."""
        cast = self._name(f"{output}_whole")
        yield _node("Cast", [whole], cast, to=FLOAT)
        yield _node("Mul", [cast, scale], output)

    def finish(self, nodes: Iterable[Any]) -> None:
        """Make these the nodes of the graph, without the constants that nothing reads any more."""
        nodes = list(nodes)
        del self.graph.node[:]
        self.graph.node.extend(nodes)
        unread = [node for name, node in self.wide.items() if not self._used()[name]]
        for node in unread:
            self.graph.node.remove(node)
        used = self._used()
        kept = [each for name, each in self.constants.items() if used[name]]
        listed = [each for each in self.graph.input if each.name not in self.constants or used[each.name]]
        for field, values in ((self.graph.initializer, [*kept, *self.made.values()]), (self.graph.input, listed)):
            del field[:]
            field.extend(values)

    def _used(self) -> Counter[str]:
        """Return how often each tensor is read."""
        used = Counter(name for node in _all(self.graph) for name in node.input)
        used.update(each.name for each in self.graph.output)
        return used

    def _constant(self, weight: str, ending: str, values: NDArray[Any]) -> str:
        """Keep what becomes of a weight, once for each layout, and return its name."""
        from onnx import numpy_helper

        key = (weight, ending, values.shape)
        if key not in self.known:
            self.known[key] = name = self._name(f"{weight}_{ending}")
            self.made[name] = numpy_helper.from_array(values, name)
        return self.known[key]

    def _name(self, name: str) -> str:
        """Return a name that no tensor has, which begins with this one."""
        while name in self.names:
            name += "_"
        self.names.add(name)
        return name


def _all(graph: Any) -> Iterator[Any]:  # noqa: ANN401  as above
    """Yield the nodes of a graph and of those in it."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in [attribute.g] if attribute.HasField("g") else attribute.graphs:
                yield from _all(inner)


def _values(tensor: Any) -> NDArray[Any]:  # noqa: ANN401  as above
    import numpy as np
    from onnx import numpy_helper

    return np.asarray(numpy_helper.to_array(tensor), np.float32)


def _axis(node: Any, name: str) -> int:  # noqa: ANN401  as above
    """Return an integer attribute of a node, 0 if it has none."""
    return int(next((attribute.i for attribute in node.attribute if attribute.name == name), 0))


def _node(operator: str, inputs: list[str], output: str, **attributes: int) -> Any:  # noqa: ANN401  as above
    from onnx import helper

    return helper.make_node(operator, inputs, [output], **attributes)


def _changed(node: Any, inputs: list[str], output: str) -> Any:  # noqa: ANN401  as above
    """Return a node of the same kind and attributes with other tensors."""
    from onnx import NodeProto

    changed = NodeProto()
    changed.CopyFrom(node)
    del changed.input[:], changed.output[:]
    changed.input.extend(inputs)
    changed.output.append(output)
    changed.ClearField("name")
    return changed
