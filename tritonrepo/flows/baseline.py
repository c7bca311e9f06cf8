"""Findings that are known: read from a baseline file, hidden in what is found, and written to it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tritonrepo.diagnostics import Diagnostic, Severity, Span, failure, fatal
from tritonrepo.flows.paths import DEFAULT, is_stack, reading
from tritonrepo.plain import hidden, inline
from tritonrepo.report.baseline import SYNTAX, Known, read, written
from tritonrepo.report.fingerprints import fingerprints
from tritonrepo.rules import RULES
from tritonrepo.stores import is_remote, open_store
from tritonrepo.stores.store import Conflict, Tag
from tritonrepo.tree import of_bytes, of_text

MOST_BYTES = 64 << 20

Looked = Callable[[Known], bool]
"""Whether a finding was looked for, so that it is fixed if it was not found."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """A baseline file, as it was read: path that was checked → fingerprint → finding."""

    path: Path
    known: Mapping[str, Mapping[str, Known]] = field(default_factory=dict)
    tag: Tag | None = None

    @property
    def directory(self) -> str:
        """The absolute directory that its paths are relative to."""
        return os.path.dirname(os.path.abspath(self.path))  # noqa: PTH100, PTH120  as text; links on the way stay

    def of(self, path: str) -> Mapping[str, Known]:
        """Return the findings on a repository or stack file."""
        return self.known.get(self.name(path), {})

    def name(self, path: str) -> str:
        """Return by which name a repository or stack file is in it."""
        if is_remote(path):
            return hidden(path.rstrip("/"))
        file = Path(path, DEFAULT) if Path(path).is_dir() and is_stack(path) else path
        return inline(os.path.relpath(file, self.directory))

    def entries(self, found: Iterable[Diagnostic]) -> Iterator[tuple[Diagnostic, Known]]:
        """Yield each finding of rules with how it is in the baseline, or would be."""
        known = [each for each in found if each.rule in RULES and each.severity is not Severity.FATAL]
        held = [*map(self._held, known)]
        for each, there, fingerprint in zip(known, held, fingerprints(held), strict=True):
            yield each, Known(inline(there.anchored), each.rule, inline(each.message), each.model, fingerprint)

    def gone(self, path: str, found: Iterable[Known], looked: Looked) -> tuple[Diagnostic, ...]:
        """Return what it holds of a path that was looked for, but is not found any more."""
        there = {each.fingerprint for each in found}
        gone = sorted(each for mark, each in self.of(path).items() if mark not in there and looked(each))
        return tuple(
            Diagnostic(each.rule, RULES[each.rule].severity, Span(self._shown(each.path)), each.message, "", each.model)
            for each in gone
        )

    def _held(self, found: Diagnostic) -> Diagnostic:
        at = found.at.path
        return replace(found, anchored=hidden(at) if is_remote(at) else os.path.relpath(at, self.directory))

    def _shown(self, path: str) -> str:
        return path if is_remote(path) else os.path.normpath(self.path.parent / path)


@reading()
def load(path: Path) -> Baseline:
    """Return a baseline file; raise Stop if it does not exist or is none."""
    if not os.path.lexists(path):
        hint = f"Write it with `tritonrepo validate --write-baseline {path}`."
        raise fatal("baseline-missing", str(path), "the baseline does not exist", hint)
    if not path.is_file():
        raise fatal(SYNTAX, str(path), "the baseline is not a regular file", "Use the path of a baseline file.")
    with path.open("rb") as stream:
        content = stream.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        message = f"the baseline has more than {MOST_BYTES >> 20} MiB"
        raise fatal(SYNTAX, str(path), message, "Check that it is the right file.")
    known = read(content, str(path))
    marked = {name: {each.fingerprint: each for each in entries} for name, entries in known.items()}
    return Baseline(path, marked, Tag(of_bytes(content).sha256))


def begun(path: Path) -> Baseline:
    """Return the baseline that is to be rewritten, an empty one if it does not exist; raise Stop for another file."""
    return load(path) if os.path.lexists(path) else Baseline(path)


def rewrite(old: Baseline, found: Mapping[str, Sequence[Known]], looked: Mapping[str, Looked]) -> int:
    """Write a baseline with what is found by name of a path, whole or not at all; return how many findings it has.

    What was not looked for stays: other paths, and rules that were not selected. Raise Stop if somebody else has
    changed the file since it was read.
    """
    known = {name: list(entries.values()) for name, entries in old.known.items()}
    for name, entries in found.items():
        kept = [each for each in known.get(name, ()) if not looked[name](each)]
        known[name] = [*dict.fromkeys([*kept, *entries])]
    store, name = open_store(os.path.realpath(old.path))
    try:
        store.put(name, of_text(written(known)), if_absent=old.tag is None, if_match=old.tag)
    except Conflict:
        message = "somebody else changed the baseline after it was read"
        raise failure("baseline-overtaken", str(old.path), message, "Run the command again.") from None
    finally:
        store.tidy()
    return sum(map(len, known.values()))
