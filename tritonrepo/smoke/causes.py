"""Causes before consequences: what calls a broken model is broken as well, so the called models are tested first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from tritonrepo.diagnostics import Diagnostic
from tritonrepo.repository.calls import PINS, calls
from tritonrepo.smoke.case import Outcome, Result
from tritonrepo.smoke.expected import Expected
from tritonrepo.smoke.served import Served
from tritonrepo.tree import File


class Causes:
    """Which models call which, and which have failed so far."""

    def __init__(self, models: Mapping[str, Expected], served: Sequence[Served]) -> None:
        """Read the steps of ensembles, and what a repository says of models that call others by themselves."""
        self.served = served
        self.calls: dict[str, set[str]] = {}
        self.failed: dict[str, str] = {}
        configs = [*((one.name, one.config) for one in served), *((name, one.config) for name, one in models.items())]
        for name, config in configs:
            steps = config.get("ensemble_scheduling", {}).get("step", [])
            self.calls.setdefault(name, set()).update(str(step.get("model_name")) for step in steps)
        for name, model in models.items():
            pinned = (model.contents.get(version, {}).get(PINS) for version in model.versions)
            self.calls[name].update(
                call.model for file in pinned if isinstance(file, File) for call in calls(PINS, file)
            )

    def below(self, model: str) -> set[str]:
        """Return the models that a model calls, also through others; not itself."""
        seen, left = {model}, [model]
        while left:
            new = self.calls.get(left.pop(), set()) - seen
            seen |= new
            left += new
        return seen - {model}

    def first(self) -> list[Served]:
        """Return the served versions with the called models first, otherwise in their order."""
        return sorted(self.served, key=lambda one: len(self.below(one.name)))

    def note(self, results: Iterable[Result]) -> list[Result]:
        """Return results of which none had to be waited for, after all of them are known."""
        results = list(results)
        for result in results:
            self._remember(result)
        return [self._told(result) for result in results]

    def told(self, result: Result) -> Result:
        """Return a result; what may be a consequence names its cause."""
        self._remember(result)
        return self._told(result)

    def _remember(self, result: Result) -> None:
        if result.outcome is Outcome.FAILED:
            self.failed.setdefault(result.model, str(result.check))

    def _told(self, result: Result) -> Result:
        broken = self.below(result.model) & self.failed.keys()
        causes = sorted(name for name in broken if not self.below(name) & broken)
        if not causes or result.outcome is not Outcome.FAILED:
            return result
        named = " and ".join(f"{name} ({self.failed[name]})" for name in causes)
        hint = f"This may be a consequence: {result.model} calls {named}, which failed. Fix that first."
        return replace(result, cause=causes[0], diagnostics=tuple(_hinted(each, hint) for each in result.diagnostics))


def _hinted(found: Diagnostic, hint: str) -> Diagnostic:
    return replace(found, hint="\n".join(filter(None, [hint, found.hint])))


def diagnosed(results: Iterable[Result]) -> Iterator[Diagnostic]:
    """Yield what was found: what may be a consequence comes last."""
    for result in sorted(results, key=lambda result: bool(result.cause)):
        yield from result.diagnostics
