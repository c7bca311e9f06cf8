"""A whole smoke test as a stream of results: what is loaded, what was expected, what each model responds."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import NamedTuple

from tritonrepo.diagnostics import Severity, Stop, closest, fatal
from tritonrepo.server.client import Client, ModelState
from tritonrepo.server.recognizing import recognized
from tritonrepo.smoke import crowd, identity, replay
from tritonrepo.smoke.asking import Asking
from tritonrepo.smoke.case import Case, Check, Crowd, Flaw, Outcome, Result, found
from tritonrepo.smoke.causes import called
from tritonrepo.smoke.connection import Connection
from tritonrepo.smoke.pace import Clock, Pace, again, arriving
from tritonrepo.smoke.plan import Known, cases, named
from tritonrepo.smoke.proof import Proof
from tritonrepo.smoke.recorded import Plan
from tritonrepo.smoke.recording import Recorder
from tritonrepo.smoke.served import Served, place, survey

USUAL = Pace()

OTHER = {"server-answer", "server-refused"}
"""How the responses of another service than Triton are reported."""

Item = Case | Crowd | Result


class Way(NamedTuple):
    """How a run proceeds: its pace, its clock, and what records it."""

    pace: Pace = USUAL
    clock: Clock = Clock()  # one without a deadline, which never changes
    recorder: Recorder | None = None


STRAIGHT = Way()


def run(connection: Connection, known: Known, only: frozenset[str], way: Way = STRAIGHT) -> Iterator[Result]:
    """Yield every result as it arrives; `only` selects the models to test by name or pattern, by default all.

    What the server counts meanwhile is read as well.

    Raise Stop if the server cannot be reached at all, or lacks a model that `only` names.
    """
    index = [state for state in _index(connection) if state.name not in known.left_out]
    yield from (Result(name, "", Check.LOADED, unchecked=reason) for name, reason in sorted(known.left_out.items()))
    known = known.tested()
    only = _selected(only, sorted({state.name for state in index} | known.models.keys()))
    served: list[Served] = []
    loaded = list(_surveyed(connection.http, index, only, way.clock, served))
    below = called(known.models, served)
    refused = {result.model for result in loaded if result.outcome is Outcome.FAILED}
    yield from _calling(below, [*loaded, *named(known, served, only, refused)])
    first = sorted(served, key=lambda one: len(below[one.name]))
    yield from _calling(below, _asked(connection, served, cases(known, first, only), way))
    if way.recorder is not None:
        way.recorder.served = served


def replayed(connection: Connection, plan: Plan, only: frozenset[str], way: Way, tolerance: float) -> Iterator[Result]:
    """Yield the results of a recorded plan on another server, or on the same one later; Stop as for `run`."""
    index = [state for state in _index(connection) if state.name in plan.names]
    only = _selected(only, sorted(plan.names))
    served: list[Served] = []
    loaded = list(_surveyed(connection.http, index, only, way.clock, served))
    below = called({}, served)
    yield from _calling(below, [*loaded, *replay.versions(plan, served, only)])
    yield from _calling(below, _asked(connection, served, replay.cases(plan, served, only, tolerance), way))


def _calling(below: Mapping[str, frozenset[str]], results: Iterable[Result]) -> Iterator[Result]:
    """Yield results with the models that theirs call, by which a failure may be explained."""
    return (replace(result, calls=below.get(result.model, frozenset())) for result in results)


def _asked(connection: Connection, served: Sequence[Served], items: Iterator[Item], way: Way) -> Iterator[Result]:
    """Yield the results of the cases, and what the server's counts prove."""
    batched = {one.name for one in served if one.max_batch_size}
    asking = Asking(connection, {one.name: one.outputs for one in served}, batched, way.clock)
    asking.recorder = way.recorder
    proof, pace = Proof(asking, served), way.pace
    models = groupby(items, _model)
    yield from arriving((partial(_tested, proof, list(each), pace) for _, each in models), pace.parallel)
    yield from proof.results()


def _model(item: Item) -> str:
    match item:
        case Result():
            return item.model
        case Crowd():
            return item.cases[0].request.model
        case Case():
            return item.request.model


def _tested(proof: Proof, items: Sequence[Item], pace: Pace) -> Iterator[Result]:
    """Yield the results of one model."""
    with proof.asking.apart() if pace.parallel > 1 else nullcontext(proof.asking) as own:
        for item in items:
            times = 1 if isinstance(item, Result) else pace.repeat
            for result in again(partial(_one, own, item), times, lambda: own.standing.lost is not None):
                proof.note(item, result)
                yield result
        for (model, version), case in _versions(items).items():
            if own.connection.rpc is not None and own.barred(case.request) is None:
                yield from identity.checked(own.connection, model, version, case.at)


def _versions(items: Iterable[Item]) -> dict[tuple[str, str], Case]:
    """Return each version that was asked, with a case of it."""
    asked = [item.cases[0] if isinstance(item, Crowd) else item for item in items if not isinstance(item, Result)]
    return {(case.request.model, case.request.version): case for case in asked}


def _one(asking: Asking, item: Item) -> Iterator[Result]:
    match item:
        case Result():
            yield item
        case Crowd():
            yield from crowd.run(asking, item)
        case Case():
            yield from asking.run(item)


def _selected(only: frozenset[str], names: Sequence[str]) -> frozenset[str]:
    """Return the models that names or patterns select; raise Stop for one that selects none."""
    found: set[str] = set()
    for wanted in sorted(only):
        selected = {wanted} & set(names) or set(fnmatch.filter(names, wanted))
        if not selected:
            hint = closest(wanted, names) if names else ""
            raise fatal("smoke-model", wanted, "the server does not have this model", hint)
        found |= selected
    return frozenset(found)


def _surveyed(
    client: Client, index: list[ModelState], only: frozenset[str], clock: Clock, served: list[Served]
) -> Iterator[Result]:
    """Yield whether each version is loaded, and add those that are; a version that no time was left for fails."""
    for number, state in enumerate(index):
        if clock.over and (not only or state.name in only):
            flaw = Flaw(f"version {state.version} was not tested, because {clock.why}", "Raise `--deadline`.")
            diagnostic = found(Check.LOADED, Severity.ERROR, place(client, state.name), flaw, state.name)
            yield Result(state.name, state.version, Check.LOADED, diagnostics=(diagnostic,))
            continue
        for seen in survey(client, index[number : number + 1], only):
            if isinstance(seen, Served):
                served.append(seen)
            else:
                yield seen


def _index(connection: Connection) -> list[ModelState]:
    """Return the server's index; raise a fatal Stop if it is unavailable, since nothing can be tested without it."""
    try:
        index = connection.http.index()
        if connection.rpc is not None:
            connection.rpc.check()
    except Stop as stop:
        hint = "Check that this is the HTTP port of a Triton server, by default 8000."
        if stop.diagnostics[0].rule in OTHER and (other := recognized(connection.http)):
            raise fatal("server-answer", connection.http.url, f"this is {other}", hint) from None
        raise Stop(d if d.hint else replace(d, hint=hint) for d in stop.of(Severity.FATAL).diagnostics) from None
    return index
