"""What Python models call by BLS: models and versions, as the source or a generated calls.json names them; no cycle."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tritonrepo.diagnostics import Severity, Span
from tritonrepo.repository import Model
from tritonrepo.repository.calls import Call
from tritonrepo.repository.once import once
from tritonrepo.rules.ensembles.steps import nearest, steps, these
from tritonrepo.rules.judging import Judging
from tritonrepo.rules.python.tensors import source_uses
from tritonrepo.rules.registry import Finding, graph_rule


@graph_rule("calls-model-missing", Severity.WARNING, "backend=python")
def model_missing(model: Model, judging: Judging) -> Iterator[Finding]:
    """A Python step should call only models of its repository."""
    for call in all_calls(model):
        if call.model not in judging.models:
            meant = nearest(call.model, [name for name in judging.models if name != model.name])
            yield Finding(
                _at(model, call),
                f'the repository has no model "{call.model}" to call',
                hint=f'Did you mean "{meant}"?' if meant else "Add the model, or call one that exists.",
            )


@graph_rule("calls-version-missing", Severity.WARNING, "backend=python")
def version_missing(model: Model, judging: Judging) -> Iterator[Finding]:
    """A Python step should call only loaded versions."""
    for call in all_calls(model):
        callee = judging.models.get(call.model)
        if callee is None or call.version == -1 or call.version in callee.served or not callee.served:
            continue
        there = call.version in callee.versions.found
        yield Finding(
            _at(model, call),
            f'version {call.version} of model "{call.model}" {"is not served" if there else "does not exist"}; '
            f"only {these(callee.served)} served",
            hint=f'Select version {call.version} in the version_policy of "{call.model}".'
            if there
            else "Call a version that is served.",
        )


@graph_rule("calls-cycle", Severity.WARNING, "backend=python")
def cycle(model: Model, judging: Judging) -> Iterator[Finding]:
    """A Python step should not call itself, directly or through others."""
    for call in all_calls(model):
        way = _way_back(model.name, call.model, judging)
        if way and model.name == min(name for name in way if all_calls(judging.models[name])):
            yield Finding(
                _at(model, call),
                f"the calls form a cycle: {' → '.join([*way, model.name])}",
                hint="Remove one of these calls. Each waits for the next, so none ends.",
            )
            return


@once
def all_calls(model: Model) -> tuple[Call, ...]:
    """Return the calls of a model: those that are pinned, then those of its source."""
    found = ((path, use) for path, used in source_uses(model) for use in used.calls)
    return (
        *model.calls,
        *(Call(Span(path, use.model.line, use.model.column), use.model.name, use.version) for path, use in found),
    )


def _at(model: Model, call: Call) -> Span:
    return replace(call.at, path=f"{model.name}/{call.at.path}")


def _callees(name: str, judging: Judging) -> Iterator[str]:
    model = judging.models.get(name)
    if model is not None:
        yield from (call.model for call in all_calls(model))
        yield from (step.model for step in steps(model))


def _way_back(start: str, first: str, judging: Judging) -> list[str]:
    """Return the models on a path from one back to itself, which is listed only once; empty if no path exists."""
    way, seen = [(start, iter([first]))], {start}
    while way:
        callee = next((name for name in way[-1][1] if name == start or name not in seen), None)
        if callee == start:
            break
        if callee is None:
            way.pop()
        else:
            seen.add(callee)
            way.append((callee, _callees(callee, judging)))
    return [name for name, _ in way]
