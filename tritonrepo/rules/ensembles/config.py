"""The config of an ensemble: what it must and cannot contain, and which fields mean something else in it."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Fix, Severity
from tritonrepo.pbtxt.editor import delete, insert
from tritonrepo.pbtxt.items import become
from tritonrepo.repository import Model
from tritonrepo.rules.ensembles.steps import steps
from tritonrepo.rules.mending import created, edited, together, unset
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage

PLACEHOLDER = ".gitkeep"
"""The empty file that keeps a version directory in git and in buckets; Triton opens no file of an ensemble's."""


@rule(
    "ensemble-scheduling-wrong-platform",
    Severity.ERROR,
    "ensemble_scheduling",
    at=Stage.POLL.after("direct-slot-utilization"),
)
def wrong_platform(model: Model) -> Iterator[Finding]:
    """A model that is not an ensemble cannot have ensemble_scheduling."""
    if model.is_ensemble or not model.backend:
        return
    written = model.config.get("backend") or model.config.get("platform") or model.config.get("ensemble_scheduling")
    yield Finding(
        written.value if written is not None and written.values else written,
        f'ensemble_scheduling is set, but a model with backend "{model.backend}" is not an ensemble',
        hint='Set `platform: "ensemble"` instead of the backend, or remove ensemble_scheduling.',
        reason=f"ensemble scheduling cannot be set for model '{model.config_name}' whose platform is not ensemble",
        fix=_as_ensemble(model),
    )


def _as_ensemble(model: Model) -> Fix | None:
    """Return the fix that makes a model with a backend an ensemble; None if its steps are not complete."""
    if not steps(model) or not all(step.model and step.inputs and step.outputs for step in steps(model)):
        return None
    written = [field for field in model.config.fields if field.name in {"backend", "platform"}]
    if not written:
        return edited(model, insert(model.config, "platform", "ensemble"), safe=False)
    first, *others = written
    platform = become(first, model.config, "platform", "ensemble")
    return edited(model, platform, *map(delete, others), safe=False)


@rule("ensemble-scheduling-missing", Severity.ERROR, "platform", at=Stage.POLL.after("tensor-never-read"))
def scheduling_missing(model: Model) -> Iterator[Finding]:
    """An ensemble must have ensemble_scheduling."""
    if model.is_ensemble and "ensemble_scheduling" not in model.fields:
        platform = model.config.get("platform")
        yield Finding(
            platform.value if platform is not None else None,
            "ensemble_scheduling is missing from this ensemble",
            hint="Add ensemble_scheduling with the steps, or set a backend instead of the platform.",
            reason=f"ensemble scheduling must be set for ensemble {model.config_name} whose platform is ensemble",
        )


@rule(
    "ensemble-instance-group",
    Severity.ERROR,
    "instance_group",
    at=Stage.POLL.after("ensemble-scheduling-wrong-platform"),
)
def instance_group(model: Model) -> Iterator[Finding]:
    """An ensemble cannot have an instance_group."""
    if _scheduled(model) and model.config.messages("instance_group"):
        yield Finding(
            model.config.get("instance_group"),
            "an ensemble cannot have an instance_group",
            hint="Move instance_group to the models of the steps.",
            reason=f"instance group should not be specified for ensemble '{model.config_name}'",
            fix=_without(model, "instance_group"),
        )


@rule("ensemble-optimization", Severity.ERROR, "optimization", at=Stage.POLL.after("ensemble-instance-group"))
def optimization(model: Model) -> Iterator[Finding]:
    """An ensemble cannot set optimization."""
    if _scheduled(model):
        yield Finding(
            model.config.get("optimization"),
            "an ensemble cannot set optimization",
            hint="Move optimization to the models of the steps.",
            reason=f"optimization should not be specified for ensemble '{model.config_name}'",
            fix=_without(model, "optimization"),
        )


@rule("ensemble-warmup", Severity.ERROR, "model_warmup", at=Stage.POLL.after("ensemble-optimization"))
def warmup(model: Model) -> Iterator[Finding]:
    """An ensemble cannot have a model_warmup."""
    if _scheduled(model) and model.config.messages("model_warmup"):
        yield Finding(
            model.config.get("model_warmup"),
            "an ensemble cannot have a model_warmup",
            hint="Move model_warmup to the models of the steps.",
            reason=f"model_warmup can not be specified for ensemble '{model.config_name}'",
            fix=_without(model, "model_warmup"),
        )


@rule(
    "ensemble-no-version-directory",
    Severity.ERROR,
    "ensemble_scheduling",
    at=Stage.LOAD.after("policy-specific-none-present"),
)
def no_version_directory(model: Model) -> Iterator[Finding]:
    """An ensemble must have a version directory, which may be empty."""
    if model.is_ensemble and not model.versions.found and not model.versions.overflow:
        yield Finding(
            "",
            "the ensemble has no version directory",
            hint=f"Create {model.name}/1 with a placeholder file in it. Git and buckets do not keep empty directories.",
            reason=f"at least one version must be available under the version policy of model '{model.config_name}'",
            fix=_with_versions(model),
        )


def _with_versions(model: Model) -> Fix | None:
    """Return the fix that creates the versions that the policy names, or 1; None if a directory may be one of them."""
    policy = model.config.message("version_policy")
    specific = policy.message("specific") if policy is not None else None
    named = specific.numbers("versions") if specific is not None else [1]
    alike = any(char.isdigit() for name in model.directories for char in name)
    if alike or not named or any(number < 1 or str(number) in model.children for number in named):
        return None
    return together(*(created(model, f"{number}/{PLACEHOLDER}", "", safe=True) for number in sorted({*named})))


@rule(
    "ensemble-ignored-fields",
    Severity.INFO,
    "default_model_filename",
    "parameters",
    "cc_model_filenames",
    "batch_input",
    "batch_output",
)
def ignored_fields(model: Model) -> Iterator[Finding]:
    """The fields of a backend have no effect in an ensemble."""
    for name in ("default_model_filename", "parameters", "cc_model_filenames", "batch_input", "batch_output"):
        if model.is_ensemble and name in model.fields:
            yield Finding(
                model.config.get(name),
                f"{name} has no effect in an ensemble",
                hint="Move it to the models of the steps.",
            )


@rule("ensemble-decoupled-flag", Severity.INFO, "model_transaction_policy")
def decoupled_flag(model: Model) -> Iterator[Finding]:
    """Whether an ensemble is decoupled follows from its steps."""
    if model.is_ensemble:
        policy = model.config.get("model_transaction_policy")
        yield Finding(
            policy,
            "Triton overwrites model_transaction_policy of an ensemble to match its steps",
            hint="Remove it.",
            fix=edited(model, *unset(model.config, "model_transaction_policy"), safe=True),
        )


@rule("step-model-namespace", Severity.INFO, "ensemble_scheduling")
def namespace(model: Model) -> Iterator[Finding]:
    """The model_namespace of a step has no effect."""
    for step in steps(model):
        if step.node.has("model_namespace"):
            fix = edited(model, *unset(step.node, "model_namespace"), safe=True)
            message = "Triton overwrites the model_namespace of a step"
            yield Finding(step.node.get("model_namespace"), message, hint="Remove it.", fix=fix)


def _without(model: Model, name: str) -> Fix | None:
    """Return the fix that removes a field, which loses what it says about the models of the steps."""
    empty = not any(message.fields for message in model.config.messages(name))
    return edited(model, *unset(model.config, name), safe=empty)


def _scheduled(model: Model) -> bool:
    return model.is_ensemble and "ensemble_scheduling" in model.fields
