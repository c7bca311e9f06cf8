"""Checks of paths, each under the settings that apply to it, and without the findings that a baseline holds."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple, Protocol

from tritonrepo.diagnostics import Diagnostic, Severity
from tritonrepo.flows.baseline import Baseline, Looked, begun, load, rewrite
from tritonrepo.flows.fixing import Hides
from tritonrepo.flows.settings import Source, settings_of
from tritonrepo.flows.validate import Aim, Judgement, Shown, validate
from tritonrepo.flows.workspace import Workspace
from tritonrepo.report.baseline import Known
from tritonrepo.repository import NOTHING, Said, Target
from tritonrepo.rules import RULES, Rule
from tritonrepo.settings import Settings
from tritonrepo.stores import is_remote

Judge = Callable[[str, Workspace, Aim, Shown], Judgement]
"""Checks a path, as `validate` does."""


class Aiming(Protocol):
    """Makes the target from what a record, a stack and settings say."""

    def __call__(self, record: Said, stack: Said, settings: Said = NOTHING) -> Target:
        """Return the target."""


class Wanted(NamedTuple):
    """The rules whose findings are shown, None for all, save the ignored; those of severity info need `verbose`."""

    select: frozenset[str] | None = None
    ignore: frozenset[str] = frozenset()
    verbose: bool = False

    def shows(self, rule: Rule, severity: Severity) -> bool:
        """Whether to show the findings of a rule that has this severity."""
        loud = self.verbose or severity is not Severity.INFO
        return loud and (self.select is None or rule.name in self.select) and rule.name not in self.ignore


class Plan(NamedTuple):
    """Where settings and the baseline come from; `rewritten` is a baseline that is written instead of being used."""

    source: Source = Source()
    baseline: Path | None = None
    rewritten: Path | None = None


class Terms(NamedTuple):
    """The settings of a path, and with what it is checked because of them."""

    settings: Settings
    work: Workspace
    aim: Aim
    shown: Shown

    def shown_anywhere(self, rule: Rule) -> bool:
        """Whether neither options nor settings hide a rule everywhere."""
        return self.shown(rule) and not self.settings.hides(rule.name)


class Settled:
    """The checks of one run; what they find is kept for the baseline that the run writes."""

    def __init__(self, work: Workspace, aim: Aiming, wanted: Wanted, plan: Plan) -> None:
        self._work, self._aim, self._wanted, self._plan = work, aim, wanted, plan
        self._load = cache(load)
        self._old = begun(plan.rewritten) if plan.rewritten is not None else None
        self._found: dict[str, list[Known]] = {}
        self._looked: dict[str, Looked] = {}

    def terms(self, path: str) -> Terms:
        """Return on what terms a path is checked; raise Stop if its settings cannot be used."""
        settings = settings_of(path, self._plan.source, self._work.links)
        wanted = self._wanted
        if wanted.select is not None:
            settings = replace(settings, select=None, ignore=frozenset())

        def shown(rule: Rule) -> bool:
            return wanted.shows(rule, settings.severity(rule) or rule.severity)

        work = self._work._replace(links=(*self._work.links, *settings.links))
        return Terms(settings, work, partial(self._aim, settings=settings.target), shown)

    def check(self, path: str, judge: Judge = validate, *, partly: bool = False) -> Judgement:
        """Check a path, and return what neither its settings nor the baseline hide.

        With `partly`, `judge` leaves models out, and what they no longer have is not known.
        """
        terms = self.terms(path)
        judged = judge(path, terms.work, terms.aim, terms.shown)
        models = {each.model for each in judged.verdicts}

        def looked(known: Known) -> bool:
            return terms.shown(RULES[known.rule]) and (not partly or known.model in models)

        kept = [each for each in judged.diagnostics if not _hidden(each, path, terms.settings)]
        baseline, left, gone = self._baseline(terms.settings), kept, tuple[Diagnostic, ...]()
        if baseline is not None:
            entries = {id(each): known for each, known in baseline.entries(judged.diagnostics)}
            left = self._new(path, baseline, kept, entries)
            gone = baseline.gone(path, entries.values(), looked)
            self._looked[baseline.name(path)] = looked
        return judged._replace(
            diagnostics=tuple(_graded(each, terms.settings) for each in left),
            by_settings=len(judged.diagnostics) - len(kept),
            baselined=len(kept) - len(left),
            resolved=() if self._old is not None else gone,
            settings=terms.settings.path,
            strict=terms.settings.strict,
        )

    def hides(self, path: str) -> Hides:
        """Return what says which of some findings on a path are hidden by its settings or the baseline."""
        settings = self.terms(path).settings
        baseline = self._baseline(settings) if self._old is None else None

        def hidden(found: Sequence[Diagnostic]) -> frozenset[int]:
            gone = {place for place, each in enumerate(found) if _hidden(each, path, settings)}
            if baseline is None:
                return frozenset(gone)
            known = baseline.of(path)
            held = {id(each) for each, entry in baseline.entries(found) if entry.fingerprint in known}
            return frozenset(gone | {place for place, each in enumerate(found) if id(each) in held})

        return hidden

    def end(self) -> int:
        """Write the baseline if the run writes one, and return how many findings it has now."""
        return rewrite(self._old, self._found, self._looked) if self._old is not None else 0

    def _baseline(self, settings: Settings) -> Baseline | None:
        if self._old is not None:
            return self._old
        file = self._plan.baseline or settings.baseline
        return self._load(file) if file is not None else None

    def _new(
        self, path: str, baseline: Baseline, kept: list[Diagnostic], entries: dict[int, Known]
    ) -> list[Diagnostic]:
        """Return the findings that the baseline does not hold; if it is written, it will hold all that it can."""
        if self._old is not None:
            found = [entries[id(each)] for each in kept if id(each) in entries]
            self._found.setdefault(baseline.name(path), []).extend(found)
            return [each for each in kept if id(each) not in entries]
        known = baseline.of(path)
        return [each for each in kept if id(each) not in entries or entries[id(each)].fingerprint not in known]


def _hidden(found: Diagnostic, path: str, settings: Settings) -> bool:
    """Return whether settings hide a finding; what is not of a rule is never hidden."""
    if found.rule not in RULES:
        return False
    return settings.hides(found.rule) or (
        bool(settings.per_path) and settings.hides_at(found.rule, _place(found.at.path, path, settings))
    )


def _place(name: str, path: str, settings: Settings) -> str:
    """Return a file's path for the globs of settings: from their directory, or in a bucket, from the repository."""
    return name.removeprefix(path).lstrip("/") if is_remote(path) else os.path.relpath(name, settings.directory)


def _graded(found: Diagnostic, settings: Settings) -> Diagnostic:
    """Return a finding with the severity that the settings give its rule."""
    level = settings.severities.get(found.rule)
    return found if level is None else replace(found, severity=level)
