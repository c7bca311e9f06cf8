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
    """Only a model of platform "ensemble" has ensemble_scheduling."""
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
    """An ensemble has ensemble_scheduling."""
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
    """An ensemble has no instance_group."""
    if _scheduled(model) and model.config.messages("instance_group"):
        yield Finding(
            model.config.get("instance_group"),
            "an ensemble with instance_group",
            hint="Move instance_group to the models of the steps.",
            reason=f"instance group should not be specified for ensemble '{model.config_name}'",
        )


@rule("ensemble-optimization", Severity.ERROR, "optimization", at=Stage.POLL.after("ensemble-instance-group"))
def optimization(model: Model) -> Iterator[Finding]:
    """An ensemble has no optimization."""
    if _scheduled(model):
        yield Finding(
            model.config.get("optimization"),
            "an ensemble with optimization",
            hint="Move optimization to the models of the steps.",
            reason=f"optimization should not be specified for ensemble '{model.config_name}'",
        )


@rule("ensemble-warmup", Severity.ERROR, "model_warmup", at=Stage.POLL.after("ensemble-optimization"))
def warmup(model: Model) -> Iterator[Finding]:
    """An ensemble has no model_warmup."""
    if _scheduled(model) and model.config.messages("model_warmup"):
        yield Finding(
            model.config.get("model_warmup"),
            "an ensemble with model_warmup",
            hint="Move model_warmup to the models of the steps.",
            reason=f"model_warmup can not be specified for ensemble '{model.config_name}'",
        )


def _scheduled(model: Model) -> bool:
    return model.is_ensemble and "ensemble_scheduling" in model.fields
