"""A settings file's text → settings; all faults are reported in one run, each at its key or value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tritonrepo.diagnostics import Diagnostic, Faults, Severity, Span, closest
from tritonrepo.rules import RULES
from tritonrepo.rules.names import matching, unknown
from tritonrepo.settings.aim import aimed
from tritonrepo.settings.globs import fault
from tritonrepo.settings.keys import LEVELS, PER_PATH, TARGET, TOP, Key, is_of
from tritonrepo.settings.toml import Document, parse
from tritonrepo.settings.toml import Path as Keys
from tritonrepo.settings.values import PerPath, Settings

RULE = "settings-value"
MOST_GLOBS = 1000
MOST_FAULTS = 100
"""Of those that are reported in one run: to look for a name that is near an unknown one takes its time."""


def read(content: bytes, path: str, directory: Path) -> Settings:
    """Return the settings in a file's content; raise Stop with all its faults."""
    document = parse(content, path)
    reader = _Reader(document)
    top = reader.table((), document.data, TOP)
    settings = Settings(
        path,
        directory,
        aimed(reader.table(("target",), top.get("target", {}), TARGET), reader.wrong),
        reader.rules(("select",), top["select"]) if "select" in top else None,
        reader.rules(("ignore",), top.get("ignore", ())),
        reader.severities(top.get("severity", {})),
        top.get("strict", False),
        tuple(reader.per_path(top.get("per-path", {}))),
        reader.below(("baseline",), top.get("baseline"), directory),
        tuple(reader.links(top.get("allow-links", ()), directory)),
    )
    reader.faults.stop()
    return settings


class _Reader:
    """Values of a document with its faults so far; what is wrong is left out."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self.faults = Faults()

    def wrong(self, path: Keys, message: str, hint: str = "") -> None:
        """Note a fault at a value, or at its key if it has no place of its own."""
        self._add(self._document.values.get(path) or self._document.keys.get(path), message, hint)

    def _add(self, at: Span | None, message: str, hint: str) -> None:
        at = at or Span(self._document.file)
        self.faults.add(Diagnostic(RULE, Severity.FATAL, at, message, hint))
        if len(self.faults.found) == MOST_FAULTS:
            self.faults.stop()

    def table(self, path: Keys, data: Mapping[str, Any], keys: Mapping[str, Key]) -> dict[str, Any]:
        """Return the known keys of a table whose values are what they must be."""
        found = {}
        for name, value in data.items():
            here = (*path, name)
            if name not in keys:
                message = f'unknown key "{name}"' + (f' in "{path[-1]}"' if path else "")
                self._add(self._document.keys.get(here), message, closest(name, keys))
            elif not is_of(keys[name].kind, value):
                self.wrong(here, f'"{name}" must be {keys[name].kind}', keys[name].about)
            else:
                found[name] = value
        return found

    def rules(self, path: Keys, texts: Sequence[str]) -> frozenset[str]:
        """Return the names of the rules that a list names."""
        found = set[str]()
        for number, text in enumerate(texts):
            rules = matching(text)
            if not rules:
                self._unknown((*path, number), text)
            found |= {rule.name for rule in rules}
        return frozenset(found)

    def severities(self, data: Mapping[str, Any]) -> dict[str, Severity | None]:
        """Return the severity of each rule that the table names; the narrowest name of a rule counts."""
        named = list[tuple[int, frozenset[str], Severity | None]]()
        for text, level in data.items():
            found = frozenset(rule.name for rule in matching(text))
            if not found:
                self._unknown(("severity", text), text)
            if level not in LEVELS:
                hint = closest(level, LEVELS) if isinstance(level, str) else f"Use one of: {', '.join(LEVELS)}."
                self.wrong(("severity", text), f'the severity of "{text}" is unknown', hint)
            else:
                named.append((len(found), found, None if level == "off" else Severity(level)))
        named.sort(key=lambda each: -each[0])
        return {rule: level for _, found, level in named for rule in found}

    def per_path(self, data: Mapping[str, Any]) -> Iterator[PerPath]:
        """Yield what is shown by glob."""
        if len(data) > MOST_GLOBS:
            message = f"the settings have {len(data):,} globs, but at most {MOST_GLOBS:,} are read"
            self.wrong(("per-path",), message, "Use wider globs.")
            return
        for glob, value in data.items():
            path = ("per-path", glob)
            if message := fault(glob):
                self.wrong(path, message, "Use names with `*`, `?` and `**`, such as `legacy/**`.")
            if not isinstance(value, dict):
                self.wrong(path, f'"{glob}" must be a table', "Give it the key select or ignore.")
                continue
            found = self.table(path, value, PER_PATH)
            select = self.rules((*path, "select"), found["select"]) if "select" in found else None
            yield PerPath(glob, select, self.rules((*path, "ignore"), found.get("ignore", ())))

    def below(self, path: Keys, text: str | None, directory: Path) -> Path | None:
        """Return a path at or below the directory of the settings: they may come with files that nobody trusts yet."""
        if text is None:
            return None
        if Path(text).is_absolute() or ".." in Path(text).parts or "\0" in text:
            message = f'"{text}" is not below the directory of the settings'
            self.wrong(path, message, "Name a file or directory there, or use the option of `tritonrepo validate`.")
        return directory / text

    def links(self, texts: Sequence[str], directory: Path) -> Iterator[Path]:
        """Yield the directories that links may lead into."""
        for number, text in enumerate(texts):
            yield self.below(("allow-links", number), text, directory) or directory

    def _unknown(self, path: Keys, text: str) -> None:
        message, _, hint = unknown(text, RULES).partition(". ")
        if path[0] == "severity":
            self._add(self._document.keys.get(path), message, hint)
        else:
            self.wrong(path, message, hint)
