"""Causes before consequences: what calls a broken model is broken as well, and is tested and told after it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from tritonrepo.diagnostics import Diagnostic
from tritonrepo.repository.calls import PINS, calls
from tritonrepo.smoke.case import Outcome, Result
from tritonrepo.smoke.expected import Expected
from tritonrepo.smoke.served import Served
from tritonrepo.tree import File

ELSEWHERE = "reach different servers"
"""What the message says if one of the two addresses is that of another server: then any check may fail."""


def called(models: Mapping[str, Expected], served: Iterable[Served]) -> dict[str, frozenset[str]]:
    """Return the models that each model calls, also through others: by steps of ensembles, and by a calls.json."""
    direct: dict[str, set[str]] = {}
    configs = [*((one.name, one.config) for one in served), *((name, one.config) for name, one in models.items())]
    for name, config in configs:
        steps = config.get("ensemble_scheduling", {}).get("step", [])
        direct.setdefault(name, set()).update(str(step.get("model_name")) for step in steps)
    for name, model in models.items():
        pinned = (model.contents.get(version, {}).get(PINS) for version in model.versions)
        direct[name].update(call.model for file in pinned if isinstance(file, File) for call in calls(PINS, file))
    return {name: _below(name, direct) for name in direct}


def _below(model: str, direct: Mapping[str, set[str]]) -> frozenset[str]:
    seen, left = {model}, [model]
    while left:
        new = direct.get(left.pop(), set()) - seen
        seen |= new
        left += new
    return frozenset(seen - {model})


def explained(results: Iterable[Result]) -> list[Result]:
    """Return the results in their order; a failure that may be a consequence says of what."""
    results = list(results)
    failed: dict[str, Result] = {}
    for result in results:
        if _answered(result) and (result.model not in failed or _is_elsewhere(result)):
            failed[result.model] = result
    cause = next((result for result in failed.values() if _is_elsewhere(result)), None)
    if cause is not None:
        return [result if result is cause else _elsewhere(result, cause) for result in results]
    return [_explained(result, failed) for result in results]


def _is_elsewhere(result: Result) -> bool:
    return any(ELSEWHERE in each.message for each in result.diagnostics)


def _elsewhere(result: Result, cause: Result) -> Result:
    """Return a result; its failure may have no other cause than a second server."""
    if result.outcome is not Outcome.FAILED:
        return result
    hint = "This may be a consequence: HTTP and gRPC reach different servers. Fix that first."
    return replace(result, cause=cause.model, diagnostics=tuple(_hinted(each, hint) for each in result.diagnostics))


def _answered(result: Result, *, alone: bool = False) -> bool:
    """Return whether a check failed, and not because the server was gone before; `alone`: also one that passed."""
    return not result.unasked and (alone or result.outcome is Outcome.FAILED)


def _explained(result: Result, failed: Mapping[str, Result]) -> Result:
    broken = result.calls & failed.keys()
    causes = sorted(name for name in broken if not failed[name].calls & broken)
    if not causes or not _answered(result):
        return result
    named = " and ".join(f"{name} ({failed[name].check})" for name in causes)
    hint = f"This may be a consequence: {result.model} calls {named}, which failed. Fix that first."
    return replace(result, cause=causes[0], diagnostics=tuple(_hinted(each, hint) for each in result.diagnostics))


def _hinted(found: Diagnostic, hint: str) -> Diagnostic:
    return replace(found, hint="\n".join(filter(None, [hint, found.hint])))


def diagnosed(results: Iterable[Result]) -> list[Diagnostic]:
    """Return what was found: what may be a consequence comes last, with what was not asked any more."""
    ordered = sorted(explained(results), key=lambda result: bool(result.cause) or not _answered(result, alone=True))
    return [diagnostic for result in ordered for diagnostic in result.diagnostics]
