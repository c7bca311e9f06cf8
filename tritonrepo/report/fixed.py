"""What `validate` says at its end about fixes."""

from __future__ import annotations

from collections.abc import Sequence

from tritonrepo.diagnostics import Diagnostic
from tritonrepo.report.home import is_uri

UNSAFE = "--unsafe-fixes"
ABOUT_FIXES = {"fix-held-back", "fix-not-written"}


def outcome(fixed: int, left: Sequence[Diagnostic], *, unsafe: bool) -> str:
    """Return the line that says how many findings were fixed, how many remain, and how many of them could be fixed."""
    more = 0 if unsafe else _counts(left)[1]
    closing = f"{fixed} fixed, {_findings(left)} remaining"
    return f"{closing}; {more} more with {UNSAFE}" if more else closing


def prospect(left: Sequence[Diagnostic]) -> str:
    """Return the line that says how many findings can be fixed; "" if none can be."""
    safe, more = _counts(left)
    told = f"{safe} fixable with --fix" if safe else ""
    if not more:
        return told
    return f"{told}, {more} more with --fix {UNSAFE}" if told else f"{more} fixable with --fix {UNSAFE}"


def planned(fixed: int, left: Sequence[Diagnostic], *, unsafe: bool) -> str:
    """Return the line that says how many findings would be fixed."""
    more = 0 if unsafe else _counts(left)[1]
    closing = f"{fixed} fixable, {_findings(left)} would remain"
    return f"{closing}; {more} more with {UNSAFE}" if more else closing


def _findings(left: Sequence[Diagnostic]) -> int:
    """Return how many diagnostics are findings, and not about a fix of one."""
    return sum(each.rule not in ABOUT_FIXES for each in left)


def _counts(left: Sequence[Diagnostic]) -> tuple[int, int]:
    """Return how many findings have a safe fix, and how many an unsafe one; in a bucket, nothing is fixed."""
    fixes = [each.fix.safe for each in left if each.fix is not None and not is_uri(each.at.path)]
    return fixes.count(True), fixes.count(False)
