"""What ensemble_scheduling allows that looks wrong, or is worth a word."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.repository import Model
from tritonrepo.rules.ensembles.steps import steps
from tritonrepo.rules.registry import Finding, rule


@rule("step-model-namespace", Severity.INFO, "ensemble_scheduling")
def namespace(model: Model) -> Iterator[Finding]:
    """A step has no use for model_namespace.

    Why:
        The server overwrites it with the namespace in which it finds the model.
    Source:
        core, src/model_repository_manager/model_repository_manager.cc, ConnectDependencyGraph
    Bad:
        -- rag/config.pbtxt --
        platform: "ensemble"
        input { name: "query" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "answer" data_type: TYPE_STRING dims: [ 1 ] }
        ensemble_scheduling {
          step { model_name: "llm" model_version: -1 model_namespace: "main" input_map { key: "IN" value: "query" } output_map { key: "OUT" value: "answer" } }
        }
        -- rag/1/ --
        -- llm/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "OUT" data_type: TYPE_STRING dims: [ 1 ] }
        -- llm/1/ --
    Says:
        rag/config.pbtxt:5:46: info: model_namespace is overwritten by the server [step-model-namespace]
          Drop it.
    Good:
        -- rag/config.pbtxt --
        platform: "ensemble"
        input { name: "query" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "answer" data_type: TYPE_STRING dims: [ 1 ] }
        ensemble_scheduling {
          step { model_name: "llm" model_version: -1 input_map { key: "IN" value: "query" } output_map { key: "OUT" value: "answer" } }
        }
        -- rag/1/ --
        -- llm/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "OUT" data_type: TYPE_STRING dims: [ 1 ] }
        -- llm/1/ --
    """
    for step in steps(model):
        if step.node.has("model_namespace"):
            yield Finding(
                step.node.get("model_namespace"), "model_namespace is overwritten by the server", hint="Drop it."
            )


@rule("ensemble-inflight-limit", Severity.INFO, "ensemble_scheduling")
def inflight_limit(model: Model) -> Iterator[Finding]:
    """max_inflight_requests limits each step of an ensemble, over all requests together.

    Why:
        A step waits while that many of its requests are under way, so that a decoupled step cannot flood the next one.
        0 is no limit.
    Source:
        core, src/ensemble_scheduler/ensemble_scheduler.cc, StepInflightRequestLimiter; since 25.11
    Run with:
        --release 25.11
    Bad:
        -- rag/config.pbtxt --
        platform: "ensemble"
        input { name: "query" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "answer" data_type: TYPE_STRING dims: [ 1 ] }
        ensemble_scheduling {
          max_inflight_requests: 16
          step { model_name: "llm" model_version: -1 input_map { key: "IN" value: "query" } output_map { key: "OUT" value: "answer" } }
        }
        -- rag/1/ --
        -- llm/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "OUT" data_type: TYPE_STRING dims: [ 1 ] }
        -- llm/1/ --
    Says:
        rag/config.pbtxt:5:3: info: at most 16 requests of a step are under way at a time [ensemble-inflight-limit]
    Good:
        -- rag/config.pbtxt --
        platform: "ensemble"
        input { name: "query" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "answer" data_type: TYPE_STRING dims: [ 1 ] }
        ensemble_scheduling {
          step { model_name: "llm" model_version: -1 input_map { key: "IN" value: "query" } output_map { key: "OUT" value: "answer" } }
        }
        -- rag/1/ --
        -- llm/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "OUT" data_type: TYPE_STRING dims: [ 1 ] }
        -- llm/1/ --
    """
    scheduling = model.config.message("ensemble_scheduling")
    limit = scheduling.integer("max_inflight_requests") if scheduling is not None else 0
    if scheduling is not None and limit > 0:
        yield Finding(
            scheduling.get("max_inflight_requests"), f"at most {limit} requests of a step are under way at a time"
        )


@rule("ensemble-step-order", Severity.INFO, "ensemble_scheduling")
def step_order(model: Model) -> Iterator[Finding]:
    """Steps may stand in any order.

    Why:
        They run as soon as their tensors are there. The order only numbers the steps in messages, and says which of them is
        taken as right where types or shapes differ.
    Source:
        core, src/model_config_utils.cc, ValidateEnsembleSchedulingConfig
    Bad:
        -- rag/config.pbtxt --
        platform: "ensemble"
        input { name: "query" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "answer" data_type: TYPE_STRING dims: [ 1 ] }
        ensemble_scheduling {
          step { model_name: "llm" model_version: -1 input_map { key: "IN" value: "draft" } output_map { key: "OUT" value: "answer" } }
          step { model_name: "llm" model_version: -1 input_map { key: "IN" value: "query" } output_map { key: "OUT" value: "draft" } }
        }
        -- rag/1/ --
        -- llm/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "OUT" data_type: TYPE_STRING dims: [ 1 ] }
        -- llm/1/ --
    Says:
        rag/config.pbtxt:5:75: info: step 0 reads "draft", which step 1 writes [ensemble-step-order]
          Nothing is wrong; in the order of the data they read better.
    Good:
        -- rag/config.pbtxt --
        platform: "ensemble"
        input { name: "query" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "answer" data_type: TYPE_STRING dims: [ 1 ] }
        ensemble_scheduling {
          step { model_name: "llm" model_version: -1 input_map { key: "IN" value: "query" } output_map { key: "OUT" value: "draft" } }
          step { model_name: "llm" model_version: -1 input_map { key: "IN" value: "draft" } output_map { key: "OUT" value: "answer" } }
        }
        -- rag/1/ --
        -- llm/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "OUT" data_type: TYPE_STRING dims: [ 1 ] }
        -- llm/1/ --
    """
    written: dict[str, int] = {}
    for step in steps(model):
        written |= {mapped.tensor: step.number for mapped in step.outputs.values()}
    for step in steps(model):
        later = next((m for m in step.inputs.values() if written.get(m.tensor, -1) > step.number), None)
        if later is not None:
            message = f'step {step.number} reads "{later.tensor}", which step {written[later.tensor]} writes'
            yield Finding(later.at, message, hint="Nothing is wrong; in the order of the data they read better.")


@rule("ensemble-output-is-input", Severity.INFO, "ensemble_scheduling")
def output_is_input(model: Model) -> Iterator[Finding]:
    """An output of an ensemble may have the name of an input.

    Why:
        They are one tensor then: the input is there from the start, and what a step writes to it is given out.
    Source:
        core, src/model_config_utils.cc, ValidateEnsembleSchedulingConfig
    Bad:
        -- rag/config.pbtxt --
        platform: "ensemble"
        input { name: "text" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "text" data_type: TYPE_STRING dims: [ 1 ] }
        ensemble_scheduling {
          step { model_name: "llm" model_version: -1 input_map { key: "IN" value: "text" } output_map { key: "OUT" value: "text" } }
        }
        -- rag/1/ --
        -- llm/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "OUT" data_type: TYPE_STRING dims: [ 1 ] }
        -- llm/1/ --
    Says:
        rag/config.pbtxt:3:8: info: output "text" is an input of the ensemble, too [ensemble-output-is-input]
    Good:
        -- rag/config.pbtxt --
        platform: "ensemble"
        input { name: "query" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "answer" data_type: TYPE_STRING dims: [ 1 ] }
        ensemble_scheduling {
          step { model_name: "llm" model_version: -1 input_map { key: "IN" value: "query" } output_map { key: "OUT" value: "answer" } }
        }
        -- rag/1/ --
        -- llm/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "OUT" data_type: TYPE_STRING dims: [ 1 ] }
        -- llm/1/ --
    """
    inputs = {tensor.name for tensor in model.tensors if tensor.kind == "input"}
    for tensor in model.tensors if model.is_ensemble else ():
        if tensor.kind == "output" and tensor.name in inputs:
            yield Finding(tensor.node, f'output "{tensor.name}" is an input of the ensemble, too')
