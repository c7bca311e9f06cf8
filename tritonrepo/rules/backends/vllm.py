"""The config of a model for the vLLM backend, which completes it: what it must and cannot contain, and its tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tritonrepo.diagnostics import Fix, Severity
from tritonrepo.pbtxt import Message
from tritonrepo.pbtxt.editor import Edit, change, delete, delete_items, insert, put
from tritonrepo.pbtxt.nodes import Placed
from tritonrepo.pbtxt.schema import Enum
from tritonrepo.repository import Model
from tritonrepo.repository.tensors import ListedTensor
from tritonrepo.rules.mending import edited, without
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage
from tritonrepo.vllm_contract import Contract, by_name, same_text

INPUT, OUTPUT = ("input", "text_input"), ("output", "text_output")


@rule("vllm-decoupled-false", Severity.ERROR, "backend=vllm", at=Stage.BACKEND.after("onnx-bf16-io"))
def decoupled_false(model: Model) -> Iterator[Finding]:
    """A vLLM model cannot set decoupled to false."""
    policy = _policy(model)
    if model.target.auto_complete and policy is not None and not policy.flag("decoupled"):
        yield Finding(
            _decoupled(model, policy),
            "decoupled is false, but a vLLM model must be decoupled, and the backend cannot override the config",
            hint="Set `decoupled: true`, or remove model_transaction_policy.",
            reason="ValueError: trying to change decoupled property in auto-complete-config for model "
            f"'{model.config_name}', which is already set to 'False'.",
            fix=edited(model, put(policy, "decoupled", value=True), safe=True),
        )


@rule("vllm-not-decoupled", Severity.ERROR, "backend=vllm", at=Stage.INSTANCE.after("vllm-text-output-missing"))
def not_decoupled(model: Model) -> Iterator[Finding]:
    """Without auto-complete, a vLLM model must set decoupled to true."""
    if not model.target.auto_complete:
        policy = _policy(model)
        if policy is None or not policy.flag("decoupled"):
            found = "false" if policy is not None and policy.has("decoupled") else "missing"
            yield Finding(
                _decoupled(model, policy) if policy is not None else None,
                f"decoupled is {found}, but a vLLM model must set it to true when auto-complete is off",
                hint="Set `model_transaction_policy { decoupled: true }`.",
                reason="vLLM Triton backend must be configured to use decoupled model transaction policy",
                fix=edited(model, _decouple(model, policy), safe=True),
            )


@rule("vllm-max-batch-size", Severity.ERROR, "backend=vllm", at=Stage.BACKEND.after("vllm-decoupled-false"))
def max_batch_size(model: Model) -> Iterator[Finding]:
    """The max_batch_size of a vLLM model must be 0."""
    if model.target.auto_complete and model.max_batch_size > 0:
        yield Finding(
            _batch_size(model),
            f"max_batch_size is {model.max_batch_size}, but must be 0 because vLLM forms its own batches",
            hint="Set `max_batch_size: 0`, or remove it.",
            reason=f"ValueError: configuration specified max_batch_size {model.max_batch_size}, but in "
            f"auto-complete-config function for model '{model.config_name}' specified max_batch_size 0",
            fix=edited(model, put(model.config, "max_batch_size", 0), safe=True),
        )


@rule("vllm-max-batch-size-unchecked", Severity.WARNING, "backend=vllm")
def max_batch_size_unchecked(model: Model) -> Iterator[Finding]:
    """Without auto-complete, the max_batch_size of a vLLM model should also be 0."""
    if not model.target.auto_complete and model.max_batch_size > 0:
        yield Finding(
            _batch_size(model),
            f"max_batch_size is {model.max_batch_size}, but should be 0 because vLLM forms its own batches",
            hint="Set `max_batch_size: 0`, or remove it.",
            fix=edited(model, put(model.config, "max_batch_size", 0), safe=False),
        )


@rule(
    "vllm-text-output-missing", Severity.ERROR, "backend=vllm", at=Stage.INSTANCE.after("python-tensor-not-in-config")
)
def text_output_missing(model: Model) -> Iterator[Finding]:
    """Without auto-complete, a vLLM model must list the output text_output."""
    if not model.target.auto_complete and not _lists(model, *OUTPUT):
        yield Finding(
            None,
            'output "text_output" is missing, but the vLLM backend needs it when auto-complete is off',
            hint="List the inputs and outputs: text_input TYPE_STRING [ 1 ], text_output TYPE_STRING [ -1 ], and more.",
            reason="TypeError: 'NoneType' object is not subscriptable",
            fix=_listing(model, *(() if _lists(model, *INPUT) else (INPUT,)), OUTPUT),
        )


@rule("vllm-text-input-missing", Severity.WARNING, "backend=vllm")
def text_input_missing(model: Model) -> Iterator[Finding]:
    """Without auto-complete, a vLLM model should list the input text_input."""
    if model.target.auto_complete or not _lists(model, *OUTPUT):
        return
    if not _lists(model, *INPUT):
        hint = 'Add `input { name: "text_input" data_type: TYPE_STRING dims: [ 1 ] }`.'
        yield Finding(
            None, 'input "text_input" is missing, so every request will fail', hint=hint, fix=_listing(model, INPUT)
        )


@rule("vllm-contract-too-new", Severity.WARNING, "backend=vllm")
def contract_too_new(model: Model) -> Iterator[Finding]:
    """A vLLM model should list only tensors that its release's backend has."""
    for tensor, known in _listed(model):
        if known.since > model.target.release.name:
            yield Finding(
                tensor.fields["name"].value,
                f'{tensor.kind} "{tensor.name}" requires the vLLM backend of Triton {known.since} or later, '
                f"not {model.target.release.name}",
                hint=f"Remove it, or use Triton {known.since} or later.",
                fix=_removed(model, tensor),
            )


@rule("vllm-io-contract", Severity.WARNING, "backend=vllm")
def io_contract(model: Model) -> Iterator[Finding]:
    """An input or output of a vLLM model should have the type and dims that the backend uses."""
    for tensor, known in _listed(model):
        if tensor.data_type and (tensor.data_type != known.data_type or tuple(tensor.dims) != known.dims):
            found = f"{tensor.data_type} {_shown(tensor.dims)}"
            right = f"{known.data_type} {_shown(known.dims)}"
            field = "data_type" if tensor.data_type != known.data_type else "dims"
            at = tensor.fields.get(field)
            removed = f", or remove the {tensor.kind}: auto-complete adds it" if model.target.auto_complete else ""
            yield Finding(
                at.values[0] if at is not None and at.values else tensor.node,
                f'{tensor.kind} "{tensor.name}" is {found}, but the vLLM backend always uses {right}',
                hint=f"Use {right}{removed}.",
                fix=edited(model, *_retyped(tensor, known), safe=False),
            )


@rule("vllm-optional-flag", Severity.WARNING, "backend=vllm")
def optional_flag(model: Model) -> Iterator[Finding]:
    """A listed input that vLLM does not require should be optional."""
    for tensor, known in _listed(model):
        if known.optional and not tensor.flag("optional"):
            yield Finding(
                tensor.fields["name"].value,
                f'input "{tensor.name}" is not optional, so every request must send it',
                hint="Set `optional: true`.",
                fix=edited(model, put(tensor.node, "optional", value=True), safe="optional" not in tensor.fields),
            )


@rule("vllm-io-extra", Severity.WARNING, "backend=vllm")
def io_extra(model: Model) -> Iterator[Finding]:
    """A vLLM model should list only the tensors of the vLLM backend."""
    for tensor in model.tensors:
        if tensor.name and (tensor.kind, tensor.name) not in by_name():
            meant = same_text(tensor.kind, tensor.name, [f"text_{tensor.kind}"])
            yield Finding(
                tensor.fields["name"].value,
                f'the vLLM backend has no {tensor.kind} "{tensor.name}"',
                hint=f'Use "{meant}", the backend\'s name for it.'
                if meant
                else "Remove it. Send temperature and the like as JSON in sampling_parameters.",
                fix=_removed(model, tensor)
                if not meant or _lists(model, tensor.kind, meant)
                else edited(model, put(tensor.node, "name", meant), safe=False),
            )


def _removed(model: Model, tensor: ListedTensor) -> Fix | None:
    return edited(model, *without(model.config, tensor.kind, [tensor.node]), safe=False)


def _policy(model: Model) -> Message | None:
    return model.config.message("model_transaction_policy")


def _decoupled(model: Model, policy: Message) -> Placed | None:
    return next(reversed(policy.scalars("decoupled")), None) or model.config.get("model_transaction_policy")


def _decouple(model: Model, policy: Message | None) -> Edit:
    if policy is None:
        return insert(model.config, "model_transaction_policy", {"decoupled": True})
    return put(policy, "decoupled", value=True)


def _listing(model: Model, *tensors: tuple[str, str]) -> Fix | None:
    """Return the fix that lists these tensors; it is safe if none is listed that may be meant to be one of them."""
    added = [by_name()[tensor] for tensor in tensors]
    kinds = {each.kind for each in added}
    plain = all((each.kind, each.name) in by_name() for each in model.tensors if each.kind in kinds)
    edits = [
        insert(model.config, each.kind, {"name": each.name, "data_type": Enum(each.data_type), "dims": [*each.dims]})
        for each in added
    ]
    return edited(model, *edits, safe=plain)


def _retyped(tensor: ListedTensor, known: Contract) -> Iterator[Edit]:
    """Yield the edits that give a tensor the type and dims of the contract."""
    if tensor.data_type != known.data_type:
        field = tensor.fields["data_type"]
        yield change(field.value, field.spec, Enum(known.data_type))
    if tuple(tensor.dims) == known.dims:
        return
    last = tensor.fields.get("dims")
    if last is None:
        yield insert(tensor.node, "dims", [*known.dims])
        return
    yield from (delete(field) for field in tensor.node.fields if field.name == "dims" and field is not last)
    yield change(last.values[0], last.spec, known.dims[0])
    yield from delete_items(last, range(1, len(last.values)))


def _batch_size(model: Model) -> Placed:
    return model.config.scalars("max_batch_size")[-1]


def _lists(model: Model, kind: str, name: str) -> bool:
    return any(tensor.kind == kind and tensor.name == name for tensor in model.tensors)


def _listed(model: Model) -> Iterator[tuple[ListedTensor, Contract]]:
    for tensor in model.tensors:
        known = by_name().get((tensor.kind, tensor.name))
        if known is not None:
            yield tensor, known


def _shown(dims: Sequence[int]) -> str:
    return f"[ {', '.join(map(str, dims))} ]" if dims else "[ ]"
