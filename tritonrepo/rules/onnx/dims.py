"""The dims of a config that do not agree with the shapes of the graph: loose for inputs, exact for outputs.

Source: onnxruntime_backend, src/onnxruntime_utils.cc, CompareDimsSupported.
"""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.repository import Model
from tritonrepo.repository.sessions import VARIABLE
from tritonrepo.rules.onnx.compared import pairs, shape
from tritonrepo.rules.onnx.fixing import shaped
from tritonrepo.rules.onnx.mismatch import Difference, compared, differences, own
from tritonrepo.rules.registry import Finding, rule, rules
from tritonrepo.rules.stages import Stage

BATCHING, ALONE = "onnx-dims-mismatch-batching", "onnx-dims-mismatch"


@rules(
    {BATCHING: Severity.ERROR, ALONE: Severity.ERROR},
    "backend=onnxruntime",
    at=Stage.INSTANCE.same_walk("onnx-scalar-dims"),
)
def dims(model: Model, name: str) -> Iterator[Finding]:
    """Yield dims that are not the shape in the graph, which with max_batch_size is that without its first dimension."""
    batching = name == BATCHING
    found = [differs for differs in _plain(model) if bool(differs.pair.session.max_batch_size) is batching]
    if found and all(differs.lacks_batch for differs in found) and len(found) == len(_compared(model)):
        yield _lacking(found)
        return
    for differs in found:
        if batching and _repeats_batch(differs):
            yield _batch_twice(differs)
        else:
            yield differs.finding(_message(differs), f"Set `{differs.right}`.", shaped(differs))


@rule(
    "onnx-output-dims-exact",
    Severity.ERROR,
    "backend=onnxruntime",
    at=Stage.INSTANCE.same_walk(ALONE),
)
def output_exact(model: Model) -> Iterator[Finding]:
    """A dim of an output must be -1 if it is variable in the ONNX graph, and only then."""
    for differs in differences(model):
        if differs.exactness and 0 not in differs.graph:
            message = f"{_message(differs)}; outputs must agree exactly"
            yield differs.finding(message, f"Set `{differs.right}`.", shaped(differs))


def _repeats_batch(differs: Difference) -> bool:
    written = list(own(differs.pair.tensor))
    return len(written) == len(differs.graph) and (written[0] == VARIABLE or written[:1] == [1] != written)


def _message(differs: Difference) -> str:
    pair, written = differs.pair, shape(own(differs.pair.tensor))
    graph = _after(differs) if pair.session.max_batch_size else f"shape {shape(differs.graph)}"
    return f"{pair.name} has dims {written}, but {pair.graph} has {graph}"


def _plain(model: Model) -> list[Difference]:
    """Return the differences that are not those of another rule."""
    return [differs for differs in differences(model) if not differs.exactness and 0 not in differs.graph]


def _compared(model: Model) -> set[int]:
    """Return the listed tensors whose shapes the backend compares, by their items."""
    return {pair.tensor.item for pair in pairs(model) if compared(pair) is not None}


def _lacking(alone: list[Difference]) -> Finding:
    """Return the one finding on a config whose dims all lack the batch."""
    first, names = alone[0], " and ".join(differs.pair.name for differs in alone[:2])
    more = " and others" if len(alone) > 2 else ""  # noqa: PLR2004  both are named
    return first.finding(
        f"dims of {names}{more} lack the first dimension of {first.pair.graph}, and without max_batch_size it is not "
        "added",
        f"Set max_batch_size, if that dimension is the batch, or write it into dims: `{first.right}`.",
        shaped(*alone),
    )


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
    return differs.finding(message, hint, shaped(differs))
