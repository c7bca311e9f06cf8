"""The checks of `doctor` as text and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from tritonrepo.diagnostics import Diagnostic
from tritonrepo.plain import printable
from tritonrepo.report import json

STATES = ("ok", "warning", "error", "absent")


def text(checks: Sequence[Mapping[str, object]]) -> Iterator[str]:
    """Yield the lines: one a check, with its next step below, then the counts."""
    width = max((len(str(each["name"])) for each in checks), default=0)
    for each in checks:
        commands = each["needed_by"]
        needed = f" (for {', '.join(map(str, commands))})" if isinstance(commands, tuple) and commands else ""
        bad = each["state"] != "ok"
        yield printable(f"{each['state']!s:<7}  {each['name']!s:<{width}}  {each['seen']}{needed if bad else ''}")
        yield from (f"           {printable(line)}" for line in str(each["cure"]).split("\n") if line)
    counts = Counter(str(each["state"]) for each in checks)
    yield ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])


def document(checks: Sequence[Mapping[str, object]], ends: Sequence[Diagnostic]) -> str:
    """Return the document that `schemas/doctor.schema.json` describes."""
    counts = Counter(str(each["state"]) for each in checks)
    rows = [{**each, "state": str(each["state"])} for each in checks]
    return json.document(ends, {"checks": rows, "summary": {state: counts[state] for state in STATES}})
