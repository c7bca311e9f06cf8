"""Run the rules over a repository: diagnostics by place, and a verdict for every model."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from typing import NamedTuple

from tritonrepo.diagnostics import Diagnostic, Severity, Span, State, Verdict
from tritonrepo.repository.clean import Clean
from tritonrepo.repository.completion import completed
from tritonrepo.repository.counting import Told, told_each, untold
from tritonrepo.repository.ignores import ignores
from tritonrepo.repository.model import Model, Repository
from tritonrepo.repository.once import forget, keep, lasting
from tritonrepo.rules.ahead import NOT_AHEAD, Ahead, is_settled
from tritonrepo.rules.aside import aside
from tritonrepo.rules.dispatch import Dispatch
from tritonrepo.rules.ignores import sift
from tritonrepo.rules.judging import Judging
from tritonrepo.rules.order import turns
from tritonrepo.rules.python.tensors import source_uses
from tritonrepo.rules.registry import RULES, Finding, Rule, Scope

POLLING = frozenset({"parse", "poll"})


class Judged(NamedTuple):
    """All diagnostics, sorted by place, one verdict per model, sorted by name, and the findings that comments hide."""

    diagnostics: tuple[Diagnostic, ...]
    verdicts: tuple[Verdict, ...]
    hidden: tuple[Diagnostic, ...] = ()

    @property
    def ignored(self) -> int:
        """How many findings comments hide."""
        return len(self.hidden)


class Found(NamedTuple):
    """A finding with its rule."""

    rule: Rule
    finding: Finding


def judge(
    repository: Repository,
    shown: Callable[[Rule], bool] = lambda _: True,
    clean: Clean | None = None,
    told: Told = untold,
    before: Ahead = NOT_AHEAD,
) -> Judged:
    """Judge every model; `shown` selects the rules whose diagnostics are returned, but all rules make the verdicts.

    Models that are known to be `clean` are only judged among the others, and those that turn out to be are added.
    `told` is called now and then while the models are looked at. `before` has looked at some of them already.

    A model is judged after those that its steps and calls name, because an ensemble cannot load if a step is refused.
    What an ignore comment hides is not among the diagnostics, but still counts for the verdict.
    """
    judging = Judging(repository)
    every = Dispatch(Scope.REPOSITORY)[frozenset(), False]
    whole = [Found(rule, finding) for rule in every for finding in rule.check(judging.repository)]
    found = _models(judging, clean or Clean(), told, before)
    _graph(judging, whole, found)
    _take_down(judging.verdicts)
    verdicts = tuple(judging.verdicts[name] for name in sorted(judging.models))
    comments = [comment for model in judging.models.values() for comment in ignores(model)]
    if not comments:
        return Judged(_in_order(_diagnostics(judging, whole, found, shown)), verdicts)
    sifted = sift(list(_diagnostics(judging, whole, found, lambda _: True)), comments)
    left = (each for each in sifted.left if shown(RULES[each.rule]))
    return Judged(_in_order(left), verdicts, tuple(each for each in sifted.hidden if shown(RULES[each.rule])))


def _diagnostics(
    judging: Judging, whole: Iterable[Found], found: Mapping[str, Iterable[Found]], shown: Callable[[Rule], bool]
) -> Iterator[Diagnostic]:
    yield from (_diagnostic(each, None) for each in whole if shown(each.rule))
    for name, each in found.items():
        model = judging.models[name]
        yield from (_diagnostic(one, model) for one in each if not one.finding.quiet and shown(one.rule))


def _in_order(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    return tuple(sorted(diagnostics, key=lambda d: (d.at.path, d.at.line, d.at.column, d.rule, d.message)))


def _models(judging: Judging, clean: Clean, told: Told, before: Ahead) -> dict[str, list[Found]]:
    """Run the rules of one model on each model, and note which models the server does not poll."""
    rules, models = Dispatch(Scope.MODEL), judging.models
    named = {callee for model in models.values() for callee in calls(model)}

    def look(model: Model) -> list[Found]:
        called = rules[model.traits, model.unknown]
        found = [Found(rule, finding) for rule in called for finding in rule.check(model)]
        if model.name in named and not model.unknown:
            completed(model)  # the others are compared with it, and the file is at hand now
        _leave(model)
        return found

    keys = {name: clean.key(model) for name, model in models.items()}
    settled = {name for name, key in keys.items() if key in clean.before}
    rest = [name for name in models if name not in settled]
    with before.going_on(judging.repository.target) or aside(
        rest, named, lambda name: not look(models[name]) and is_settled(models[name])
    ) as others:
        own = chain([name for name in rest if name not in others.given], others.taken())
        here = told_each(own, len(models), told, lambda: len(settled) + others.done())
        found = {name: look(models[name]) for name in here}
        settled |= others.clean()
    found |= {name: look(models[name]) for name in rest if name not in settled and name not in found}
    clean.found |= {keys[name] for name in settled if keys[name]}
    clean.found |= {keys[name] for name, each in found.items() if keys[name] and not each and is_settled(models[name])}
    for name in settled:
        keep(models[name], source_uses, ())
    told(len(models), len(models))
    judging.unpolled |= {name for name, each in found.items() if each and _unpolled(models[name], each)}
    return found | {name: [] for name in settled}


def _graph(judging: Judging, whole: Iterable[Found], found: Mapping[str, list[Found]]) -> None:
    """Run the rules of a model among the others, after those of the models that it calls, and set each verdict."""
    rules, of_all = Dispatch(Scope.GRAPH), [each for each in whole if each.rule.state is not State.READY]
    for name in _callees_first(judging.models):
        model = judging.models[name]
        called = rules[model.traits, model.unknown]
        found[name].extend(Found(rule, finding) for rule in called for finding in rule.check(model, judging))
        judging.verdicts[name] = _unjudged(_verdict(model, [*of_all, *found[name]]), model, judging)
        for each in (model, *(judging.models[callee] for callee in calls(model) if callee in judging.models)):
            if each.brief:
                _leave(each)


def _leave(model: Model) -> None:
    """Drop what is kept of a model beside the results; the tree of a brief one unless another thread may use it."""
    forget(model)
    if model.brief and threading.active_count() == 1:
        model.drop()


def _unpolled(model: Model, found: list[Found]) -> bool:
    """Return whether the server refuses the model when it reads the config; without auto-complete that includes I/O."""
    verdict = _verdict(model, found)
    return verdict.stage in POLLING or (verdict.stage == "io" and not model.target.auto_complete)


def _unjudged(verdict: Verdict, model: Model, judging: Judging) -> Verdict:
    """Return the verdict; an ensemble without faults is not judged if one of its steps is not judged."""
    if verdict.verdict is State.READY and model.is_ensemble:
        for name in calls(model):
            step = judging.verdicts.get(name)
            if step is not None and step.verdict is State.NOT_JUDGED:
                return replace(step, model=model.name)
    return verdict


def _take_down(verdicts: dict[str, Verdict]) -> None:
    """Set the verdict of a model that crashes or hangs the server for all that would be ready: they are not served.

    While a model hangs during startup, the server opens no port; if one crashes it, the others are lost as well. If it
    crashes while it connects the ensembles, it has not yet reported which of them it refuses.
    """
    found = [
        verdict for state in (State.CRASH, State.HANG) for verdict in verdicts.values() if verdict.verdict is state
    ]
    for name, verdict in verdicts.items() if found else ():
        if verdict.verdict is State.READY or verdict.stage == found[0].stage == "graph":
            verdicts[name] = replace(found[0], model=name)


def _callees_first(models: Mapping[str, Model]) -> Iterator[str]:
    """Yield the models so that each comes after those that it calls; members of a cycle come in byte order."""
    done: set[str] = set()
    for name in models:
        stack = [(name, iter(calls(models[name])))]
        seen = {name}
        while stack and name not in done:
            current, rest = stack[-1]
            callee = next((c for c in rest if c in models and c not in done and c not in seen), None)
            if callee is None:
                stack.pop()
                if current not in done:
                    done.add(current)
                    yield current
            else:
                seen.add(callee)
                stack.append((callee, iter(calls(models[callee]))))


def calls(model: Model) -> Collection[str]:
    """Return the models that an ensemble's steps or a Python model's calls.json name."""
    if "ensemble_scheduling" not in model.fields:
        return [call.model for call in model.calls]
    return _steps(model)


@lasting
def _steps(model: Model) -> tuple[str, ...]:
    scheduling = model.config.message("ensemble_scheduling")
    return tuple(step.text("model_name") for step in scheduling.messages("step")) if scheduling is not None else ()


def _verdict(model: Model, found: list[Found]) -> Verdict:
    """Return the verdict of the first error in the server's own order."""
    errors = [each for each in found if each.rule.severity is Severity.ERROR]
    if not errors:
        return Verdict(model.name, State.READY)
    order = turns(auto_complete=model.target.auto_complete)

    def key(each: Found) -> tuple[int, int, int, int]:
        turn = order[each.rule.name]
        return turn.step, each.finding.item, turn.within, getattr(each.finding.at, "start", 0)

    first = min(errors, key=key)
    stage = order[first.rule.name].stage.said
    return Verdict(model.name, first.rule.state, first.rule.name, stage, first.finding.reason)


def _diagnostic(each: Found, model: Model | None) -> Diagnostic:
    rule, finding = each
    at = finding.at
    if not isinstance(at, Span):
        assert model is not None  # noqa: S101  a rule of the repository yields a Span
        at = model.at(at)
    name = model.name if model is not None else ""
    hint = finding.hint.replace("\n", r"\n")  # a hint is one line: a line break in it belongs to a name
    return Diagnostic(rule.name, rule.severity, at, finding.message, hint, name, finding.reason, finding.fix)
