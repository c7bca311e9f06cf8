"""What an ensemble's config must and must not have beside its steps."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.repository import Model
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage


@rule(
    "ensemble-scheduling-wrong-platform",
    Severity.ERROR,
    "ensemble_scheduling",
    at=Stage.POLL.after("direct-slot-utilization"),
)
def wrong_platform(model: Model) -> Iterator[Finding]:
    """Only a model of platform "ensemble" has ensemble_scheduling.

    Why:
        A model with a backend cannot be an ensemble as well, so Triton refuses it.
    Source:
        core, src/model_config_utils.cc, ValidateEnsembleSchedulingConfig
    Bad:
        -- rag/config.pbtxt --
        backend: "identity"
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
    Says:
        rag/config.pbtxt:1:10: error: ensemble_scheduling with backend "identity", which is no ensemble [ensemble-scheduling-wrong-platform]
          Write platform: "ensemble" instead of the backend, or drop ensemble_scheduling.
    Server says:
        ensemble scheduling cannot be set for model 'rag' whose platform is not ensemble
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
    if model.is_ensemble or not model.backend:
        return
    written = model.config.get("backend") or model.config.get("platform") or model.config.get("ensemble_scheduling")
    yield Finding(
        written.value if written is not None and written.values else written,
        f'ensemble_scheduling with backend "{model.backend}", which is no ensemble',
        hint='Write platform: "ensemble" instead of the backend, or drop ensemble_scheduling.',
        reason=f"ensemble scheduling cannot be set for model '{model.config_name}' whose platform is not ensemble",
    )


@rule("ensemble-scheduling-missing", Severity.ERROR, "platform", at=Stage.POLL.after("tensor-never-read"))
def scheduling_missing(model: Model) -> Iterator[Finding]:
    """An ensemble has ensemble_scheduling.

    Why:
        Without steps there is nothing to run, so Triton refuses the model.
    Source:
        core, src/model_config_utils.cc, ValidateModelConfig
    Bad:
        -- rag/config.pbtxt --
        platform: "ensemble"
        input { name: "query" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "answer" data_type: TYPE_STRING dims: [ 1 ] }
        -- rag/1/ --
    Says:
        rag/config.pbtxt:1:11: error: an ensemble without ensemble_scheduling [ensemble-scheduling-missing]
          Write ensemble_scheduling with the steps, or name a backend instead of the platform.
    Server says:
        ensemble scheduling must be set for ensemble rag whose platform is ensemble
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
    if model.is_ensemble and "ensemble_scheduling" not in model.fields:
        platform = model.config.get("platform")
        yield Finding(
            platform.value if platform is not None else None,
            "an ensemble without ensemble_scheduling",
            hint="Write ensemble_scheduling with the steps, or name a backend instead of the platform.",
            reason=f"ensemble scheduling must be set for ensemble {model.config_name} whose platform is ensemble",
        )


@rule(
    "ensemble-instance-group",
    Severity.ERROR,
    "instance_group",
    at=Stage.POLL.after("ensemble-scheduling-wrong-platform"),
)
def instance_group(model: Model) -> Iterator[Finding]:
    """An ensemble has no instance_group.

    Why:
        An ensemble has no instances: its steps' models have them. Triton refuses an ensemble that asks for some.
    Source:
        core, src/model_config_utils.cc, ValidateEnsembleSchedulingConfig
    Bad:
        -- rag/config.pbtxt --
        platform: "ensemble"
        input { name: "query" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "answer" data_type: TYPE_STRING dims: [ 1 ] }
        ensemble_scheduling {
          step { model_name: "llm" model_version: -1 input_map { key: "IN" value: "query" } output_map { key: "OUT" value: "answer" } }
        }
        instance_group { count: 2 kind: KIND_CPU }
        -- rag/1/ --
        -- llm/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "OUT" data_type: TYPE_STRING dims: [ 1 ] }
        -- llm/1/ --
    Says:
        rag/config.pbtxt:7:1: error: an ensemble with instance_group [ensemble-instance-group]
          Move instance_group to the models of the steps.
    Server says:
        instance group should not be specified for ensemble 'rag'
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
        instance_group { count: 2 kind: KIND_CPU }
        -- llm/1/ --
    """
    if _scheduled(model) and model.config.messages("instance_group"):
        yield Finding(
            model.config.get("instance_group"),
            "an ensemble with instance_group",
            hint="Move instance_group to the models of the steps.",
            reason=f"instance group should not be specified for ensemble '{model.config_name}'",
        )


@rule("ensemble-optimization", Severity.ERROR, "optimization", at=Stage.POLL.after("ensemble-instance-group"))
def optimization(model: Model) -> Iterator[Finding]:
    """An ensemble has no optimization.

    Why:
        Optimizations are about how a backend runs a model, and an ensemble has no backend. Even empty it is refused.
    Source:
        core, src/model_config_utils.cc, ValidateEnsembleSchedulingConfig
    Bad:
        -- rag/config.pbtxt --
        platform: "ensemble"
        input { name: "query" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "answer" data_type: TYPE_STRING dims: [ 1 ] }
        ensemble_scheduling {
          step { model_name: "llm" model_version: -1 input_map { key: "IN" value: "query" } output_map { key: "OUT" value: "answer" } }
        }
        optimization { priority: PRIORITY_MAX }
        -- rag/1/ --
        -- llm/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "OUT" data_type: TYPE_STRING dims: [ 1 ] }
        -- llm/1/ --
    Says:
        rag/config.pbtxt:7:1: error: an ensemble with optimization [ensemble-optimization]
          Move optimization to the models of the steps.
    Server says:
        optimization should not be specified for ensemble 'rag'
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
    if _scheduled(model):
        yield Finding(
            model.config.get("optimization"),
            "an ensemble with optimization",
            hint="Move optimization to the models of the steps.",
            reason=f"optimization should not be specified for ensemble '{model.config_name}'",
        )


@rule("ensemble-warmup", Severity.ERROR, "model_warmup", at=Stage.POLL.after("ensemble-optimization"))
def warmup(model: Model) -> Iterator[Finding]:
    """An ensemble has no model_warmup.

    Why:
        Warm-up requests go to a model's instances, and an ensemble has none, so Triton refuses them.
    Source:
        core, src/model_config_utils.cc, ValidateEnsembleSchedulingConfig
    Bad:
        -- rag/config.pbtxt --
        platform: "ensemble"
        input { name: "query" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "answer" data_type: TYPE_STRING dims: [ 1 ] }
        ensemble_scheduling {
          step { model_name: "llm" model_version: -1 input_map { key: "IN" value: "query" } output_map { key: "OUT" value: "answer" } }
        }
        model_warmup { name: "first" batch_size: 1 inputs { key: "query" value { data_type: TYPE_STRING dims: [ 1 ] zero_data: true } } }
        -- rag/1/ --
        -- llm/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "OUT" data_type: TYPE_STRING dims: [ 1 ] }
        -- llm/1/ --
    Says:
        rag/config.pbtxt:7:1: error: an ensemble with model_warmup [ensemble-warmup]
          Move model_warmup to the models of the steps.
    Server says:
        model_warmup can not be specified for ensemble 'rag'
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
    if _scheduled(model) and model.config.messages("model_warmup"):
        yield Finding(
            model.config.get("model_warmup"),
            "an ensemble with model_warmup",
            hint="Move model_warmup to the models of the steps.",
            reason=f"model_warmup can not be specified for ensemble '{model.config_name}'",
        )


def _scheduled(model: Model) -> bool:
    return model.is_ensemble and "ensemble_scheduling" in model.fields
