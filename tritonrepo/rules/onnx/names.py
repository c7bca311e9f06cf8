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
from tritonrepo.rules.onnx.compared import MOST, Pair, found, graph_of, listing, place
from tritonrepo.rules.onnx.counted import besides, differs
from tritonrepo.rules.onnx.fixing import renamed, typed
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage

GUESSED = 50
"""So many unknown names are compared with those of the graph."""

WORDS = {"STRING": "BYTES"}
"""The server's own names of types in these texts."""


@rule(
    "onnx-optional-with-batching",
    Severity.ERROR,
    "*.optional",
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
    """Every listed input must be an input of the ONNX graph."""
    return _unknown(model, "input")


@rule("onnx-input-dtype", Severity.ERROR, "backend=onnxruntime", at=Stage.INSTANCE.same_walk("onnx-unknown-input"))
def input_type(model: Model) -> Iterator[Finding]:
    """The data type of an input must be that of the ONNX graph."""
    return found(model, _type_differs, "input")


@rule("onnx-unknown-output", Severity.ERROR, "backend=onnxruntime", at=Stage.INSTANCE.same_walk("onnx-input-dtype"))
def unknown_output(model: Model) -> Iterator[Finding]:
    """Every listed output must be an output of the ONNX graph."""
    return _unknown(model, "output")


@rule("onnx-output-dtype", Severity.ERROR, "backend=onnxruntime", at=Stage.INSTANCE.same_walk("onnx-unknown-output"))
def output_type(model: Model) -> Iterator[Finding]:
    """The data type of an output must be that of the ONNX graph."""
    return found(model, _type_differs, "output")


def _unknown(model: Model, kind: str) -> Iterator[Finding]:
    """Yield the listed tensors that a graph does not have; those of a wrong number of inputs are counted elsewhere."""
    seen = set[int]()
    for session in sessions(model):
        names = session.outputs if kind == "output" else {**session.inputs, **session.overridable}
        listed = [tensor for tensor in model.tensors if tensor.kind == kind]
        if all(tensor.name in names for tensor in listed):
            continue
        known = sorted(names)
        taken = {tensor.name for tensor in listed} | set(besides(model))
        free = [name for name in known if name not in taken]
        required = [name for name in free if name in session.inputs] or free
        counted = kind == "input" and differs(model, session)
        for tensor in listed:
            if tensor.name in names or tensor.item in seen or (counted and not tensor.flag("optional")):
                continue
            allowed = "" if seen else ", ".join(known)
            seen.add(tensor.item)
            meant = _meant(tensor.name, required[: 0 if len(seen) > GUESSED else MOST], kind)
            yield Finding(
                place(tensor, "name"),
                f'{graph_of(model, session)} has no {kind} "{tensor.name}"',
                hint=f'Did you mean "{meant}"?' if meant else f"Use {listing(known)}.",
                reason=f"unexpected inference {kind} '{tensor.name}', allowed {kind}s are: {allowed}",
                item=tensor.item,
                fix=renamed(model, tensor, meant) if meant else None,
            )


def _meant(name: str, free: Sequence[str], kind: str) -> str:
    alike = [each for each in free if each.casefold() == name.casefold()]
    return free[0] if len(free) == 1 and kind == "input" else next(iter(alike), nearest(name, free))


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
        fix=typed(pair),
    )
