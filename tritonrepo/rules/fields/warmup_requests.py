"""Warmup samples as requests: their inputs, the types and shapes of these, and the batch size.

The server sends the samples of model_warmup itself before a model counts as ready. Source of all: core,
src/infer_request.cc, Normalize, ValidateRequestInputs, unless a rule names another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from tritonrepo.diagnostics import Severity
from tritonrepo.pbtxt import Message
from tritonrepo.pbtxt.editor import put
from tritonrepo.pbtxt.nodes import Placed
from tritonrepo.repository import Model
from tritonrepo.repository.completion import may_complete_inputs
from tritonrepo.repository.tensors import ListedTensor
from tritonrepo.rules.mending import edited
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage

REQUEST = "[request id: <id_unknown>] "
"""What the server puts before its complaints about a request that has no id."""

NOTE = (
    "NOTE: Setting a non-zero max_batch_size in the model config requires a batch dimension to be prepended to each "
    "input shape. If you want to specify the full shape including the batch dim in your input dims config, try setting "
    "max_batch_size to zero. See the model configuration docs for more info on max_batch_size."
)

BATCH_CHECKED = frozenset({"python", "vllm", "onnxruntime"})
"""Backends whose sources are known to refuse a batch larger than max_batch_size."""

PYTHON_BASED = frozenset({"python", "vllm"})


class Given(NamedTuple):
    """An input of a sample: its name, its entry in the map, and the entry's value if it has one."""

    name: str
    entry: Message
    value: Message | None

    @property
    def dims(self) -> list[int]:
        """Its dims, without the batch."""
        return self.value.numbers("dims") if self.value is not None else []

    @property
    def data_type(self) -> str:
        """Its data type; "" if it has none."""
        return self.value.enum("data_type") if self.value is not None else ""

    @property
    def source(self) -> str:
        """Which of zero_data, random_data and input_data_file it sets, even to false; "" for none."""
        chosen = self.value.chosen("input_data_type") if self.value is not None else None
        return chosen.name if chosen is not None else ""

    @property
    def place(self) -> Placed:
        """Where it is written."""
        return self.value if self.value is not None else self.entry


class Sample(NamedTuple):
    """A sample that the server runs: its position among all samples, and its inputs by name."""

    item: int
    node: Message
    batch_size: int
    inputs: Mapping[str, Given]

    @property
    def name(self) -> str:
        """Its name, as in the server's messages."""
        return self.node.text("name")


def samples(model: Model) -> Iterator[Sample]:
    """Yield the samples that run: none with batch_size 0, none of an ensemble or of passive instances.

    Source: core, src/backend_model_instance.cc, ConstructAndInitializeInstance, GenerateWarmupData.
    """
    groups = model.config.messages("instance_group")
    if model.is_ensemble or (groups and all(group.flag("passive") for group in groups)):
        return
    for item, node in enumerate(model.config.messages("model_warmup")):
        batch_size = node.integer("batch_size")
        if batch_size > 0:
            yield Sample(item, node, batch_size, {given.name: given for given in _entries(node)})


def _entries(node: Message) -> Iterator[Given]:
    for entry in node.entries("inputs"):
        yield Given(entry.text("key"), entry, entry.message("value"))


def matched(model: Model) -> Iterator[tuple[Sample, Given, ListedTensor]]:
    """Yield the inputs of samples with the model's inputs of the same name; of two with one name the first counts."""
    known = {tensor.name: tensor for tensor in reversed(model.tensors) if tensor.kind == "input"}
    for sample in samples(model):
        for name, given in sample.inputs.items():
            if name in known:
                yield sample, given, known[name]


def shown(dims: Sequence[int]) -> str:
    """Return dims as a sample can have them, where any size becomes 1."""
    return f"[ {', '.join(str(max(dim, 1)) for dim in dims)} ]"


@rule("warmup-data-type-differs", Severity.ERROR, "model_warmup", at=Stage.WARMUP.same_walk("warmup-input-missing"))
def data_type_differs(model: Model) -> Iterator[Finding]:
    """A warmup input must have the data_type of the model's input."""
    for sample, given, tensor in matched(model):
        if tensor.data_type not in {"", "TYPE_INVALID", given.data_type}:
            written = given.value.scalars("data_type") if given.value is not None else []
            found = f"data_type {given.data_type}" if given.data_type else "no data_type"
            yield Finding(
                written[-1] if written else given.place,
                f'warmup input "{given.name}" has {found}, but the model\'s input has {tensor.data_type}',
                hint=f"Set data_type to {tensor.data_type}.",
                reason=_type_reason(model, given, tensor),
                item=sample.item,
            )


def _type_reason(model: Model, given: Given, tensor: ListedTensor) -> str:
    if model.target.release.has("bounded-element-counts") and given.data_type in {"", "TYPE_INVALID"}:
        return f"warmup setting expects all variable-size dimensions are specified for input '{given.name}'"
    return (
        f"{REQUEST}inference input '{given.name}' data-type is '{_protocol(given.data_type)}', but model"
        f" '{model.config_name}' expects '{_protocol(tensor.data_type)}'"
    )


def _protocol(data_type: str) -> str:
    """Return a type as requests name it. Source: common, src/model_config.cc, DataTypeToProtocolString."""
    if data_type == "TYPE_STRING":
        return "BYTES"
    known = data_type.startswith("TYPE_") and data_type != "TYPE_INVALID"
    return data_type.removeprefix("TYPE_") if known else "<invalid>"


@rule("warmup-shape-differs", Severity.ERROR, "model_warmup", at=Stage.WARMUP.same_walk("warmup-data-type-differs"))
def shape_differs(model: Model) -> Iterator[Finding]:
    """The dims of a warmup input must match those of the model's input."""
    if may_complete_inputs(model):
        return
    for sample, given, tensor in matched(model):
        if not tensor.dims or -1 in given.dims or tensor.flag("is_shape_tensor") or fits(given.dims, tensor.dims):
            continue
        written = given.value.get("dims") if given.value is not None else None
        batch = model.max_batch_size > 0
        expected, got = ([-1, *tensor.dims], [1, *given.dims]) if batch else ([*tensor.dims], given.dims)
        yield Finding(
            written or given.place,
            f'warmup input "{given.name}" has dims {given.dims}, but the model\'s input has {list(tensor.dims)}',
            hint=f"Set dims to `{shown(tensor.dims)}`.",
            reason=f"{REQUEST}unexpected shape for input '{given.name}' for model '{model.config_name}'. Expected "
            f"{_listed(expected)}, got {_listed(got)}. {NOTE if batch else ''}",
            item=sample.item,
        )


def fits(given: Sequence[int], dims: Sequence[int]) -> bool:
    """Return whether a sample's dims are as many as the input's, and equal where these are fixed."""
    return len(given) == len(dims) and all(dim in {-1, size} for dim, size in zip(dims, given, strict=True))


def _listed(dims: Sequence[int]) -> str:
    return f"[{','.join(map(str, dims))}]"


@rule("warmup-batch-too-large", Severity.ERROR, "model_warmup", at=Stage.WARMUP.after("warmup-strings-differ"))
def batch_too_large(model: Model) -> Iterator[Finding]:
    """The batch_size of a warmup sample cannot exceed max_batch_size."""
    largest = max(model.max_batch_size, 1)
    if model.backend not in BATCH_CHECKED or may_complete_inputs(model):
        return
    for sample in samples(model):
        if sample.batch_size > largest:
            yield Finding(
                sample.node.scalars("batch_size")[-1],
                f"batch_size is {sample.batch_size}, but max_batch_size is {model.max_batch_size}",
                hint=f"Set batch_size to {largest}{' or less' if largest > 1 else ''}.",
                reason=f"failed to run warmup sample '{sample.name}': batch size {sample.batch_size} for",
                item=sample.item,
            )


@rule("warmup-run-fails", Severity.ERROR, "model_warmup", at=Stage.WARMUP.same_walk("warmup-batch-too-large"))
def run_fails(model: Model) -> Iterator[Finding]:
    """A warmup sample of a batching Python model must have an input."""
    inputs = [tensor for tensor in model.tensors if tensor.kind == "input"]
    required = any(not tensor.flag("optional") for tensor in inputs)
    if model.backend not in PYTHON_BASED or model.max_batch_size <= 0 or required or may_complete_inputs(model):
        return
    for sample in samples(model):
        if not sample.inputs:
            named = inputs[0].name if inputs else "NAME"
            reason = f"{REQUEST}out of bounds index 0: request has 0 inputs;"
            yield Finding(
                sample.node,
                "the warmup sample has no input, so the Python backend cannot read its batch size",
                hint=f'Add an input: `inputs {{ key: "{named}" value {{ ... }} }}`.',
                reason=f"failed to run warmup sample '{sample.name}': {reason}",
                item=sample.item,
            )


@rule("warmup-batch-zero", Severity.WARNING, "model_warmup")
def batch_zero(model: Model) -> Iterator[Finding]:
    """A warmup sample should have a batch_size of at least 1."""
    for node in model.config.messages("model_warmup"):
        if not node.integer("batch_size"):
            written = node.scalars("batch_size")
            yield Finding(
                written[-1] if written else node,
                f"the warmup sample has {'batch_size 0' if written else 'no batch_size'}, so it never runs",
                hint="Set batch_size to 1.",
                # without an input, the server refuses the sample once it runs
                fix=edited(model, put(node, "batch_size", 1), safe=False) if node.messages("inputs") else None,
            )
