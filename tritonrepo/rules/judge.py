"""Run the rules over a repository: diagnostics by place, and a verdict for every model."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from tritonrepo.diagnostics import Diagnostic, Severity, Span, State, Verdict
from tritonrepo.repository.ignores import ignores
from tritonrepo.repository.model import Model, Repository
from tritonrepo.rules.ignores import sift
from tritonrepo.rules.order import places
from tritonrepo.rules.registry import RULES, Finding, Rule, Scope

POLLING = frozenset({"parse", "poll"})


class Judged(NamedTuple):
    """Everything found, sorted by place, one verdict a model, sorted by name, and how much comments have hidden."""

    diagnostics: tuple[Diagnostic, ...]
    verdicts: tuple[Verdict, ...]
    ignored: int = 0


class Found(NamedTuple):
    """A finding with its rule."""

    rule: Rule
    finding: Finding


def judge(repository: Repository, shown: Callable[[Rule], bool] = lambda _: True) -> Judged:
    """Judge every model; `shown` picks the rules whose diagnostics are given, verdicts come from all of them.

    A model is judged after those that its steps and calls name, since a refused step refuses its ensembles. What an
    ignore comment hides is not among the diagnostics, and counts for the verdict all the same.
    """
    whole = [
        Found(rule, finding) for rule in _rules(Scope.REPOSITORY, frozenset()) for finding in rule.check(repository)
    ]
    found = {name: list(_model(model)) for name, model in repository.models.items()}
    repository.unpolled |= {name for name, each in found.items() if each and _unpolled(repository.models[name], each)}
    for name in _callees_first(repository):
        model = repository.models[name]
        found[name] += _graph(model, repository)
        verdict = _verdict(model, [*(each for each in whole if each.rule.state is not State.READY), *found[name]])
        repository.verdicts[name] = _unjudged(verdict, model, repository)
    _take_down(repository)
    verdicts = tuple(repository.verdicts[name] for name in sorted(repository.models))
    comments = [comment for model in repository.models.values() for comment in ignores(model)]
    if not comments:
        return Judged(_in_order(_diagnostics(repository, whole, found, shown)), verdicts)
    sifted = sift(list(_diagnostics(repository, whole, found, lambda _: True)), comments)
    left = (each for each in sifted.left if shown(RULES[each.rule]))
    return Judged(_in_order(left), verdicts, sum(shown(RULES[each.rule]) for each in sifted.hidden))


def _diagnostics(
    repository: Repository, whole: Iterable[Found], found: Mapping[str, Iterable[Found]], shown: Callable[[Rule], bool]
) -> Iterator[Diagnostic]:
    yield from (_diagnostic(each, None) for each in whole if shown(each.rule))
    for name, each in found.items():
        model = repository.models[name]
        yield from (_diagnostic(one, model) for one in each if not one.finding.quiet and shown(one.rule))


def _in_order(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    return tuple(sorted(diagnostics, key=lambda d: (d.at, d.rule, d.message)))


@lru_cache(maxsize=1024)
def _rules(scope: Scope, traits: frozenset[str], *, unknown: bool = False) -> tuple[Rule, ...]:
    """Give the rules for a model of these traits; where its config is not known only those that do not need it.

    Kept, since most models of a repository have their traits in common with many others.
    """
    rules = (rule for rule in RULES.values() if rule.scope is scope and (rule.after_faults or not unknown))
    return tuple(rule for rule in rules if not rule.when or rule.when & traits)


def _model(model: Model) -> Iterator[Found]:
    """Run the rules of one model."""
    for rule in _rules(Scope.MODEL, model.traits, unknown=model.unknown):
        for finding in rule.check(model):
            yield Found(rule, finding)


def _graph(model: Model, repository: Repository) -> Iterator[Found]:
    """Run the rules of a model among the others; they all need its config."""
    for rule in _rules(Scope.GRAPH, model.traits, unknown=model.unknown):
        for finding in rule.check(model, repository):
            yield Found(rule, finding)


def _unpolled(model: Model, found: list[Found]) -> bool:
    """Tell whether the server refuses the model as it reads its config; with auto-complete off I/O is checked then."""
    verdict = _verdict(model, found)
    return verdict.stage in POLLING or (verdict.stage == "io" and not model.target.auto_complete)


def _unjudged(verdict: Verdict, model: Model, repository: Repository) -> Verdict:
    """Give the verdict of an ensemble in which nothing is wrong, but a step of which is not judged: nor is it then."""
    if verdict.verdict is State.READY and model.is_ensemble:
        for name in calls(model):
            step = repository.verdicts.get(name)
            if step is not None and step.verdict is State.NOT_JUDGED:
                return replace(step, model=model.name)
    return verdict


def _take_down(repository: Repository) -> None:
    """Give the verdict of a model that ends or blocks the server to all that would be ready: they are not served either.

    While a model hangs as the server starts, no port is opened; where one ends the server, nobody waits for the others.
    Where that is as it joins the ensembles, it has not said yet which of them it refuses.
    """
    found = [
        verdict
        for state in (State.CRASH, State.HANG)
        for verdict in repository.verdicts.values()
        if verdict.verdict is state
    ]
    for name, verdict in repository.verdicts.items() if found else ():
        if verdict.verdict is State.READY or verdict.stage == found[0].stage == "graph":
            repository.verdicts[name] = replace(found[0], model=name)


def _callees_first(repository: Repository) -> Iterator[str]:
    """Give the models so that each comes after those it calls; members of a cycle come in byte order."""
    done: set[str] = set()
    for name in repository.models:
        stack = [(name, iter(calls(repository.models[name])))]
        seen = {name}
        while stack and name not in done:
            current, rest = stack[-1]
            callee = next((c for c in rest if c in repository.models and c not in done and c not in seen), None)
            if callee is None:
                stack.pop()
                if current not in done:
                    done.add(current)
                    yield current
            else:
                seen.add(callee)
                stack.append((callee, iter(calls(repository.models[callee]))))


def calls(model: Model) -> Collection[str]:
    """Give the names of the models that an ensemble's steps and a Python model's calls.json name."""
    if "ensemble_scheduling" not in model.fields:
        return [call.model for call in model.calls]
    scheduling = model.config.message("ensemble_scheduling")
    return [step.text("model_name") for step in scheduling.messages("step")] if scheduling is not None else ()


def _verdict(model: Model, found: list[Found]) -> Verdict:
    """Give the verdict of the first error in the server's own order."""
    order = places(auto_complete=model.target.auto_complete)
    errors = [each for each in found if each.rule.severity is Severity.ERROR]
    if not errors:
        return Verdict(model.name, State.READY)

    def key(each: Found) -> tuple[int, int, int, int]:
        _, step, within = order[each.rule.name]
        at = each.finding.at
        return step, each.finding.item, within, getattr(at, "start", 0)

    first = min(errors, key=key)
    stage = order[first.rule.name][0]
    return Verdict(model.name, first.rule.state, first.rule.name, stage, first.finding.reason)


def _diagnostic(each: Found, model: Model | None) -> Diagnostic:
    rule, finding = each
    at = finding.at
    if not isinstance(at, Span):
        assert model is not None  # noqa: S101  a rule of the repository gives a Span
        at = model.at(at)
    name = model.name if model is not None else ""
    hint = finding.hint.replace("\n", r"\n")  # it is one line: a line break in it is a name's
    return Diagnostic(rule.name, rule.severity, at, finding.message, hint, name, finding.reason)
