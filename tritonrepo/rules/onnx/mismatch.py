"""Where the dims of a config and the shape of a graph differ, which kind of difference it is, and what would be right.

Source: onnxruntime_backend, src/onnxruntime_utils.cc, CompareDimsSupported.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tritonrepo.diagnostics import Fix
from tritonrepo.pbtxt.nodes import Placed
from tritonrepo.repository import Model
from tritonrepo.repository.once import once
from tritonrepo.repository.sessions import VARIABLE, Value
from tritonrepo.repository.tensors import ListedTensor
from tritonrepo.rules.onnx.compared import Dims, Pair, configured, pairs, place, shape
from tritonrepo.rules.registry import Finding

BOTH = ("input", "output")
INITIAL = (
    "an initial batch dimension because max_batch_size > 0 followed by the explicit tensor shape, making complete "
)


class Difference(NamedTuple):
    """A listed tensor whose shape the backend refuses: the graph's shape and the config's, both with the batch.

    `sure` is False if ONNX Runtime may have inferred sizes of the graph's variable dims.
    """

    pair: Pair
    graph: Dims
    config: Dims
    sure: bool

    @property
    def exactness(self) -> bool:
        """Whether the shapes differ only where one is variable, in an output: requests could have worked."""
        dims = zip(self.graph, self.config, strict=False)
        output = self.pair.tensor.kind == "output" and len(self.graph) == len(self.config)
        return output and all(a == b or VARIABLE in {a, b} for a, b in dims)

    def finding(self, message: str, hint: str, fix: Fix | None = None) -> Finding:
        """Return the finding at the tensor's dims, or at its reshape if it has one, with the server's words."""
        batching = INITIAL if self.pair.session.max_batch_size else ""
        start = f"model '{self.pair.model.name}', tensor '{self.pair.tensor.name}': the model expects "
        start += f"{len(self.graph)} dimensions (shape "
        rest = f"{shape(self.graph)}) but the model configuration specifies {len(self.config)} dimensions "
        reason = f"{start}{rest}({batching}shape {shape(self.config)})" if self.sure else start
        tensor = self.pair.tensor
        return Finding(at(tensor), message, hint=hint, reason=reason, item=tensor.item, fix=fix)

    @property
    def lacks_batch(self) -> bool:
        """Whether the config would agree if the server added the batch to it."""
        batching = self.pair.session.max_batch_size
        return not batching and self.graph[0] == VARIABLE and _fits(self.graph[1:], self.config, exact=False)

    @property
    def right(self) -> str:
        """What to write in the config."""
        return configured(self.graph, batching=bool(self.pair.session.max_batch_size))


def own(tensor: ListedTensor) -> Sequence[int]:
    """Return the dims that the backend compares: those of reshape, if there is one."""
    return tensor.dims if tensor.reshape is None else tensor.reshape.numbers("shape")


def at(tensor: ListedTensor) -> Placed:
    """Return the place of the dims that the backend compares."""
    return place(tensor, "dims") if tensor.reshape is None else tensor.reshape


def compared(pair: Pair) -> Value | None:
    """Return the graph's value if the backend compares its shape with the config's.

    It does not for a ragged input and a batch_output, nor does it come so far for an optional input with batching.
    """
    tensor = pair.tensor
    if not tensor.dims or (tensor.flag("optional") and pair.session.max_batch_size):
        return None
    if tensor.kind == "input":
        return None if tensor.flag("allow_ragged_batch") else pair.value
    return None if tensor.name in _scattered(pair.model) else pair.value


@once
def _scattered(model: Model) -> frozenset[str]:
    """Return the outputs that a batch_output names."""
    return frozenset(name for each in model.config.messages("batch_output") for name in each.texts("target_name"))


@once
def differences(model: Model) -> Sequence[Difference]:
    """Return where the shapes differ for certain: one for each listed tensor, in the first version that has one."""
    found: dict[int, Difference] = {}
    for pair in pairs(model):
        if pair.tensor.item not in found and (differs := _difference(pair)) is not None:
            found[pair.tensor.item] = differs
    return [found[item] for item in sorted(found)]


def _difference(pair: Pair) -> Difference | None:
    value, size = compared(pair), pair.session.max_batch_size
    if value is None or size is None:
        return None
    config = (VARIABLE, *own(pair.tensor)) if size else tuple(own(pair.tensor))
    output, dims = pair.tensor.kind == "output", value.dims
    if dims is not None and (not dims or (size and dims[0] != VARIABLE) or _fits(dims, config, exact=output)):
        return None
    if dims is not None and (value.sure or not _fits(dims, config, exact=False)):
        return Difference(pair, dims, config, value.sure or VARIABLE not in dims[1 if size else 0 :])
    kept = pair.session.output(pair.tensor.name) if output else value
    if not kept.sure or not kept.dims or _fits(kept.dims, config, exact=True):
        return None
    return Difference(pair, kept.dims, config, sure=True)


def _fits(graph: Dims, config: Dims, *, exact: bool) -> bool:
    return len(graph) == len(config) and all(
        a == b or (a == VARIABLE and not exact) for a, b in zip(graph, config, strict=True)
    )
