"""The models that an ensemble's steps name are there, load, and have the version that is asked for."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity, State, Verdict
from tritonrepo.repository import Model
from tritonrepo.rules.ensembles.steps import Step, nearest, steps, walked
from tritonrepo.rules.judging import Judging
from tritonrepo.rules.registry import Finding, graph_rule
from tritonrepo.rules.stages import Stage

GRAPH_STAGES = frozenset({"graph", "graph-load", "ensemble"})


@graph_rule("step-model-missing", Severity.ERROR, "ensemble_scheduling", at=Stage.GRAPH.first)
def model_missing(model: Model, judging: Judging) -> Iterator[Finding]:
    """Every step names a model of the repository whose config the server can read."""
    missing = [step for step in _distinct(model) if not judging.polled(step.model)]
    for step in missing:
        if step.model in judging.models:
            message = f'the config of model "{step.model}" is refused, and so is this ensemble'
            hint = f'Mend model "{step.model}" first.'
        else:
            message = f'there is no model "{step.model}" in the repository'
            others = [name for name in judging.models if name != model.name]
            meant = nearest(step.model, others)
            hint = f'Did you mean "{meant}"?' if meant else "Add it, or name a model that is there."
        reason = f"ensemble {model.name} contains models that are not available or ambiguous: {missing[0].model}"
        yield Finding(step.at("model_name"), message, hint=hint, reason=reason, item=step.number)


@graph_rule(
    "step-model-failed", Severity.ERROR, "ensemble_scheduling", at=Stage.GRAPH_LOAD.same_walk("step-ensemble-invalid")
)
def model_failed(model: Model, judging: Judging) -> Iterator[Finding]:
    """An ensemble loads only where the models of all its steps do."""
    for step, verdict in _refused(model, judging):
        if verdict.stage not in GRAPH_STAGES:
            yield Finding(
                step.at("model_name"),
                f'model "{step.model}" does not load, and so this ensemble does not',
                hint=f'Mend model "{step.model}" first.',
                reason=f"ensemble '{model.name}' depends on '{step.model}' which has no loaded version.",
                item=_place(model, step.model),
            )


@graph_rule("step-ensemble-invalid", Severity.ERROR, "ensemble_scheduling", at=Stage.GRAPH_LOAD.first)
def ensemble_invalid(model: Model, judging: Judging) -> Iterator[Finding]:
    """An ensemble within an ensemble is valid itself."""
    for step, verdict in _refused(model, judging):
        if verdict.stage in GRAPH_STAGES and verdict.rule != "ensemble-cycle":
            yield Finding(
                step.at("model_name"),
                f'ensemble "{step.model}" is refused, and so is this one',
                hint=f'Mend ensemble "{step.model}" first.',
                reason=f"ensemble '{model.name}' depends on '{step.model}' which is not valid. Model '{step.model}' failed "
                f"with error: {verdict.server_reason}",
                item=_place(model, step.model),
            )


@graph_rule(
    "step-version-not-loaded", Severity.ERROR, "ensemble_scheduling", at=Stage.GRAPH_LOAD.same_walk("step-model-failed")
)
def version_not_loaded(model: Model, judging: Judging) -> Iterator[Finding]:
    """A step asks for version -1, the newest, or for one that its model's version_policy loads."""
    for step in steps(model) if model.is_ensemble else ():
        callee, verdict = judging.models.get(step.model), judging.verdicts.get(step.model)
        if callee is None or verdict is None or verdict.verdict is not State.READY or step.version == -1:
            continue
        if callee.hidden:
            continue  # its version_policy is not known
        if step.version not in callee.served:
            written = step.node.has("model_version")
            asked = f"asks for version {step.version}" if written else "has no model_version, which means version 0"
            loaded = ", ".join(map(str, callee.served))
            named = max(
                s.version for s in steps(model) if s.model == step.model and s.version not in {-1, *callee.served}
            )
            yield Finding(
                step.at("model_version") if written else step.at("model_name"),
                f'step {step.number} {asked} of model "{step.model}"; loaded is {loaded}',
                hint="Write model_version: -1 for the newest.",
                reason=f"ensemble '{model.name}' depends on '{step.model}' whose required version {named} is not loaded.",
                item=_place(model, step.model),
            )


def _distinct(model: Model) -> list[Step]:
    """Return the first step of each model."""
    found: dict[str, Step] = {}
    for step in steps(model) if model.is_ensemble else ():
        if step.model:
            found.setdefault(step.model, step)
    return list(found.values())


def _place(model: Model, name: str) -> int:
    """Return where a model stands in the server's walk.

    For one model the versions that the steps ask for are compared in ascending order, and the last that lacks is named.
    """
    return walked(model).index(name)


def _refused(model: Model, judging: Judging) -> Iterator[tuple[Step, Verdict]]:
    """Yield the steps whose model the server knows and does not load."""
    for step in _distinct(model):
        verdict = judging.verdicts.get(step.model)
        fails = verdict is not None and verdict.verdict not in {State.READY, State.NOT_JUDGED}
        if verdict is not None and fails and judging.polled(step.model):
            yield step, verdict
