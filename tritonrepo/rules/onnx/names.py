"""Names, types and flags of the inputs and outputs of a config against the graph.

Source: onnxruntime_backend, src/onnxruntime.cc, ModelInstanceState::ValidateInputs and ValidateOutputs; backend,
src/backend_common.cc, CheckAllowedModelInput and CheckAllowedModelOutput. The backend walks over the inputs, then over
the outputs, and makes these checks for each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tritonrepo.diagnostics import Severity, nearest
from tritonrepo.repository import Model
from tritonrepo.repository.sessions import sessions
from tritonrepo.rules.onnx.compared import Pair, found, graph_of, place, shape
from tritonrepo.rules.onnx.counted import besides, differs
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage

WORDS = {"STRING": "BYTES"}
"""The server's own names of types in these texts."""


@rule(
    "onnx-optional-with-batching",
    Severity.ERROR,
    "backend=onnxruntime",
    at=Stage.INSTANCE.after("onnx-input-count"),
)
def optional_with_batching(model: Model) -> Iterator[Finding]:
    """An ONNX model that batches cannot have optional inputs."""
    seen = set[int]()
    for session in sessions(model):
        for tensor in model.tensors if session.max_batch_size else ():
            required = tensor.name in session.inputs and differs(model, session)
            if tensor.kind == "input" and tensor.flag("optional") and not required and tensor.item not in seen:
                seen.add(tensor.item)
                yield Finding(
                    place(tensor, "optional"),
                    f'input "{tensor.name}" is optional, which the backend does not allow with batching',
                    hint="Remove this input from the config, or set `max_batch_size: 0` and write the batch into dims.",
                    reason=f"unable to load model '{model.name}', optional input '{tensor.name}' is not supported for "
                    "models that support batching",
                    item=tensor.item,
                )


@rule(
    "onnx-unknown-input",
    Severity.ERROR,
    "backend=onnxruntime",
    at=Stage.INSTANCE.same_walk("onnx-optional-with-batching"),
)
def unknown_input(model: Model) -> Iterator[Finding]:
    """Every listed input must be an input of the graph."""
    return _unknown(model, "input")


@rule("onnx-input-dtype", Severity.ERROR, "backend=onnxruntime", at=Stage.INSTANCE.same_walk("onnx-unknown-input"))
def input_type(model: Model) -> Iterator[Finding]:
    """The data type of an input must be the graph's."""
    return found(model, ("input",), _type_differs)


@rule("onnx-unknown-output", Severity.ERROR, "backend=onnxruntime", at=Stage.INSTANCE.same_walk("onnx-input-dtype"))
def unknown_output(model: Model) -> Iterator[Finding]:
    """Every listed output must be an output of the graph."""
    return _unknown(model, "output")


@rule("onnx-output-dtype", Severity.ERROR, "backend=onnxruntime", at=Stage.INSTANCE.same_walk("onnx-unknown-output"))
def output_type(model: Model) -> Iterator[Finding]:
    """The data type of an output must be the graph's."""
    return found(model, ("output",), _type_differs)


@rule("onnx-ragged-optional", Severity.ERROR, "backend=onnxruntime", at=Stage.INSTANCE.same_walk("onnx-output-dtype"))
def ragged_optional(model: Model) -> Iterator[Finding]:
    """An input cannot be both optional and ragged."""

    def check(pair: Pair) -> Finding | None:
        tensor = pair.tensor
        both = tensor.flag("optional") and tensor.flag("allow_ragged_batch")
        if not both or pair.session.max_batch_size or tensor.name in pair.session.inputs:
            return None
        return Finding(
            place(tensor, "allow_ragged_batch"),
            f"{pair.name} is optional, so it cannot have allow_ragged_batch",
            hint="Remove allow_ragged_batch.",
            reason=f"for ragged input '{tensor.name}', which is not supported for optional input",
        )

    return found(model, ("input",), check)


@rule("onnx-ragged-shape", Severity.ERROR, "backend=onnxruntime", at=Stage.INSTANCE.same_walk("onnx-ragged-optional"))
def ragged_shape(model: Model) -> Iterator[Finding]:
    """A ragged input must have the shape [-1] in the graph."""

    def check(pair: Pair) -> Finding | None:
        dims, tensor = pair.value.dims or (), pair.tensor
        if not tensor.flag("allow_ragged_batch") or tensor.flag("optional") or dims == (-1,):
            return None
        return Finding(
            place(tensor, "allow_ragged_batch"),
            f"{pair.name} has allow_ragged_batch, but {pair.graph} has shape {shape(dims)}, not [-1]",
            hint="Remove allow_ragged_batch, or export a graph whose input has one variable dimension.",
            reason=f"{pair.prefix}configuration expects model provides input with shape [-1]  for ragged input "
            f"'{tensor.name}', model provides {shape(dims)}",
        )

    return found(model, ("input",), check)


def _unknown(model: Model, kind: str) -> Iterator[Finding]:
    """Yield the listed tensors that a graph does not have; those of a wrong number of inputs are counted elsewhere."""
    seen = set[int]()
    for session in sessions(model):
        known = session.outputs if kind == "output" else {**session.inputs, **session.overridable}
        listed = [tensor for tensor in model.tensors if tensor.kind == kind]
        free = [name for name in known if name not in {tensor.name for tensor in listed} | set(besides(model))]
        counted = kind == "input" and differs(model, session)
        for tensor in listed:
            if tensor.name in known or tensor.item in seen or (counted and not tensor.flag("optional")):
                continue
            seen.add(tensor.item)
            yield Finding(
                place(tensor, "name"),
                f'{graph_of(model, session)} has no {kind} "{tensor.name}"',
                hint=_meant(tensor.name, free, kind, sorted(known)),
                reason=f"unexpected inference {kind} '{tensor.name}', allowed {kind}s are: {', '.join(sorted(known))}",
                item=tensor.item,
            )


def _meant(name: str, free: Sequence[str], kind: str, known: Sequence[str]) -> str:
    meant = free[0] if len(free) == 1 and kind == "input" else nearest(name, free)
    return f'Did you mean "{meant}"?' if meant else f"Use {', '.join(known)}."


def _type_differs(pair: Pair) -> Finding | None:
    listed, graph = pair.tensor.data_type, pair.value.data_type
    if graph is None or listed in {"", "TYPE_INVALID", f"TYPE_{graph}"} or not listed.startswith("TYPE_"):
        return None
    return Finding(
        place(pair.tensor, "data_type"),
        f"{pair.name} has data_type {listed}, but {pair.graph} has TYPE_{graph}",
        hint=f"Set `data_type: TYPE_{graph}`.",
        reason=f"{pair.prefix}configuration expects datatype {listed} for {pair.tensor.kind} '{pair.tensor.name}', "
        f"model provides TYPE_{WORDS.get(graph, graph)}",
    )
