"""The tensors that a config for the vLLM backend lists, against those that the backend has."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.repository import Model
from tritonrepo.repository.tensors import ListedTensor
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.vllm_contract import Contract, by_name


@rule("vllm-contract-too-new", Severity.WARNING, "backend=vllm")
def contract_too_new(model: Model) -> Iterator[Finding]:
    """A vLLM model lists tensors that its release's backend has."""
    for tensor, known in _listed(model):
        if known.since > model.target.release.name:
            yield Finding(
                tensor.fields["name"].value,
                f'{tensor.kind} "{tensor.name}" is of the vLLM backend since {known.since}, '
                f"not in {model.target.release.name}",
                hint="Drop it, or go to that release.",
            )


@rule("vllm-io-contract", Severity.WARNING, "backend=vllm")
def io_contract(model: Model) -> Iterator[Finding]:
    """A listed tensor of a vLLM model has the backend's type and dims."""
    for tensor, known in _listed(model):
        if tensor.data_type and (tensor.data_type != known.data_type or tuple(tensor.dims) != known.dims):
            right = f"{known.data_type} [ {known.dims[0]} ]"
            field = "data_type" if tensor.data_type != known.data_type else "dims"
            at = tensor.fields.get(field)
            yield Finding(
                at.values[0] if at is not None and at.values else tensor.node,
                f'{tensor.kind} "{tensor.name}" is {right} to the vLLM backend, which does not look at this',
                hint=f"Write {right}, or drop the {tensor.kind}: auto-complete adds it.",
            )


@rule("vllm-optional-flag", Severity.WARNING, "backend=vllm")
def optional_flag(model: Model) -> Iterator[Finding]:
    """A listed input that vLLM does not need is optional."""
    for tensor, known in _listed(model):
        if known.optional and not tensor.flag("optional"):
            yield Finding(
                tensor.fields["name"].value,
                f'input "{tensor.name}" is not optional, so every request must have it',
                hint="Write optional: true.",
            )


@rule("vllm-io-extra", Severity.WARNING, "backend=vllm")
def io_extra(model: Model) -> Iterator[Finding]:
    """A vLLM model lists no tensors but those of the backend."""
    for tensor in model.tensors:
        if tensor.name and (tensor.kind, tensor.name) not in by_name():
            yield Finding(
                tensor.fields["name"].value,
                f'{tensor.kind} "{tensor.name}" is none of the vLLM backend\'s',
                hint="Drop it; sampling_parameters takes temperature and the like as JSON.",
            )


def _listed(model: Model) -> Iterator[tuple[ListedTensor, Contract]]:
    for tensor in model.tensors:
        known = by_name().get((tensor.kind, tensor.name))
        if known is not None:
            yield tensor, known
