"""The models of an ensemble's steps: that they exist, load, and have the requested version."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity, State, Verdict
from tritonrepo.pbtxt.editor import put
from tritonrepo.repository import Model
from tritonrepo.rules.ensembles.naming import other_model
from tritonrepo.rules.ensembles.steps import Step, nearest, steps, these, walked
from tritonrepo.rules.judging import Judging
from tritonrepo.rules.mending import edited
from tritonrepo.rules.registry import Finding, graph_rule
from tritonrepo.rules.stages import Stage

GRAPH_STAGES = frozenset({"graph", "graph-load", "ensemble"})


@graph_rule("step-model-missing", Severity.ERROR, "ensemble_scheduling", at=Stage.GRAPH.first)
def model_missing(model: Model, judging: Judging) -> Iterator[Finding]:
    """Every step must name a model of the repository."""
    named = {model.name, *(step.model for step in steps(model))}  # another step's model is hardly meant
    for step, reason in _unpolled(model, judging):
        if step.model not in judging.models:
            meant = nearest(step.model, [name for name in judging.models if name not in named])
            yield Finding(
                step.at("model_name"),
                f'the repository has no model "{step.model}"',
                hint=f'Did you mean "{meant}"?' if meant else "Add the model, or name one that exists.",
                reason=reason,
                item=step.number,
                fix=other_model(model, step.model, meant) if meant else None,
            )


@graph_rule("step-model-refused", Severity.ERROR, "ensemble_scheduling", at=Stage.GRAPH.same_walk("step-model-missing"))
def model_refused(model: Model, judging: Judging) -> Iterator[Finding]:
    """An ensemble cannot use a model whose config Triton rejects."""
    for step, reason in _unpolled(model, judging):
        if step.model in judging.models:
            yield Finding(
                step.at("model_name"),
                f'this ensemble cannot load because Triton rejects the config of model "{step.model}"',
                hint=f'Fix model "{step.model}" first.',
                reason=reason,
                item=step.number,
            )


@graph_rule(
    "step-model-failed", Severity.ERROR, "ensemble_scheduling", at=Stage.GRAPH_LOAD.same_walk("step-ensemble-invalid")
)
def model_failed(model: Model, judging: Judging) -> Iterator[Finding]:
    """The models of all steps of an ensemble must load."""
    for step, verdict in _refused(model, judging):
        if verdict.stage not in GRAPH_STAGES:
            yield Finding(
                step.at("model_name"),
                f'this ensemble cannot load because model "{step.model}" does not load',
                hint=f'Fix model "{step.model}" first.',
                reason=f"ensemble '{model.name}' depends on '{step.model}' which has no loaded version.",
                item=_place(model, step.model),
            )


@graph_rule("step-ensemble-invalid", Severity.ERROR, "ensemble_scheduling", at=Stage.GRAPH_LOAD.first)
def ensemble_invalid(model: Model, judging: Judging) -> Iterator[Finding]:
    """An ensemble within an ensemble must be valid."""
    for step, verdict in _refused(model, judging):
        if verdict.stage in GRAPH_STAGES and verdict.rule != "ensemble-cycle":
            yield Finding(
                step.at("model_name"),
                f'this ensemble cannot load because ensemble "{step.model}" is refused',
                hint=f'Fix ensemble "{step.model}" first.',
                reason=f"ensemble '{model.name}' depends on '{step.model}' which is not valid. Model '{step.model}' "
                f"failed with error: {verdict.server_reason}",
                item=_place(model, step.model),
            )


@graph_rule(
    "step-version-not-loaded", Severity.ERROR, "ensemble_scheduling", at=Stage.GRAPH_LOAD.same_walk("step-model-failed")
)
def version_not_loaded(model: Model, judging: Judging) -> Iterator[Finding]:
    """A step must ask for a loaded version of its model, or for -1, the newest."""
    for step in steps(model) if model.is_ensemble else ():
        callee, verdict = judging.models.get(step.model), judging.verdicts.get(step.model)
        if callee is None or verdict is None or verdict.verdict is not State.READY or step.version == -1:
            continue
        if callee.hidden:
            continue  # its version_policy is not known
        if step.version not in callee.served:
            written = step.node.has("model_version")
            asked = f"asks for version {step.version}" if written else "sets no model_version, so it asks for version 0"
            named = max(
                s.version for s in steps(model) if s.model == step.model and s.version not in {-1, *callee.served}
            )
            yield Finding(
                step.at("model_version") if written else step.at("model_name"),
                f'step {step.number} {asked} of model "{step.model}", but only {these(callee.served)} loaded',
                hint="Set `model_version: -1` for the newest version.",
                reason=f"ensemble '{model.name}' depends on '{step.model}' whose required version {named} is not "
                "loaded.",
                item=_place(model, step.model),
                fix=edited(model, put(step.node, "model_version", -1), safe=not written),
            )


def _unpolled(model: Model, judging: Judging) -> Iterator[tuple[Step, str]]:
    """Yield the steps whose model the server does not know, with its reason: it names the first of them."""
    unpolled = [step for step in _distinct(model) if not judging.polled(step.model)]
    for step in unpolled:
        yield step, f"ensemble {model.name} contains models that are not available or ambiguous: {unpolled[0].model}"


def _distinct(model: Model) -> list[Step]:
    """Return the first step of each model."""
    found: dict[str, Step] = {}
    for step in steps(model) if model.is_ensemble else ():
        if step.model:
            found.setdefault(step.model, step)
    return list(found.values())


def _place(model: Model, name: str) -> int:
    """Return the position of a model in the server's walk.

    For one model, the server compares the requested versions in ascending order and names the last missing one.
    """
    return walked(model).index(name)


def _refused(model: Model, judging: Judging) -> Iterator[tuple[Step, Verdict]]:
    """Yield the steps whose model the server knows but does not load."""
    for step in _distinct(model):
        verdict = judging.verdicts.get(step.model)
        fails = verdict is not None and verdict.verdict not in {State.READY, State.NOT_JUDGED}
        if verdict is not None and fails and judging.polled(step.model):
            yield step, verdict
