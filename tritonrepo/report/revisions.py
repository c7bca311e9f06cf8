"""Revisions as text: what made each, when, by whom. A record is foreign text, so each part has a limited length."""

from __future__ import annotations

from tritonrepo.sync.revision import Revision, back

LONGEST = 60
SHORT = 12
"""How many characters of a commit identify it."""


def titled(revision: Revision) -> str:
    """Return a revision in one line: number, when and by whom it was published, from which commit."""
    by, at, commit = (part(revision, key) for key in ("by", "at", "commit"))
    how = f"the rollback to revision {back(revision.made)}" if back(revision.made) else "the push"
    said = [
        f"{how} of {at}" if at else how,
        f"by {by}" if by else "",
        f"from commit {commit[:SHORT]}" if commit else "",
    ]
    return f"revision {revision.number}: {' '.join(filter(None, said))}"


def part(revision: Revision, key: str) -> str:
    """Return what a record says under a key, cut to what a line can show; "" if it says nothing."""
    text = revision.made.get(key, "")
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
