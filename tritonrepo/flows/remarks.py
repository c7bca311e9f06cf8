"""Ignore comments of stack files: what they hide of what is found on the repository that a stack becomes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path

from tritonrepo.diagnostics import Diagnostic
from tritonrepo.repository.ignores import MARK, MOST, Ignore, is_addressed, named
from tritonrepo.rules import RULES, Rule
from tritonrepo.rules.ignores import Sifted, sift
from tritonrepo.spec.comments import comments


def remarks(files: Collection[str]) -> Iterator[Ignore]:
    """Yield the ignore comments of stack files."""
    yield from remarks_in((path, Path(path).read_bytes()) for path in sorted(files) if Path(path).is_file())


def remarks_in(texts: Iterable[tuple[str, bytes]]) -> Iterator[Ignore]:
    """Yield the ignore comments of texts, each with its path; few names of them are read, as of a config."""
    for path, content in texts:
        if MARK not in content:
            continue
        names = 0
        for comment in comments(content.decode("utf-8", "replace"), path):
            if names < MOST and is_addressed(comment.text):
                found = named(Ignore("", comment.at, (), "", comment.line, path), comment.text)
                names += max(1, len(found.names))
                yield found


def heard(found: Sequence[Diagnostic], said: Sequence[Ignore], shown: Callable[[Rule], bool]) -> Sifted:
    """Return what these comments leave of all findings, and what they hide, as far as it is shown."""
    left, hidden = sift(found, said)
    return Sifted(*([each for each in part if shown(RULES[each.rule])] for part in (left, hidden)))
