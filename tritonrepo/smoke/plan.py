"""The cases for a server: from its own configs, from what a repository knows about them, from a stack's own cases."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tritonrepo.diagnostics import Severity, Span
from tritonrepo.smoke import answers, declared, drift, files, generated
from tritonrepo.smoke.case import Case, Check, Crowd, Flaw, Result, found, streams_over_http
from tritonrepo.smoke.expected import Expected
from tritonrepo.smoke.served import Served
from tritonrepo.spec.part import Parts
from tritonrepo.spec.stack import Smoke

NAMES = 4
"""How many names of other models are tried as strings: a model that calls another may want its name."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known apart from the server: the repository's models, which one embeds for which, and declared cases.

    `parts` are the roles whose own cases are run; `embedding`: the embedding model → the one whose index it built.
    `at` is what a user named; None if nothing was named. `reads`: the models where the server reads them, `reads_at`:
    what a user calls that place, empty if it is not known. `left_out`: the models that the server cannot serve and
    that are not tested, each with the reason.
    """

    at: Span | None = None
    models: Mapping[str, Expected] = field(default_factory=dict)
    embedding: Mapping[str, str] = field(default_factory=dict)
    declared: Sequence[Smoke] = ()
    reads: Mapping[str, Expected] = field(default_factory=dict)
    reads_at: str = ""
    parts: Parts = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)

    def tested(self) -> Known:
        """Return what is known without the models that are left out."""
        models = {name: model for name, model in self.models.items() if name not in self.left_out}
        return replace(
            self, models=models, declared=[case for case in self.declared if case.model not in self.left_out]
        )


def named(
    known: Known, served: Iterable[Served], only: frozenset[str], refused: Collection[str] = ()
) -> Iterator[Result]:
    """Yield how versions, configs and files compare with the repository's, and what cannot be compared.

    The versions of a model that the server has refused to load are not compared: it has said why.
    """
    served = list(served)
    if known.at is None:
        yield from (files.compared(None, None, one, "") for one in served)
        return
    ready: dict[str, list[str]] = {}
    for one in served:
        ready.setdefault(one.name, []).append(one.version)
    wanted = {name: model for name, model in known.models.items() if not only or name in only}
    there = {name: model for name, model in wanted.items() if name in ready or name not in refused}
    yield from drift.versions(there, ready, known.at)
    latest = {one.name: one for one in served}  # a model has one config, whatever its versions
    for name, one in latest.items():
        if name in wanted and not wanted[name].fault:
            yield drift.config(wanted[name], one)
    for one in served:
        if one.name not in wanted or one.version in wanted[one.name].versions:
            yield files.compared(wanted.get(one.name), known.reads.get(one.name), one, known.reads_at)


def cases(
    known: Known, served: Iterable[Served], only: frozenset[str] = frozenset()
) -> Iterator[Case | Crowd | Result]:
    """Yield the cases of every served version, the models in order; a Result for a case that cannot be made.

    `only` selects the models to test, by default all; a declared case has its number in the stack file.
    """
    served = list(served)
    for one in served:
        yield from _known(known, one, [other.name for other in served if other.name != one.name][:NAMES])
        for number, case in enumerate(known.declared, 1):
            if case.model == one.name:
                yield declared.case(one, case, number)
    for number, case in enumerate(known.declared, 1):
        if case.model not in {one.name for one in served} and (not only or case.model in only):
            at = case.places.get("model", known.at or Span(case.model))
            flaw = Flaw(f"case {number} is for {case.model}, which the server does not serve")
            diagnostic = found(Check.DECLARED, Severity.ERROR, at, flaw, case.model)
            yield Result(case.model, "", Check.DECLARED, str(number), diagnostics=(diagnostic,))


def _known(known: Known, served: Served, others: Sequence[str]) -> Iterator[Case | Crowd | Result]:
    """Yield the cases that nobody declared; a stack's cases for a model replace those with made-up values."""
    own: list[Case | Crowd | Result] = []
    try:
        own = _cases(known, served)
    except ValueError as error:
        hint = "Check that the server serves this repository's model, and that the repository is complete."
        yield _impossible(served, Check.REFERENCE, Flaw(f"{served.name} cannot be compared: {error}", hint))
    if own or any(case.model == served.name for case in known.declared):
        yield from own
        return
    try:
        yield from plain(served, others)
        yield from answers.echoes(served, "text_input")
    except ValueError as error:
        yield _impossible(served, Check.ANSWER, Flaw(f"{served.name} cannot be tested: {error}"))


def _impossible(served: Served, check: Check, flaw: Flaw) -> Result:
    diagnostic = found(check, Severity.ERROR, served.at, flaw, served.name)
    return Result(served.name, served.version, check, diagnostics=(diagnostic,))


def plain(served: Served, names: Sequence[str] = ()) -> Iterator[Case]:
    """Yield the cases of a model about which nothing else is known; a model may want the name of another one."""
    if served.decoupled:
        case, others = answers.stream(served, strict=False), generated.others(served, names)
        over_http = len(case.protocols) > 1
        yield replace(case, others=tuple(one for one in others if not over_http or streams_over_http(one)))
    else:
        yield from generated.cases(served, names)


def _cases(known: Known, served: Served) -> list[Case | Crowd | Result]:
    """Return the cases of the first part that has this model; an empty list if no part has it."""
    return next(filter(None, ([*part.cases(served, known)] for part in known.parts.values())), [])
