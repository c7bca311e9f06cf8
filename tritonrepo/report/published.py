"""What a command did to a repository that servers read, as its closing lines and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from shlex import quote
from typing import NamedTuple

from tritonrepo.diagnostics import Diagnostic, Severity
from tritonrepo.plain import printable
from tritonrepo.report import json
from tritonrepo.report.plan import counted, rows
from tritonrepo.sync.plan import Plan
from tritonrepo.sync.revision import Revision
from tritonrepo.tree import amount

NOTHING: Mapping[str, object] = {}


class Written(NamedTuple):
    """How many objects were written, with how many bytes, and how many were removed."""

    objects: int = 0
    bytes: int = 0
    removed: int = 0


class Revisions(NamedTuple):
    """What the repository is after the command: the last revision that was finished; the one that is restored."""

    now: Revision | None
    restored: Revision | None = None


def document(  # noqa: PLR0913, PLR0917  all that can be known about the command
    uri: str,
    plan: Plan,
    written: Written,
    revisions: Revisions,
    found: Sequence[Diagnostic],
    more: Mapping[str, object] = NOTHING,
) -> str:
    """Return the document that `schemas/push.schema.json` describes; `more` are keys that only some commands have."""
    severities = Counter(each.severity for each in found)
    summary = {**counted(plan.actions), **{str(each): severities[each] for each in Severity}}
    return json.document(
        found,
        {
            "uri": uri,
            "revision": described(revisions.now),
            "restored": described(revisions.restored),
            "plan": rows(plan),
            "left_alone": list(plan.foreign),
            "written": written._asdict(),
            "summary": summary,
            **more,
        },
    )


def described(revision: Revision | None) -> Mapping[str, object] | None:
    """Return what identifies a revision: its number, the stack's name, and who made it, when, with what."""
    if revision is None:
        return None
    return {"number": revision.number, "name": revision.name, "made": dict(revision.made)}


def summary(uri: str, written: Written, revision: Revision, seconds: float) -> str:
    """Return the closing line of a command that published a revision, or found it published."""
    named = f"revision {revision.number}"
    if not any(written):
        return printable(f"{uri}: {named} is up to date, nothing was sent")
    removed = f", {_objects(written.removed)} removed" if written.removed else ""
    sent = f"{_objects(written.objects)} written ({amount(written.bytes)}){removed}"
    return printable(f"{uri}: {named} is published: {sent} in {_time(seconds)}")


def way_back(uri: str, record: str | None = None) -> str:
    """Return the line that names the command that goes back to the revision before; it can be pasted into a shell."""
    there = "" if record is None else f" --record {quote(record)}"
    return f"go back with `tritonrepo rollback {printable(quote(uri) + there)}`"


def _objects(count: int) -> str:
    return f"{count:,} object{'' if count == 1 else 's'}"


def _time(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 60} min {whole % 60} s" if whole >= 60 else f"{seconds:.1f} s"  # noqa: PLR2004  s in a minute
