"""Whether one response of a pipeline could come from two releases while a plan is carried out. Pure.

A server has one config per model, whatever versions of it are served; while it moves from one state of the repository
to the next, each model independently has its old or its new state. A response is whole if the state before the push or
the one after it produces it: the same models in the same versions, through the same pipelines.

An ensemble resolves each model that its steps name once per request, when the request begins, and what these call when
they run (core, src/ensemble_scheduler/ensemble_scheduler.cc, EnsembleContext). A Python model may call the models of
its calls.json any number of times, each time in their current state.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby, islice, pairwise, product
from typing import NamedTuple, TypeVar

from tritonrepo.diagnostics import Diagnostic, Severity, Span
from tritonrepo.pbtxt.convert import to_plain
from tritonrepo.repository import Target
from tritonrepo.sync.gating import LATEST, Call, Model, model_of, reached
from tritonrepo.sync.plan import Action, Plan, Put

RULE = "push-mixed"

State = Mapping[str, Model]
"""The models of a repository at one moment, by name."""

Loaded = tuple[Model, int]
"""A model of one state, in one of its versions."""

ENOUGH = 3
"""How many responses are distinguished: of three, at least one is neither the old nor the new release's."""

Found = TypeVar("Found")

TWICE = 2
"""Two calls show what any number of them can."""


class Made(NamedTuple):
    """A response: what produced it, and the responses that it was made from, as numbers."""

    model: str
    content: object
    parts: tuple[int, ...]


class Mixed(NamedTuple):
    """A pipeline that could mix releases; the path to what is new in such a response, and to what is old."""

    model: str
    new: tuple[str, ...]
    old: tuple[str, ...]


def mixed(had: State, actions: Iterable[Action], server: Target) -> list[Mixed]:
    """Return the pipelines whose responses could be mixed while these actions are carried out, sorted by name."""
    states = list(_states(had, actions, server))
    callers = _callers(states)
    book = _Book()
    first, last = _Answers(book, states[0]), _Answers(book, states[-1])
    found: dict[str, Mixed] = {}

    def above(names: Iterable[str]) -> set[str]:
        return reached(names, lambda name: callers.get(name, ()))

    for before, after in pairwise(states):
        between = _Answers(book, before, after)
        for call in _asked(above(_changed(before, after)) - found.keys(), before, after):
            old, new = first.whole(call), last.whole(call)
            wrong = next((answer for answer in between.of(call) if answer not in {old, new}), None)
            if wrong is not None:
                found[call[0]] = Mixed(call[0], book.way(wrong, old), book.way(wrong, new))
    return [found[name] for name in sorted(found)]


def mixture(found: Mixed, states: Sequence[State], where: str) -> Diagnostic:
    """Return the error for a push during which such a pipeline could mix releases."""
    new, old = " → ".join(found.new), " → ".join(found.old)
    message = f'a response of "{found.model}" can mix both releases: {new} is new, {old} is old'
    hint = "\n".join([*_ways_out(found, states), f"Add `--allow-mixed {found.model}` to accept such responses."])
    return Diagnostic(RULE, Severity.ERROR, Span(f"{where}/{found.model}"), message, hint, found.model)


def admit(made: Plan, names: Collection[str], rule: str = RULE) -> Plan:
    """Return the plan with the conflicts of these models and this rule turned into warnings."""
    admitted = [each for each in made.conflicts if each.rule == rule and each.model in names]
    notes = [replace(each, severity=Severity.WARNING, hint="") for each in admitted]
    conflicts = tuple(each for each in made.conflicts if each not in admitted)
    return replace(made, conflicts=conflicts, notes=(*notes, *made.notes))


def _ways_out(found: Mixed, states: Sequence[State]) -> Iterator[str]:
    """Yield why a response can be mixed, and what to do about it, for each call on the two paths that causes it."""
    new, old = (list(pairwise(label.split(" ")[0] for label in way)) for way in (found.new, found.old))
    for caller, called in dict.fromkeys([*new, *old]):
        callers = [state[caller] for state in states if caller in state]
        nested = any(called in state and state[called].is_ensemble for state in states)
        latest = any((called, LATEST) in model.called() for model in callers)
        if not all(model.is_ensemble for model in callers) and (caller, called) in {*new} & {*old}:
            yield f'"{caller}" can call "{called}" several times per request, before and after it changes.'
        elif nested:
            yield f'"{called}" has one config for all its versions, so "{caller}" cannot keep calling the old one.'
        elif latest:
            yield f'"{caller}" calls "{called}" without a version, so it gets a new one as soon as that is served.'
        if nested:
            yield f'Call the models of "{called}" directly in "{caller}", or rename the new "{called}".'
        elif latest:
            yield f'Pin "{called}" in "{caller}" to the version that is served, push that, and then push this release.'


def _states(had: State, actions: Iterable[Action], server: Target) -> Iterator[State]:
    """Yield the repository now and after each group of actions, which servers may see in any order."""
    state = dict(had)
    yield state
    shared: dict[str, str] = {}  # models have files of the same names
    for _, group in groupby(actions, key=lambda action: (action.phase, action.wave)):
        state = dict(state)
        for name, own in groupby(group, key=lambda action: action.path.partition("/")[0]):
            now = dict(state[name].files) if name in state else {}
            for action in own:
                path = action.path[len(name) + 1 :]
                if isinstance(action, Put):
                    now[shared.setdefault(path, path)] = action.file
                else:
                    now.pop(path, None)
            state[name] = model_of(name, now, server)
        yield state


def _changed(before: State, after: State) -> list[str]:
    """Return the models that changed: a state shares the others with the state before it."""
    return [name for name, model in after.items() if before.get(name) is not model]


def _callers(states: Sequence[State]) -> dict[str, set[str]]:
    """Return the callers of each model in any of these states, by name."""
    callers: dict[str, set[str]] = {}
    for before, after in pairwise([{}, *states]):
        for name in _changed(before, after):
            for called in after[name].calls():
                callers.setdefault(called, set()).add(name)
    return callers


def _asked(names: Iterable[str], *states: State) -> Iterator[Call]:
    """Yield what clients may request of pipelines (models that call others): no version, or any served one."""
    for name in sorted(names):
        models = [state[name] for state in states if name in state and state[name].calls()]
        served = {version for model in models for version in model.served}
        yield from ((name, version) for version in (LATEST, *sorted(served)) if served)


class _Book:
    """Numbers for responses: equal ones share one number, however deep they are."""

    def __init__(self) -> None:
        self._numbers: dict[Made, int] = {}
        self._made: list[Made] = []

    def number(self, made: Made) -> int:
        if made not in self._numbers:
            self._numbers[made] = len(self._made)
            self._made.append(made)
        return self._numbers[made]

    def way(self, answer: int, other: int | None) -> tuple[str, ...]:
        """Return the path from a response's pipeline down to the first place where it differs from the other one."""
        way: list[str] = []
        while True:
            one, two = self._made[answer], None if other is None else self._made[other]
            alike = two is not None and (one.model, one.content) == (two.model, two.content)
            if two is None or not alike:
                return (*way, f"{one.model} {one.content}" if isinstance(one.content, int) else one.model)
            way.append(one.model)
            answer, other = next(pair for pair in zip(one.parts, two.parts, strict=True) if pair[0] != pair[1])


class _Answers:
    """All responses that calls can have when each model has its state from one of these states."""

    def __init__(self, book: _Book, *states: State) -> None:
        self._book = book
        self._states = states
        self._known: dict[tuple[int, int], tuple[int, ...]] = {}

    def whole(self, call: Call) -> int | None:
        """Return the response of a single state, None if it has none; an unserved version means the latest one."""
        return next(iter(self.of(call) or self.of((call[0], LATEST))), None)

    def of(self, call: Call) -> tuple[int, ...]:
        """Return the different responses of a call, or as many as are enough."""
        return _enough(answer for loaded in self._loaded(call) for answer in self._by(*loaded))

    def _loaded(self, call: Call) -> list[Loaded]:
        """Return what may handle a call."""
        name, version = call
        models = {id(state[name]): state[name] for state in self._states if name in state}.values()
        found = [(model, max(model.served, default=0) if version == LATEST else version) for model in models]
        return [(model, number) for model, number in found if number in model.served]

    def _by(self, model: Model, number: int) -> tuple[int, ...]:
        """Return the responses that one loaded version of a model can have."""
        todo, begun = [(model, number)], set[tuple[int, int]]()
        while todo:
            loaded = todo[-1]
            below = [] if _key(loaded) in begun else self._unknown(loaded)
            begun.add(_key(loaded))
            if not below:
                self._known.setdefault(_key(loaded), self._made(*loaded))
                todo.pop()
            todo += below
        return self._known[_key((model, number))]

    def _unknown(self, loaded: Loaded) -> list[Loaded]:
        """Return what may handle the calls of a loaded version and whose responses are not known yet."""
        model, number = loaded
        below = (other for call in model.called(number) for other in self._loaded(call))
        return [other for other in below if _key(other) not in self._known]

    def _made(self, model: Model, number: int) -> tuple[int, ...]:
        """Return the responses of a loaded version, made from those of what it calls."""
        content: object = _wiring(model) if model.is_ensemble else number
        calls = self._run(model) if model.is_ensemble else self._free(model, number)
        return _enough(self._book.number(Made(model.name, content, parts)) for parts in calls)

    def _found(self, loaded: Loaded) -> tuple[int, ...]:
        """Return the known responses, or, if a call leads back to itself, one that no release has."""
        return self._known.get(_key(loaded), (self._book.number(Made(loaded[0].name, "itself", ())),))

    def _run(self, ensemble: Model) -> Iterator[tuple[int, ...]]:
        """Yield the responses of an ensemble's steps: steps that name the same model use the same loaded version."""
        steps = ensemble.steps()
        times = Counter(steps)
        chosen = [
            _enough(
                parts for loaded in self._loaded(call) for parts in product(self._found(loaded), repeat=times[call])
            )
            for call in times
        ]
        for each in islice(product(*chosen), ENOUGH):
            parts = {call: iter(own) for call, own in zip(times, each, strict=True)}
            yield tuple(next(parts[step]) for step in steps)

    def _free(self, model: Model, number: int) -> Iterator[tuple[int, ...]]:
        """Return the responses of what a version's own code calls, any number of times each."""
        calls = [call for call in sorted(model.called(number)) for _ in range(TWICE)]
        found = (_enough(each for loaded in self._loaded(call) for each in self._found(loaded)) for call in calls)
        return islice(product(*found), ENOUGH)


def _key(loaded: Loaded) -> tuple[int, int]:
    """Return what identifies a loaded version: states share the models that are the same in them."""
    return id(loaded[0]), loaded[1]


def _enough(found: Iterable[Found]) -> tuple[Found, ...]:
    return tuple(islice(dict.fromkeys(found), ENOUGH))


def _wiring(model: Model) -> str:
    """Return what an ensemble does, except for the versions that it calls, which its parts show."""
    plain = to_plain(model.config)["ensemble_scheduling"] if model.config else {}
    return repr(
        [{key: value for key, value in step.items() if key != "model_version"} for step in plain.get("step", ())]
    )
