"""A model's config after its backend has completed it, against which ensembles that use it are checked.

Nothing is executed; if a backend may have added something that cannot be seen here, the result says so.

Source: core, src/backend_model.cc, UpdateModelConfig (what the core accepts from a backend); onnxruntime_backend,
src/onnxruntime.cc, AutoCompleteConfig; python_backend, src/resources/triton_python_backend_utils.py, ModelConfig;
vllm_backend, src/model.py, auto_complete_config.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from tritonrepo.repository.graphs import graphs
from tritonrepo.repository.model import Model
from tritonrepo.repository.once import lasting
from tritonrepo.repository.sessions import Session, Value, sessions, unlisted
from tritonrepo.repository.tensors import ListedTensor
from tritonrepo.vllm_contract import contract

SILENT = frozenset({"identity", "square", "repeat"})
"""Backends that return no config to the core: their sources have no SetModelConfig."""

NEVER = SILENT | {"pytorch"}
"""Backends that complete nothing; pytorch returns what it received."""

PLAIN_CLASS = re.compile(rb"^class TritonPythonModel[ \t]*+(?:\([ \t]*+(?:object[ \t]*+)?\)[ \t]*+)?:", re.MULTILINE)
SCRIPT_BYTES = 1 << 20
"""A larger model.py is not read: it may complete its config."""

INVALID = "TYPE_INVALID"


class Port(NamedTuple):
    """An input or output of a loaded model; `listed` is its place in the config, None if the backend adds it."""

    name: str
    data_type: str
    dims: tuple[int, ...]
    optional: bool
    listed: ListedTensor | None = None


class Completed(NamedTuple):
    """A config after completion.

    Unless `exact`, the backend may add tensors, fill in missing types and dims, and raise a max_batch_size of 0; what
    is written stays. `decoupled` is None if it is unknown.
    """

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    max_batch_size: int
    decoupled: bool | None
    exact: bool


@lasting
def completed(model: Model) -> Completed:
    """Return the completed config; an ensemble's is never completed, and `decoupled` follows from its steps: None."""
    inputs = tuple(_port(tensor) for tensor in model.tensors if tensor.kind == "input")
    outputs = tuple(_port(tensor) for tensor in model.tensors if tensor.kind == "output")
    if model.backend == "vllm" and model.target.auto_complete:
        return _vllm(model, inputs, outputs)
    if model.backend == "onnxruntime" and (found := _onnx(model, inputs, outputs)) is not None:
        return found
    exact = not may_complete(model)
    return Completed(inputs, outputs, model.max_batch_size, _decoupled(model, exact=exact), exact)


def may_complete_tensors(model: Model) -> bool:
    """Return whether the backend may still set the type and dims of a listed input or output."""
    if not model.target.auto_complete or model.is_ensemble or model.backend in NEVER | {"vllm"}:
        return False
    return model.backend != "onnxruntime" and (model.backend != "python" or _python_completes(model))


def may_complete(model: Model) -> bool:
    """Return whether the backend may add inputs or outputs and raise max_batch_size."""
    if model.target.auto_complete and model.backend == "vllm":  # adds what is missing, and leaves what is listed
        return True
    if model.target.auto_complete and model.backend == "onnxruntime":
        return bool(unlisted(model))
    return may_complete_tensors(model)


def may_complete_inputs(model: Model) -> bool:
    """Return whether the backend may add inputs or raise max_batch_size.

    ONNX Runtime's leaves listed inputs as they are where it adds outputs, and the graph says whether the model batches.
    """
    if not may_complete(model):
        return False
    if model.backend != "onnxruntime" or "input" in unlisted(model):
        return True
    found = completed(model)
    return not found.exact or found.max_batch_size != model.max_batch_size


def _port(tensor: ListedTensor) -> Port:
    return Port(tensor.name, tensor.data_type or INVALID, tuple(tensor.dims), tensor.flag("optional"), tensor)


def _decoupled(model: Model, *, exact: bool) -> bool | None:
    if model.is_ensemble:
        return None
    policy = model.config.message("model_transaction_policy")
    if policy is None and not exact and model.backend != "onnxruntime":
        return None
    return policy is not None and policy.flag("decoupled")


def _vllm(model: Model, inputs: tuple[Port, ...], outputs: tuple[Port, ...]) -> Completed:
    """Add what the contract has and the config lacks, by name; listed tensors are not compared."""
    listed = {("input", port.name) for port in inputs} | {("output", port.name) for port in outputs}
    added = [tensor for tensor in contract(model.target.release.name) if (tensor.kind, tensor.name) not in listed]
    ports = {
        kind: tuple(Port(t.name, t.data_type, t.dims, t.optional) for t in added if t.kind == kind)
        for kind in ("input", "output")
    }
    return Completed(inputs + ports["input"], outputs + ports["output"], 0, decoupled=True, exact=True)


def _onnx(model: Model, inputs: tuple[Port, ...], outputs: tuple[Port, ...]) -> Completed | None:
    """Fill the empty lists from the graph; None if it cannot be read, or if the graphs of several versions differ."""
    opened = sessions(model) if model.target.auto_complete else ()
    found = {
        Completed(
            _filled("input", inputs, session),
            _filled("output", outputs, session),
            session.max_batch_size or 0,
            _decoupled(model, exact=True),
            exact=True,
        )
        for session in opened
        if session.max_batch_size is not None and None not in {value.dims for value in session.outputs.values()}
    }
    return found.pop() if len(found) == 1 and len(opened) == len(graphs(model)) else None


def _filled(kind: str, listed: tuple[Port, ...], session: Session) -> tuple[Port, ...]:
    if kind not in session.filled:
        return listed
    tensors = session.inputs if kind == "input" else session.outputs
    return tuple(_added(name, value, batching=bool(session.max_batch_size)) for name, value in tensors.items())


def _added(name: str, value: Value, *, batching: bool) -> Port:
    dims = (value.dims or ())[1 if batching else 0 :] or (1,)
    return Port(name, f"TYPE_{value.data_type}" if value.data_type else INVALID, dims, optional=False)


def _python_completes(model: Model) -> bool:
    """Return whether the model's files may have auto_complete_config; imports are not followed, and count as yes."""
    name = model.inferred.filename or "model.py"
    for version in model.served:
        file = model.file(f"{model.directory_of(version)}/{name}")
        if file is None:
            continue
        if file.size > SCRIPT_BYTES:
            return True
        text = file.content()
        imports = b"TritonPythonModel" in text or b"import" in text
        if b"auto_complete_config" in text or (imports and not PLAIN_CLASS.search(text)):
            return True
    return False
