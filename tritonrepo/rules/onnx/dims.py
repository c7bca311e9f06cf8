"""The dims of a config that do not agree with the shapes of the graph: loose for inputs, exact for outputs.

Source: onnxruntime_backend, src/onnxruntime_utils.cc, CompareDimsSupported.
"""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.repository import Model
from tritonrepo.repository.sessions import VARIABLE
from tritonrepo.rules.onnx.compared import Pair, found, pairs, shape
from tritonrepo.rules.onnx.mismatch import BOTH, Difference, compared, difference, own
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage


@rule(
    "onnx-dims-mismatch-batching",
    Severity.ERROR,
    "backend=onnxruntime",
    at=Stage.INSTANCE.same_walk("onnx-scalar-dims"),
)
def dims_batching(model: Model) -> Iterator[Finding]:
    """With batching, dims must be the shape of the graph without its first dimension."""

    def check(pair: Pair) -> Finding | None:
        differs = _plain(pair)
        if differs is None or not pair.session.max_batch_size:
            return None
        written = own(pair.tensor)
        if len(written) == len(differs.graph) and (written[0] == VARIABLE or list(written[:1]) == [1] != list(written)):
            return _batch_twice(differs)
        message = f"{pair.name} has dims {shape(written)}, but {pair.graph} has {_after(differs)}"
        return differs.finding(message, f"Set `{differs.right}`.")

    return found(model, BOTH, check)


@rule(
    "onnx-dims-mismatch",
    Severity.ERROR,
    "backend=onnxruntime",
    at=Stage.INSTANCE.same_walk("onnx-dims-mismatch-batching"),
)
def dims_alone(model: Model) -> Iterator[Finding]:
    """Without batching, dims must be the shape of the graph."""
    compares = [pair for kind in BOTH for pair in pairs(model, kind) if compared(pair) is not None]
    lacking = [differs for pair in compares if (differs := _plain(pair)) is not None and differs.lacks_batch]
    if lacking and len(lacking) == len(compares):
        names = " and ".join(dict.fromkeys(differs.pair.name for differs in lacking[:2]))
        more = " and others" if len(lacking) > 2 else ""  # noqa: PLR2004  both are named
        first, name = lacking[0], f"{names}{more}"
        message = (
            f"dims of {name} lack the first dimension of {first.pair.graph}, and without max_batch_size it is not added"
        )
        hint = f"Set max_batch_size, if that dimension is the batch, or write it into dims: `{first.right}`."
        yield first.finding(message, hint)._replace(item=first.pair.tensor.item)
        return

    def check(pair: Pair) -> Finding | None:
        differs = _plain(pair)
        if differs is None or pair.session.max_batch_size:
            return None
        message = f"{pair.name} has dims {shape(differs.config)}, but {pair.graph} has shape {shape(differs.graph)}"
        return differs.finding(message, f"Set `{differs.right}`.")

    yield from found(model, BOTH, check)


@rule(
    "onnx-output-dims-exact",
    Severity.ERROR,
    "backend=onnxruntime",
    at=Stage.INSTANCE.same_walk("onnx-dims-mismatch"),
)
def output_exact(model: Model) -> Iterator[Finding]:
    """A dim of an output must be -1 in the config if it is variable in the graph, and only then."""

    def check(pair: Pair) -> Finding | None:
        differs = difference(pair)
        if differs is None or not differs.exactness or 0 in differs.graph:
            return None
        graph = _after(differs) if pair.session.max_batch_size else f"shape {shape(differs.graph)}"
        message = (
            f"{pair.name} has dims {shape(own(pair.tensor))}, but {pair.graph} has {graph}; outputs must agree exactly"
        )
        return differs.finding(message, f"Set `{differs.right}`.")

    return found(model, BOTH, check)


def _plain(pair: Pair) -> Difference | None:
    """Return a difference that is not one of another rule."""
    differs = difference(pair)
    return None if differs is None or differs.exactness or 0 in differs.graph else differs


def _after(differs: Difference) -> str:
    return f"{shape(differs.graph[1:]) if differs.graph[1:] else 'nothing'} after the batch dimension"


def _batch_twice(differs: Difference) -> Finding:
    """Return the finding on dims that also have the batch."""
    pair, size = differs.pair, differs.pair.session.max_batch_size
    right = f"Set `{differs.right}`"
    why, hint = f"max_batch_size {size} adds it", f"{right}."
    if pair.session.filled and not pair.model.max_batch_size:
        lists = " and no ".join(sorted(pair.session.filled))
        why = f"the backend sets max_batch_size to {size}, since the config lists no {lists}"
        hint = f"{right}, or list inputs and outputs, which keeps max_batch_size at 0."
    message = f"{pair.name} has dims {shape(own(pair.tensor))}, which repeat the batch dimension: {why}"
    return differs.finding(message, hint)
