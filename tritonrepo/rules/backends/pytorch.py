"""What the PyTorch backend requires of a config for TorchScript, which it never completes.

Source of all: pytorch_backend, src/pt/model_instance_state.cc (until r26.01 src/libtorch.cc), ValidateInputs,
ValidateOutputs, GetNamingConvention; src/libtorch_utils.cc, ModelConfigDataTypeToTorchType.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.repository import Model
from tritonrepo.repository.tensors import ListedTensor
from tritonrepo.rules.backends.model_files import AOTI
from tritonrepo.rules.backends.places import judged
from tritonrepo.rules.fields.tensors import called
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.scheduling.states import states
from tritonrepo.rules.stages import Stage

WITHOUT_COUNTERPART = frozenset({"TYPE_UINT16", "TYPE_UINT32", "TYPE_UINT64", "TYPE_BF16"})
INDEXED = re.compile(r"(?s)(?:(?!__).)*__([0-9]*)\Z")
"""A name that the backend splits at its first `__`: what follows is the position of the tensor."""

FORM = "NAME__INDEX, such as OUTPUT__0"


def is_script(model: Model) -> bool:
    """Whether the stock backend loads the model as TorchScript."""
    return judged(model) and model.inferred.platform != AOTI


@rule("pytorch-no-autocomplete", Severity.ERROR, "backend=pytorch", at=Stage.INSTANCE.after("pytorch-load-failed"))
def no_autocomplete(model: Model) -> Iterator[Finding]:
    """The config of a PyTorch model must list its inputs and outputs."""
    if not is_script(model) or not model.served or (model.parsed is None and not model.target.auto_complete):
        return
    listed = {tensor.kind for tensor in model.tensors}
    for kind in ("input", "output"):
        if kind not in listed:
            reason = "model configuration must contain at least one output, none were specified."
            yield Finding(
                None,
                f"the config has no {kind}, and the PyTorch backend does not complete it",
                hint=f"Add `{kind} {{ name: ... data_type: ... dims: ... }}` for each of them.",
                reason=reason if kind == "output" and "input" in listed else "",
            )


@rule("pytorch-datatype", Severity.ERROR, "backend=pytorch", at=Stage.INSTANCE.after("pytorch-no-autocomplete"))
def data_type(model: Model) -> Iterator[Finding]:
    """An input or output of a TorchScript model must have a data type that the PyTorch backend knows."""
    for tensor in model.tensors if is_script(model) else ():
        if tensor.data_type in WITHOUT_COUNTERPART:
            yield Finding(
                tensor.fields["data_type"].value,
                f"{called(tensor)} has {tensor.data_type}, which the PyTorch backend does not support",
                hint="Use a signed type, TYPE_UINT8, TYPE_BOOL, TYPE_STRING or a float type, and convert in the model.",
                reason=f"unsupported datatype {tensor.data_type} for {tensor.kind} '{tensor.name}' "
                f"for model '{model.name}'",
                item=tensor.item,
            )


@rule("pytorch-string-dims", Severity.ERROR, "backend=pytorch", at=Stage.INSTANCE.same_walk("pytorch-datatype"))
def string_dims(model: Model) -> Iterator[Finding]:
    """A string input or output of a TorchScript model must have one dimension, the batch included."""
    batch = 1 if model.max_batch_size > 0 else 0
    for tensor in model.tensors if is_script(model) else ():
        count = len(_shape(tensor)) + batch
        if tensor.data_type == "TYPE_STRING" and count > 1:
            counted = f"{count} dimensions" + (", one of which is the batch" if batch else "")
            yield Finding(
                tensor.fields.get("dims", tensor.node),
                f"{called(tensor)} is a string with {counted}, but the PyTorch backend supports only one",
                hint="Add `reshape { shape: [ ] }` if dims is [ 1 ]." if batch else "Use a single dimension.",
                reason="Triton only supports 1 dimensional List of String as "
                f"{tensor.kind} for '{tensor.name}' for model '{model.name}'",
                item=tensor.item,
            )


def _shape(tensor: ListedTensor) -> list[int]:
    reshape = tensor.reshape
    return [*tensor.dims] if reshape is None else reshape.numbers("shape")


@rule("pytorch-state-naming", Severity.ERROR, "sequence_batching", at=Stage.INSTANCE.after("pytorch-string-dims"))
def state_naming(model: Model) -> Iterator[Finding]:
    """All outputs of a TorchScript model with states must be named NAME__INDEX."""
    found = states(model) if model.backend == "pytorch" and is_script(model) else []
    if not found:
        return
    said = f"PyTorch model '{model.name}' is using sequence batching with state but "
    for tensor in model.tensors:
        if tensor.kind == "output" and not INDEXED.match(tensor.name):
            message = f'output "{tensor.name}" of a model with states must be named {FORM}'
            place = tensor.fields["name"].value if "name" in tensor.fields else tensor.node
            yield Finding(place, message, hint="Rename it, with the output's position as index.", reason=said)
    for state in found:
        name = state.text("output_name")
        if name and not INDEXED.match(name):
            message = f'the output_name "{name}" of a state must be named {FORM}'
            place = state.scalars("output_name")[-1]
            yield Finding(place, message, hint="Rename it, with the output's position as index.", reason=said)


@rule("pytorch-output-naming", Severity.WARNING, "backend=pytorch")
def output_naming(model: Model) -> Iterator[Finding]:
    """The outputs of a TorchScript model should be named NAME__INDEX, all of them or none."""
    yield from _misled(model, "output")


@rule("pytorch-input-naming", Severity.WARNING, "backend=pytorch")
def input_naming(model: Model) -> Iterator[Finding]:
    """The inputs of a TorchScript model should be named NAME__INDEX, all of them or none."""
    yield from _misled(model, "input")


def _misled(model: Model, kind: str) -> Iterator[Finding]:
    """Yield the tensors whose index has no effect, because another one has none: they are bound in their order."""
    tensors = [tensor for tensor in model.tensors if tensor.kind == kind] if is_script(model) else []
    indices = {tensor.name: _index(tensor.name) for tensor in tensors}
    other = next((name for name, index in indices.items() if index is None), None)
    for position, tensor in enumerate(tensors):
        index = indices[tensor.name]
        if other is not None and index is not None and index != position:
            yield Finding(
                tensor.fields["name"].value,
                f'the index of {kind} "{tensor.name}" has no effect, because "{other}" has none: '
                f"it is bound to position {position}",
                hint=f"Name all {kind}s NAME__INDEX, or list them in the order of the model.",
            )


def _index(name: str) -> int | None:
    """Return the index in a name; None if it has none."""
    match = INDEXED.match(name)
    return int(match[1][:9] or 0) if match else None
