"""Settings as values, and which findings they hide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from tritonrepo.diagnostics import Severity
from tritonrepo.repository import Said
from tritonrepo.rules import RULES, Rule
from tritonrepo.settings.globs import matches

NAME = ".tritonrepo.toml"

NOTHING: Mapping[str, Severity | None] = MappingProxyType({})


class PerPath(NamedTuple):
    """What is shown of the files that a glob matches: the selected rules, None for all of them, save the ignored."""

    glob: str
    select: frozenset[str] | None = None
    ignore: frozenset[str] = frozenset()

    def hides(self, rule: str, path: str) -> bool:
        """Whether it hides a rule's findings at a path."""
        hidden = rule in self.ignore or (self.select is not None and rule not in self.select)
        return hidden and matches(self.glob, path)


@dataclass(frozen=True, slots=True)
class Settings:
    """A project's settings, with the path of their file as the user would write it, and its absolute directory.

    Rules are by their full names; the severity None turns a rule off.
    """

    path: str = ""
    directory: Path = Path()
    target: Said = field(default_factory=Said)
    select: frozenset[str] | None = None
    ignore: frozenset[str] = frozenset()
    severities: Mapping[str, Severity | None] = field(default_factory=lambda: NOTHING)
    strict: bool = False
    per_path: tuple[PerPath, ...] = ()
    baseline: Path | None = None
    links: tuple[Path, ...] = ()

    def severity(self, rule: Rule) -> Severity | None:
        """Return the severity with which a rule's findings are reported; None for a rule that is off."""
        return self.severities.get(rule.name, rule.severity)

    def hides(self, rule: str) -> bool:
        """Whether a rule's findings are hidden everywhere."""
        chosen = self.select is None or rule in self.select
        return not chosen or rule in self.ignore or self.severities.get(rule, RULES[rule].severity) is None

    def hides_at(self, rule: str, path: str) -> bool:
        """Whether a rule's findings are hidden at a path, which is relative to the directory of the settings."""
        return any(each.hides(rule, path) for each in self.per_path)
