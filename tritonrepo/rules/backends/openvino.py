"""What the OpenVINO backend requires of a model in XML, and of a config.

Source of all: openvino_backend, src/openvino.cc, ModelState::ReadModel, ValidateInputs, ParseParameterHelper.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from tritonrepo.diagnostics import Fix, Severity, closest, nearest
from tritonrepo.pbtxt.editor import change, put
from tritonrepo.pbtxt.schema import Enum
from tritonrepo.repository import Model
from tritonrepo.repository.contents import PULL, Content, content
from tritonrepo.repository.once import once
from tritonrepo.repository.openvino import Graph, graph
from tritonrepo.repository.paths import follow
from tritonrepo.repository.tensors import ListedTensor
from tritonrepo.rules.backends.places import files, judged
from tritonrepo.rules.instances.groups import CPU, GPU, MODEL, groups
from tritonrepo.rules.mending import edited, unset
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage
from tritonrepo.tree import File

XML = "model.xml"
FEW = 6
"""How many inputs of a model are listed in a message."""

THREADS = "a number of 0 or more"
ALLOWED = {
    "INFERENCE_NUM_THREADS": THREADS,
    "COMPILATION_NUM_THREADS": THREADS,
    "HINT_BF16": "YES",
    "NUM_STREAMS": "AUTO, NUMA or a number",
    "PERFORMANCE_HINT": "LATENCY, THROUGHPUT or CUMULATIVE_THROUGHPUT",
}
"""What each parameter may be, in any case of letters."""


@once
def _graphs(model: Model) -> Sequence[tuple[str, Graph]]:
    """Return what the XML files of the served versions say, with their paths; kept for the other rules."""
    if not judged(model):
        return ()
    found = ((path, graph(file)) for path, file in files(model, XML) if path.endswith(".xml"))
    return [(path, each) for path, each in found if each is not None]


@rule("openvino-weights-missing", Severity.ERROR, "backend=openvino", at=Stage.BACKEND.after("model-file-placeholder"))
def weights_missing(model: Model) -> Iterator[Finding]:
    """The weights of an OpenVINO model must be beside its XML, in a .bin file of the same name."""
    for path, found in _graphs(model):
        weights = f"{path.removesuffix('.xml')}.bin"
        entry = follow(model, weights)
        name, directory = weights.rpartition("/")[2], path.rpartition("/")[0]
        if not found.weights or not isinstance(entry, str | File):
            continue
        if isinstance(entry, str) or not entry.size:
            said = "is missing" if isinstance(entry, str) else "is empty"
            message, reason = (
                f"the file of the weights {said}",
                "Empty weights data in bin file or bin file cannot be found!",
            )
        elif entry.size < found.weights:
            message = f"the file has {entry.size:,} bytes, but the model needs {found.weights:,} bytes of weights"
            reason = "Incorrect weights in bin file!"
        else:
            continue
        pointer = isinstance(entry, File) and content(entry) is Content.POINTER
        if pointer:
            message = f"the file of the weights is {Content.POINTER}"
        hint = (
            PULL
            if pointer
            else f"Add {name}, which was written together with {path.rpartition('/')[2]}, to the directory {directory}."
        )
        yield Finding(weights, message, hint=hint, reason=reason)


def _listed(model: Model) -> list[ListedTensor]:
    return [tensor for tensor in model.tensors if tensor.kind == "input"]


@rule("openvino-input-count", Severity.ERROR, "backend=openvino", at=Stage.INSTANCE.after("pytorch-state-naming"))
def input_count(model: Model) -> Iterator[Finding]:
    """The config of an OpenVINO model must list all inputs of the model, or none."""
    listed = _listed(model)
    for path, found in _graphs(model) if listed or not model.target.auto_complete else ():
        if len(listed) != len(found.inputs):
            names = ", ".join(min(each.names, default="?") for each in found.inputs[:FEW])
            more = ", …" if len(found.inputs) > FEW else ""
            yield Finding(
                model.config.get("input"),
                f"the config lists {len(listed)} inputs, but {path} has {len(found.inputs)}: {names}{more}",
                hint="List all inputs of the model."
                + (" Without any, Triton completes them." if model.target.auto_complete else ""),
                reason=f"unable to load model '{model.name}', configuration expects {len(listed)} inputs, "
                f"model provides {len(found.inputs)}",
            )


@rule("openvino-input-unknown", Severity.ERROR, "backend=openvino", at=Stage.INSTANCE.after("openvino-input-count"))
def input_unknown(model: Model) -> Iterator[Finding]:
    """An input of an OpenVINO model must have a name that the model has."""
    for path, found in _graphs(model):
        known = {name for each in found.inputs for name in each.names}
        if not all(each.names for each in found.inputs):
            continue
        for tensor in _listed(model):
            if tensor.name and tensor.name not in known:
                yield Finding(
                    tensor.fields["name"].value,
                    f'{path} has no input "{tensor.name}"',
                    hint=closest(tensor.name, sorted(known)),
                    reason=f"unexpected inference input '{tensor.name}', allowed inputs are: ",
                    fix=_renamed(model, tensor, known),
                )


def _renamed(model: Model, tensor: ListedTensor, known: Collection[str]) -> Fix | None:
    """Return the fix that gives an input the closest name of the model that no other input has."""
    meant, field = nearest(tensor.name, sorted(known)), tensor.fields["name"]
    if not meant or any(other.name == meant for other in _listed(model)):
        return None
    return edited(model, change(field.value, field.spec, meant), safe=False)


@rule(
    "openvino-shape-differs", Severity.ERROR, "backend=openvino", at=Stage.INSTANCE.same_walk("openvino-input-unknown")
)
def shape_differs(model: Model) -> Iterator[Finding]:
    """The dims of an input must match those of the OpenVINO model."""
    if model.parameter("RESHAPE_IO_LAYERS").lower() == "yes":
        return
    for path, found in _graphs(model):
        inputs = {name: each for each in found.inputs for name in each.names}
        if model.max_batch_size == 0 and model.target.auto_complete and found.has_layout:
            continue
        for tensor in _listed(model):
            shape = inputs[tensor.name].shape if tensor.name in inputs else None
            if shape is not None and not _fits(model, tensor, shape):
                said = ", ".join("-1" if size is None else str(size) for size in shape)
                batch = ", of which the first is the batch" if model.max_batch_size else ""
                yield Finding(
                    tensor.fields.get("dims", tensor.node),
                    f'input "{tensor.name}" of {path} has the shape [ {said} ]{batch}',
                    hint=_advice(model, len(tensor.dims), len(shape)),
                    reason=f"model '{model.name}', tensor '{tensor.name}': ",
                )


def _advice(model: Model, dims: int, rank: int) -> str:
    if not model.max_batch_size and rank == dims + 1:
        return "Set max_batch_size if the first dimension is a batch, or list all dimensions in dims."
    return "Set dims to that shape" + (" without the batch." if model.max_batch_size else ".")


def _fits(model: Model, tensor: ListedTensor, shape: Sequence[int | None]) -> bool:
    reshape = tensor.reshape
    dims = [*tensor.dims] if reshape is None else reshape.numbers("shape")
    if model.max_batch_size:
        sizes = zip(dims, shape[1:], strict=False)
        return len(shape) == len(dims) + 1 and all(size in {None, dim} or dim == -1 for dim, size in sizes)
    return len(shape) == len(dims) and all(size in {None, dim} for dim, size in zip(dims, shape, strict=True))


@rule(
    "openvino-parameter",
    Severity.ERROR,
    "backend=openvino",
    at=Stage.INSTANCE.after("openvino-shape-differs"),
)
def parameter(model: Model) -> Iterator[Finding]:
    """A parameter of the OpenVINO backend must have a value that the backend reads."""
    if not judged(model):
        return
    for entry in model.config.entries("parameters"):
        name, value = entry.text("key"), entry.message("value")
        written = value.text("string_value") if value is not None else ""
        if written and name in ALLOWED and not _reads(name, written.lower()):
            yield Finding(
                value,
                f'the parameter {name} must be {ALLOWED[name]}, not "{written}"',
                hint="Correct the value, or remove the parameter.",
                reason=f"expected the parameter '{name}' to be ",
            )


def _reads(name: str, value: str) -> bool:
    is_number = not value.strip("0123456789")
    words = {word.strip().lower() for word in ALLOWED[name].replace(" or ", ",").split(",")}
    return value in words or (is_number and "number" in ALLOWED[name])


@rule("openvino-kind", Severity.ERROR, "instance_group", at=Stage.INSTANCE.after("openvino-parameter"))
def kind(model: Model) -> Iterator[Finding]:
    """An instance of an OpenVINO model must be of KIND_CPU."""
    for group in groups(model) if model.backend == "openvino" and judged(model) else ():
        if group.written in {GPU, MODEL}:
            yield Finding(
                group.at_kind,
                f"the OpenVINO backend has only instances of KIND_CPU, not {group.written}",
                hint="Use `kind: KIND_CPU`.",
                reason=f"unable to load model '{model.name}', ",
                item=group.item,
                fix=edited(model, put(group.node, "kind", Enum(CPU)), *unset(group.node, "gpus"), safe=False),
            )
