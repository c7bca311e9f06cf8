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
    """A vLLM model lists tensors that its release's backend has.

    Why:
        A tensor of a later release loads, but it is never read or never made, so clients and ensembles wait in vain.
    Source:
        vllm_backend, src/model.py, auto_complete_config, branches r24.01 to r26.01
    Bad:
        -- llm/config.pbtxt --
        backend: "vllm"
        output { name: "finish_reason" data_type: TYPE_STRING dims: [ -1 ] }
        instance_group { kind: KIND_MODEL }
        -- llm/1/model.json --
        {"model": "HuggingFaceTB/SmolLM2-135M-Instruct"}
    Says:
        llm/config.pbtxt:2:16: warning: output "finish_reason" is of the vLLM backend since 24.12, not in 24.10 [vllm-contract-too-new]
          Drop it, or go to that release.
    Good:
        -- llm/config.pbtxt --
        backend: "vllm"
        instance_group { kind: KIND_MODEL }
        -- llm/1/model.json --
        {"model": "HuggingFaceTB/SmolLM2-135M-Instruct"}
    """
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
    """A listed tensor of a vLLM model has the backend's type and dims.

    Why:
        The backend compares names alone, so the model loads, and requests fail or are read wrongly.
    Source:
        vllm_backend, src/model.py, auto_complete_config; loads on 24.10
    Bad:
        -- llm/config.pbtxt --
        backend: "vllm"
        input { name: "text_input" data_type: TYPE_INT32 dims: [ 1 ] }
        instance_group { kind: KIND_MODEL }
        -- llm/1/model.json --
        {"model": "HuggingFaceTB/SmolLM2-135M-Instruct"}
    Says:
        llm/config.pbtxt:2:39: warning: input "text_input" is TYPE_STRING [ 1 ] to the vLLM backend, which does not look at this [vllm-io-contract]
          Write TYPE_STRING [ 1 ], or drop the input: auto-complete adds it.
    Good:
        -- llm/config.pbtxt --
        backend: "vllm"
        input { name: "text_input" data_type: TYPE_STRING dims: [ 1 ] }
        instance_group { kind: KIND_MODEL }
        -- llm/1/model.json --
        {"model": "HuggingFaceTB/SmolLM2-135M-Instruct"}
    """
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
    """A listed input that vLLM does not need is optional.

    Why:
        Without optional: true every request and every ensemble has to send it.
    Source:
        vllm_backend, src/model.py, auto_complete_config; loads on 24.10
    Bad:
        -- llm/config.pbtxt --
        backend: "vllm"
        input { name: "stream" data_type: TYPE_BOOL dims: [ 1 ] }
        instance_group { kind: KIND_MODEL }
        -- llm/1/model.json --
        {"model": "HuggingFaceTB/SmolLM2-135M-Instruct"}
    Says:
        llm/config.pbtxt:2:15: warning: input "stream" is not optional, so every request must have it [vllm-optional-flag]
          Write optional: true.
    Good:
        -- llm/config.pbtxt --
        backend: "vllm"
        input { name: "stream" data_type: TYPE_BOOL dims: [ 1 ] optional: true }
        instance_group { kind: KIND_MODEL }
        -- llm/1/model.json --
        {"model": "HuggingFaceTB/SmolLM2-135M-Instruct"}
    """
    for tensor, known in _listed(model):
        if known.optional and not tensor.flag("optional"):
            yield Finding(
                tensor.fields["name"].value,
                f'input "{tensor.name}" is not optional, so every request must have it',
                hint="Write optional: true.",
            )


@rule("vllm-io-extra", Severity.WARNING, "backend=vllm")
def io_extra(model: Model) -> Iterator[Finding]:
    """A vLLM model lists no tensors but those of the backend.

    Why:
        The backend never reads, or never makes, what it does not know; a required input of that kind must be sent all the same.
    Source:
        vllm_backend, src/model.py, auto_complete_config; loads on 24.10
    Bad:
        -- llm/config.pbtxt --
        backend: "vllm"
        input { name: "temperature" data_type: TYPE_FP32 dims: [ 1 ] }
        instance_group { kind: KIND_MODEL }
        -- llm/1/model.json --
        {"model": "HuggingFaceTB/SmolLM2-135M-Instruct"}
    Says:
        llm/config.pbtxt:2:15: warning: input "temperature" is none of the vLLM backend's [vllm-io-extra]
          Drop it; sampling_parameters takes temperature and the like as JSON.
    Good:
        -- llm/config.pbtxt --
        backend: "vllm"
        instance_group { kind: KIND_MODEL }
        -- llm/1/model.json --
        {"model": "HuggingFaceTB/SmolLM2-135M-Instruct"}
    """
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
