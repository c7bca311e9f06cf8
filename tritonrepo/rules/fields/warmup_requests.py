"""Warmup samples as requests: the inputs that the model needs, their types and shapes, the batch.

Source of all: core, src/infer_request.cc, Normalize, ValidateRequestInputs, unless they name another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tritonrepo.diagnostics import Severity
from tritonrepo.repository import Model
from tritonrepo.repository.completion import may_complete
from tritonrepo.repository.tensors import ListedTensor
from tritonrepo.rules.fields.warmup_samples import REQUEST, Given, Sample, samples
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage

NOTE = (
    "NOTE: Setting a non-zero max_batch_size in the model config requires a batch dimension to be prepended to each "
    "input shape. If you want to specify the full shape including the batch dim in your input dims config, try setting "
    "max_batch_size to zero. See the model configuration docs for more info on max_batch_size."
)


def _inputs(model: Model) -> Mapping[str, ListedTensor]:
    """Return the model's inputs by name; of two with one name the first counts."""
    return {tensor.name: tensor for tensor in reversed(model.tensors) if tensor.kind == "input"}


def matched(model: Model) -> Iterator[tuple[Sample, Given, ListedTensor]]:
    """Yield the inputs of samples with the model's inputs, where these are sure."""
    known = _inputs(model)
    for sample in samples(model):
        for name, given in sample.inputs.items():
            if name in known:
                yield sample, given, known[name]


@rule("warmup-input-missing", Severity.ERROR, "model_warmup", at=Stage.WARMUP.same_walk("warmup-file-too-short"))
def input_missing(model: Model) -> Iterator[Finding]:
    """A warmup sample has every input that the model needs."""
    inputs = [tensor for tensor in model.tensors if tensor.kind == "input"]
    required = [tensor for tensor in inputs if not tensor.flag("optional")]
    if not required or may_complete(model):
        return
    for sample in samples(model):
        given = [name for name in sample.inputs if any(name == tensor.name for tensor in inputs)]
        if len(given) >= len(required):
            continue
        missing = [tensor for tensor in required if tensor.name not in sample.inputs]
        first = missing[0] if missing else required[0]
        yield Finding(
            sample.node,
            f"this sample lacks the input{'' if len(missing) == 1 else 's'} {_quoted(missing)}"
            if missing
            else "this model needs one input twice",
            hint=f'Write inputs {{ key: "{first.name}" value {{ data_type: {first.data_type} dims:'
            f" {_shown(first.dims)} zero_data: true }} }}."
            if missing
            else "List the input once.",
            reason=_count_reason(model, (len(inputs), len(required)), given, missing),
            item=sample.item,
        )


def _quoted(tensors: Sequence[ListedTensor]) -> str:
    return ", ".join(f'"{tensor.name}"' for tensor in tensors[:9])


def _shown(dims: Sequence[int]) -> str:
    """Return dims for a sample, where any size becomes 1."""
    return f"[ {', '.join(str(max(dim, 1)) for dim in dims)} ]"


def _count_reason(model: Model, counts: tuple[int, int], given: Sequence[str], missing: Sequence[ListedTensor]) -> str:
    """Return the server's sentence; the order of several given inputs is the server's own, so it ends before them."""
    total, required = counts
    wanted = f"{total} inputs" if total == required else f"number of inputs between {required} and {total}"
    text = f"{REQUEST}expected {wanted} but got {len(given)} inputs for model '{model.config_name}'."
    if len(given) > 1:
        return text
    listed = "[" + ",".join(f"'{tensor.name}'" for tensor in missing) if missing else ""
    seen = ",".join(f"'{name}'" for name in given)
    return (
        f"{text} Got input(s) [{seen}], but missing required input(s) {listed}]. Please provide all required input(s)."
    )


@rule("warmup-data-type-differs", Severity.ERROR, "model_warmup", at=Stage.WARMUP.same_walk("warmup-input-missing"))
def data_type_differs(model: Model) -> Iterator[Finding]:
    """A warmup input has the type of the model's input."""
    for sample, given, tensor in matched(model):
        if tensor.data_type not in {"", "TYPE_INVALID", given.data_type}:
            written = given.value.scalars("data_type") if given.value is not None else []
            yield Finding(
                written[-1] if written else given.place,
                f'warmup input "{given.name}" is of {given.data_type or "no type"}, the model\'s of {tensor.data_type}',
                hint=f"Write data_type: {tensor.data_type}.",
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
    """A warmup input has dims that fit those of the model's input."""
    if may_complete(model):
        return
    for sample, given, tensor in matched(model):
        if not tensor.dims or -1 in given.dims or tensor.flag("is_shape_tensor") or fits(given.dims, tensor.dims):
            continue
        written = given.value.get("dims") if given.value is not None else None
        batch = model.max_batch_size > 0
        expected, got = ([-1, *tensor.dims], [1, *given.dims]) if batch else ([*tensor.dims], given.dims)
        yield Finding(
            written or given.place,
            f'warmup input "{given.name}" has dims {given.dims}, which do not fit the model\'s {list(tensor.dims)}',
            hint=f"Write dims: {_shown(tensor.dims)}.",
            reason=f"{REQUEST}unexpected shape for input '{given.name}' for model '{model.config_name}'. Expected "
            f"{_listed(expected)}, got {_listed(got)}. {NOTE if batch else ''}",
            item=sample.item,
        )


def fits(given: Sequence[int], dims: Sequence[int]) -> bool:
    """Tell whether a sample's dims are as many as the input's, and equal where these are fixed."""
    return len(given) == len(dims) and all(dim in {-1, size} for dim, size in zip(dims, given, strict=True))


def _listed(dims: Sequence[int]) -> str:
    return f"[{','.join(map(str, dims))}]"
