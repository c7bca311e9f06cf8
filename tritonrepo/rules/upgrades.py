"""What an upgrade to another Triton release changes: the findings and verdicts of both releases, compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tritonrepo.diagnostics import Diagnostic, State, Verdict
from tritonrepo.releases import Release

LOADING = {State.READY, State.NOT_JUDGED}


class Change(NamedTuple):
    """A model whose verdict an upgrade changes: that of the present release, and that of the new one."""

    before: Verdict
    after: Verdict

    @property
    def stops(self) -> bool:
        """Whether the model loads now and no longer will."""
        return self.before.verdict in LOADING


@dataclass(frozen=True)
class Upgrade:
    """What an upgrade changes for one path.

    `added` are the findings that only the new release has, `vanished` those that only the present one has: findings of
    one rule at one place are the same, whatever release their message names. `changes` are the models that stop or
    start to load. Nothing vanishes or starts if it is not known what the new server has. `whole`: the new release
    could be judged, which takes a stack that can be built for it. `lines` reads source lines.
    """

    path: str
    present: Release
    new: Release
    added: tuple[Diagnostic, ...]
    vanished: tuple[Diagnostic, ...]
    changes: tuple[Change, ...]
    lines: Callable[[str], list[str]]
    whole: bool = True

    @property
    def stops(self) -> tuple[Verdict, ...]:
        """The new verdicts of the models that load now and no longer will."""
        return tuple(change.after for change in self.changes if change.stops)

    @property
    def starts(self) -> tuple[Verdict, ...]:
        """The new verdicts of the models that do not load now."""
        return tuple(change.after for change in self.changes if not change.stops)

    @property
    def versions(self) -> Mapping[str, tuple[str | None, str | None]]:
        """The versions that differ, by their name in `Release.versions`."""
        old, new = self.present.versions, self.new.versions
        return {name: (old[name], new[name]) for name in old if old[name] != new[name]}


def added(before: Sequence[Diagnostic], after: Sequence[Diagnostic]) -> Iterator[Diagnostic]:
    """Yield the later findings that are not among the earlier ones."""
    left = Counter(map(_key, before))
    for each in after:
        if left[_key(each)]:
            left[_key(each)] -= 1
        else:
            yield each


def _key(found: Diagnostic) -> tuple[object, ...]:
    return found.rule, found.severity, found.at, found.model


def changes(before: Sequence[Verdict], after: Sequence[Verdict]) -> Iterator[Change]:
    """Yield the models of both that stop or start to load."""
    new = {verdict.model: verdict for verdict in after}
    pairs = (Change(each, new[each.model]) for each in before if each.model in new)
    return (pair for pair in pairs if pair.stops is not (pair.after.verdict in LOADING))
