"""Checks of paths, each under the settings that apply to it, and without the findings that a baseline holds."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from tritonrepo.diagnostics import Diagnostic, Severity
from tritonrepo.flows.settings import Source, settings_of
from tritonrepo.flows.validate import Aim, Judgement, Shown, validate
from tritonrepo.flows.workspace import Workspace
from tritonrepo.repository import NOTHING, Said, Target
from tritonrepo.rules import RULES, Rule
from tritonrepo.settings import Settings
from tritonrepo.stores import is_remote

if TYPE_CHECKING:
    from tritonrepo.flows.baseline import Baseline, Looked
    from tritonrepo.flows.fixing import Hides
    from tritonrepo.report.baseline import Known

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


class Sifted(NamedTuple):
    """Findings that settings do not hide, and those of them that the baseline does not hold either.

    `entries` is how the baseline has, or would have, any finding of a rule, by the identity of the finding.
    """

    kept: Sequence[Diagnostic]
    new: Sequence[Diagnostic]
    entries: Mapping[int, Known]


class Settled:
    """The checks of one run; what they find is kept for the baseline that the run writes."""

    def __init__(self, work: Workspace, aim: Aiming, wanted: Wanted, plan: Plan) -> None:
        self._work, self._aim, self._wanted, self._plan = work, aim, wanted, plan
        self._read: dict[Path, Baseline] = {}
        self._old: Baseline | None = None
        self._found: dict[str, list[Known]] = {}
        self._looked: dict[str, Looked] = {}
        if plan.rewritten is not None:
            from tritonrepo.flows.baseline import begun  # here and below: most runs have no baseline

            self._old = begun(plan.rewritten)

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

        baseline, gone = self._baseline(terms.settings), tuple[Diagnostic, ...]()
        kept, new, entries = self._sifted(judged.diagnostics, path, terms.settings, baseline)
        if baseline is not None:
            gone = baseline.gone(path, entries.values(), looked)
        if self._old is not None:
            name = self._old.name(path)
            self._found.setdefault(name, []).extend(entries[id(each)] for each in kept if id(each) in entries)
            self._looked[name] = looked
        return judged._replace(
            diagnostics=tuple(_graded(each, terms.settings) for each in new),
            by_settings=len(judged.diagnostics) - len(kept),
            baselined=len(kept) - len(new),
            resolved=() if self._old is not None else gone,
            settings=terms.settings.path,
            strict=terms.settings.strict,
        )

    def hides(self, path: str) -> Hides:
        """Return what says which of some findings on a path are hidden by its settings or the baseline."""
        settings = self.terms(path).settings
        baseline = self._baseline(settings) if self._old is None else None

        def hidden(found: Sequence[Diagnostic]) -> frozenset[int]:
            shown = {id(each) for each in self._sifted(found, path, settings, baseline).new}
            return frozenset(place for place, each in enumerate(found) if id(each) not in shown)

        return hidden

    def end(self) -> int:
        """Write the baseline if the run writes one, and return how many findings it has now."""
        if self._old is None:
            return 0
        from tritonrepo.flows.baseline import rewrite

        return rewrite(self._old, self._found, self._looked)

    def _baseline(self, settings: Settings) -> Baseline | None:
        if self._old is not None:
            return self._old
        file = self._plan.baseline or settings.baseline
        if file is None:
            return None
        if file not in self._read:
            from tritonrepo.flows.baseline import load

            self._read[file] = load(file)
        return self._read[file]

    def _sifted(self, found: Sequence[Diagnostic], path: str, settings: Settings, baseline: Baseline | None) -> Sifted:
        """Return what settings and a baseline leave of some findings; one that is written will hold all that it can."""
        kept = [each for each in found if not _hidden(each, path, settings)]
        if baseline is None:
            return Sifted(kept, kept, {})
        known = baseline.of(path)
        entries = {id(each): entry for each, entry in baseline.entries(found)}
        held = {each for each, entry in entries.items() if self._old is not None or entry.fingerprint in known}
        return Sifted(kept, [each for each in kept if id(each) not in held], entries)


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
