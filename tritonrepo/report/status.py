"""The state of a repository in a bucket, as tables and as JSON. What records say is foreign text of any length."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from tritonrepo.diagnostics import Diagnostic, Severity, some
from tritonrepo.plain import printable
from tritonrepo.report import json
from tritonrepo.report.revisions import SHORT, part
from tritonrepo.report.table import table
from tritonrepo.sync.revision import back
from tritonrepo.sync.status import Held, Kept, Lock, Owner, Past, Status
from tritonrepo.tree import amount

REVISIONS = ("revision", "published", "by", "what", "commit", "tool", "restorable")
MODELS = ("model", "serves", "kept", "of")
FEW = 8
"""How many versions of a model a line lists."""


def text(status: Status, *, verbose: bool = False) -> Iterator[str]:
    """Yield the lines: revisions, models, with `verbose` each version, the lock, and what is wrong."""
    yield printable(f"{status.uri}: {_title(status)}")
    if status.past:
        yield from ("", *table(REVISIONS, [_revision(past) for past in status.past]).split("\n"))
    if status.more:
        yield f"and {status.more:,} earlier: --all shows them"
    if status.models:
        yield from ("", *table(MODELS, [_model(model) for model in status.models]).split("\n"))
    if verbose:
        yield from ("", *(line for model in status.models for line in _versions(model)))
    if status.lock:
        yield from ("", printable(_lock(status.lock)))
    for diagnostic in status.found:
        yield from ("", *diagnostic.lines)


def document(status: Status | None, uri: str, found: Sequence[Diagnostic]) -> str:
    """Return the document that `schemas/status.schema.json` describes; without a status, what ended the command."""
    found = [*(status.found if status else ()), *found]
    severities = Counter(diagnostic.severity for diagnostic in found)
    return json.document(
        found,
        {
            "uri": uri,
            "name": status.current.name if status and status.current else None,
            "revisions": [_row(past) for past in status.past] if status else [],
            "earlier": status.more if status else 0,
            "models": [_object(model) for model in status.models] if status else [],
            "lock": _holder(status.lock) if status and status.lock else None,
            "summary": {str(severity): severities[severity] for severity in Severity},
        },
    )


def _title(status: Status) -> str:
    count = f"{len(status.models):,} model{'' if len(status.models) == 1 else 's'}"
    if status.current is None:
        return f"{count}; no push has recorded anything"
    name = status.current.name
    what = f'stack "{name}"' if name else "a repository without a stack"
    return f"{what}, {f'revision {status.current.number}' if status.current.number else 'no revision yet'}, {count}"


def _revision(past: Past) -> tuple[str, ...]:
    number = f"{past.number}{' current' if past.current else ''}"
    if past.revision is None:
        return (number, *[""] * (len(REVISIONS) - 2), "no: its record cannot be read")
    said = [part(past.revision, key) for key in ("at", "by", "commit", "tool")]
    at, by, commit, tool = (each or "-" for each in said)
    return number, at, by, _what(past), commit[:SHORT], tool, _restorable(past)


def _what(past: Past) -> str:
    goal = back(past.revision.made) if past.revision else 0
    return f"rollback to {goal}" if goal else "push"


def _restorable(past: Past) -> str:
    if past.current:
        return "-"
    count = len(past.missing)
    return f"no: {past.missing[0]}{f' and {count - 1:,} more' if count > 1 else ''} gone" if count else "yes"


def _model(model: Held) -> tuple[str, ...]:
    kept = _numbers(model.kept)
    size = amount(sum(version.bytes for version in model.kept))
    owner = "" if model.owner is Owner.CURRENT else str(model.owner)
    return model.name, _numbers(model.serves) or "-", f"{kept} ({size})" if kept else "", owner


def _numbers(versions: Sequence[Kept]) -> str:
    return some([str(version.number) for version in versions], FEW)


def _versions(model: Held) -> Iterator[str]:
    for version in sorted({*model.serves, *model.kept}):
        state = "serves" if version in model.serves else "kept"
        files = f"{version.files:,} file{'' if version.files == 1 else 's'}"
        yield printable(f"{model.name} {version.number}: {state}, {files}, {amount(version.bytes)}")


STATES = {
    True: "its process is running",
    False: "its process no longer exists, so the next push takes the lock over",
    None: "it is on another machine: `tritonrepo push` waits to see whether it still writes",
}


def _lock(lock: Lock) -> str:
    by, host, at = (lock.holder.get(key, "")[:99] for key in ("by", "host", "at"))
    who = f"{by or 'someone'} on {host or 'an unknown machine'}{f' since {at}' if at else ''}"
    return f"locked by {who}: {STATES[lock.running]}"


def _row(past: Past) -> dict[str, object]:
    made = dict(past.revision.made) if past.revision else {}
    goal = back(made)
    return {
        "number": past.number,
        "current": past.current,
        "made": made,
        "rollback": goal or None,
        "restorable": past.revision is not None and not past.missing,
        "missing": list(past.missing),
    }


def _object(model: Held) -> dict[str, object]:
    serves, kept = ([version._asdict() for version in versions] for versions in (model.serves, model.kept))
    return {"name": model.name, "of": str(model.owner), "serves": serves, "kept": kept}


def _holder(lock: Lock) -> dict[str, object]:
    said = {key: lock.holder.get(key, "") for key in ("by", "host", "at")}
    return {**said, "running": lock.running}
