"""What every step has: a model, an input_map and an output_map, each tensor written once."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.repository import Model
from tritonrepo.rules.ensembles.dataflow import written_twice
from tritonrepo.rules.ensembles.steps import steps
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage


@rule("ensemble-no-step", Severity.ERROR, "ensemble_scheduling", at=Stage.POLL.after("ensemble-warmup"))
def no_step(model: Model) -> Iterator[Finding]:
    """An ensemble has at least one step.

    Why:
        Without a step there is nothing to run, so Triton refuses the model.
    Source:
        core, src/model_config_utils.cc, ValidateEnsembleSchedulingConfig
    Bad:
        -- rag/config.pbtxt --
        platform: "ensemble"
        input { name: "query" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "answer" data_type: TYPE_STRING dims: [ 1 ] }
        ensemble_scheduling { }
        -- rag/1/ --
    Says:
        rag/config.pbtxt:4:1: error: ensemble_scheduling without a step [ensemble-no-step]
          Write step { model_name: … model_version: -1 input_map … output_map … }.
    Server says:
        must specify 'step' for ensemble 'rag'
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
    if model.is_ensemble and not steps(model):
        yield Finding(
            model.config.get("ensemble_scheduling"),
            "ensemble_scheduling without a step",
            hint="Write step { model_name: … model_version: -1 input_map … output_map … }.",
            reason=f"must specify 'step' for ensemble '{model.config_name}'",
        )


@rule("step-model-name", Severity.ERROR, "ensemble_scheduling", at=Stage.POLL.after("ensemble-no-step"))
def model_name(model: Model) -> Iterator[Finding]:
    """Every step names its model.

    Why:
        A step runs a model of the repository; Triton refuses an ensemble with a step that names none.
    Source:
        core, src/model_config_utils.cc, BuildEnsembleGraph
    Bad:
        -- rag/config.pbtxt --
        platform: "ensemble"
        input { name: "query" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "answer" data_type: TYPE_STRING dims: [ 1 ] }
        ensemble_scheduling {
          step { model_version: -1 input_map { key: "IN" value: "query" } output_map { key: "OUT" value: "answer" } }
        }
        -- rag/1/ --
    Says:
        rag/config.pbtxt:5:8: error: step 0 names no model [step-model-name]
          Write model_name: with the name of a model of this repository.
    Server says:
        must specify 'model_name' in step 0 of ensemble 'rag'
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
    for step in steps(model) if model.is_ensemble else ():
        if not step.model:
            yield Finding(
                step.at("model_name"),
                f"step {step.number} names no model",
                hint="Write model_name: with the name of a model of this repository.",
                reason=f"must specify 'model_name' in step {step.number} of ensemble '{model.config_name}'",
                item=step.number,
            )


@rule("step-input-map", Severity.ERROR, "ensemble_scheduling", at=Stage.POLL.same_walk("step-model-name"))
def input_map(model: Model) -> Iterator[Finding]:
    """Every step has an input_map.

    Why:
        A step runs once the tensors that it reads are there; one that reads none would never run.
    Source:
        core, src/model_config_utils.cc, BuildEnsembleGraph
    Bad:
        -- rag/config.pbtxt --
        platform: "ensemble"
        input { name: "query" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "answer" data_type: TYPE_STRING dims: [ 1 ] }
        ensemble_scheduling {
          step { model_name: "llm" model_version: -1 output_map { key: "OUT" value: "answer" } }
        }
        -- rag/1/ --
        -- llm/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "OUT" data_type: TYPE_STRING dims: [ 1 ] }
        -- llm/1/ --
    Says:
        rag/config.pbtxt:5:8: error: step 0 (model "llm") has no input_map [step-input-map]
          Write input_map { key: "the model's input" value: "a tensor of the ensemble" }.
    Server says:
        must specify 'input_map' in step 0 of ensemble 'rag'
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
    for step in steps(model) if model.is_ensemble else ():
        if not step.inputs:
            yield Finding(
                step.node,
                f'step {step.number} (model "{step.model}") has no input_map',
                hint='Write input_map { key: "the model\'s input" value: "a tensor of the ensemble" }.',
                reason=f"must specify 'input_map' in step {step.number} of ensemble '{model.config_name}'",
                item=step.number,
            )


@rule("step-output-map", Severity.ERROR, "ensemble_scheduling", at=Stage.POLL.same_walk("step-input-map"))
def output_map(model: Model) -> Iterator[Finding]:
    """Every step has an output_map.

    Why:
        What a step makes is used by name alone; Triton refuses an ensemble with a step whose outputs have none.
    Source:
        core, src/model_config_utils.cc, BuildEnsembleGraph
    Bad:
        -- rag/config.pbtxt --
        platform: "ensemble"
        input { name: "query" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "answer" data_type: TYPE_STRING dims: [ 1 ] }
        ensemble_scheduling {
          step { model_name: "llm" model_version: -1 input_map { key: "IN" value: "query" } }
        }
        -- rag/1/ --
        -- llm/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "OUT" data_type: TYPE_STRING dims: [ 1 ] }
        -- llm/1/ --
    Says:
        rag/config.pbtxt:5:8: error: step 0 (model "llm") has no output_map [step-output-map]
          Write output_map { key: "the model's output" value: "a tensor of the ensemble" }.
    Server says:
        must specify 'output_map' in step 0 of ensemble 'rag'
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
    for step in steps(model) if model.is_ensemble else ():
        if not step.outputs:
            yield Finding(
                step.node,
                f'step {step.number} (model "{step.model}") has no output_map',
                hint='Write output_map { key: "the model\'s output" value: "a tensor of the ensemble" }.',
                reason=f"must specify 'output_map' in step {step.number} of ensemble '{model.config_name}'",
                item=step.number,
            )


@rule("tensor-written-twice", Severity.ERROR, "ensemble_scheduling", at=Stage.POLL.same_walk("step-output-map"))
def tensor_written_twice(model: Model) -> Iterator[Finding]:
    """A tensor of an ensemble is written by one output_map entry alone.

    Why:
        Two writers of one name would race, so Triton refuses the ensemble.
    Source:
        core, src/model_config_utils.cc, BuildEnsembleGraph
    Bad:
        -- rag/config.pbtxt --
        platform: "ensemble"
        input { name: "query" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "answer" data_type: TYPE_STRING dims: [ 1 ] }
        ensemble_scheduling {
          step { model_name: "llm" model_version: -1 input_map { key: "IN" value: "query" } output_map { key: "OUT" value: "answer" } }
          step { model_name: "llm" model_version: -1 input_map { key: "IN" value: "answer" } output_map { key: "OUT" value: "answer" } }
        }
        -- rag/1/ --
        -- llm/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "OUT" data_type: TYPE_STRING dims: [ 1 ] }
        -- llm/1/ --
    Says:
        rag/config.pbtxt:6:117: error: step 1 writes tensor "answer", which is written already [tensor-written-twice]
          Give it another name here, and where it is read.
    Server says:
        ensemble tensor 'answer' can appear in an output map only once for ensemble 'rag' step 1
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
    for step, mapped in written_twice(steps(model)) if model.is_ensemble else ():
        yield Finding(
            mapped.at,
            f'step {step.number} writes tensor "{mapped.tensor}", which is written already',
            hint="Give it another name here, and where it is read.",
            reason=f"ensemble tensor '{mapped.tensor}' can appear in an output map only once for ensemble "
            f"'{model.config_name}' step {step.number}",
            item=step.number,
        )
