"""What a pull wrote into a directory, as its closing line and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from tritonrepo.diagnostics import Diagnostic, Severity
from tritonrepo.plain import printable
from tritonrepo.report import json
from tritonrepo.report.plan import counted, rows
from tritonrepo.report.published import Written, described
from tritonrepo.sync.plan import Plan
from tritonrepo.sync.revision import Revision
from tritonrepo.tree import amount


class Pulled(NamedTuple):
    """What is pulled from where: the plan, and the revision if there is a record."""

    uri: str
    out: str
    plan: Plan = Plan(())
    revision: Revision | None = None
    left: Sequence[str] = ()


def document(pulled: Pulled, written: Written, found: Sequence[Diagnostic]) -> str:
    """Return the document that `schemas/pull.schema.json` describes."""
    severities, plan = Counter(each.severity for each in found), pulled.plan
    severe = (Severity.WARNING, Severity.ERROR, Severity.FATAL)
    summary = {**counted(plan.actions), **{str(each): severities[each] for each in severe}}
    return json.document(
        found,
        {
            "uri": pulled.uri,
            "directory": pulled.out,
            "revision": described(pulled.revision),
            "plan": rows(plan),
            "kept": list(plan.kept),
            "foreign": list(plan.foreign),
            "left_alone": list(pulled.left),
            "written": {"files": written.objects, "bytes": written.bytes, "removed": written.removed},
            "summary": summary,
        },
    )


def summary(pulled: Pulled, written: Written) -> str:
    """Return the closing line of a pull."""
    what = f"revision {pulled.revision.number}" if pulled.revision else "everything"
    if not any(written):
        return printable(f"{pulled.out}: already has {what} of {pulled.uri}, nothing was written")
    removed = f", {written.removed:,} removed" if written.removed else ""
    files = f"{written.objects:,} file{'' if written.objects == 1 else 's'} written ({amount(written.bytes)}){removed}"
    return printable(f"{pulled.out}: has {what} of {pulled.uri}: {files}")
