"""Results of a smoke test as rows and lines, for `smoke` and `up`."""

from __future__ import annotations

from collections.abc import Sequence

from tritonrepo.diagnostics import Diagnostic, Severity, counted
from tritonrepo.report.junit import Row
from tritonrepo.smoke.case import Outcome, Result

HEAD = ("model", "version", "check", "protocol", "result", "ms")


def title(result: Result) -> str:
    """Return the check's name and its subject, which distinguishes it from other checks of that name."""
    return f"{result.check} {result.what}".strip()


def texts(results: Sequence[Result]) -> list[tuple[str, ...]]:
    """Return the rows of the table under HEAD."""
    return [
        (r.model, r.version, title(r), r.protocol, str(r.outcome), str(r.ms) if r.protocol else "") for r in results
    ]


def rows(results: Sequence[Result]) -> list[dict[str, str | int | None]]:
    """Return the results as plain values; no time if nothing was sent."""
    return [
        {
            "model": r.model,
            "version": r.version,
            "check": str(r.check),
            "case": r.what,
            "protocol": r.protocol,
            "ms": r.ms if r.protocol else None,
            "outcome": str(r.outcome),
            "reason": r.unchecked,
            "seen": r.seen,
        }
        for r in results
    ]


def junit_rows(results: Sequence[Result]) -> list[Row]:
    """Return the results as JUnit cases."""
    return [
        Row(
            result.model,
            " ".join(
                filter(None, [f"version {result.version}" if result.version else "", title(result), result.protocol])
            ),
            result.ms / 1000,
            _with(result, Severity.ERROR),
            _with(result, Severity.WARNING),
            result.unchecked if result.outcome is Outcome.NOT_CHECKED else "",
        )
        for result in results
    ]


def _with(result: Result, severity: Severity) -> tuple[Diagnostic, ...]:
    return tuple(diagnostic for diagnostic in result.diagnostics if diagnostic.severity is severity)


def gaps(results: Sequence[Result]) -> list[str]:
    """Return a line for each thing that was not checked: what, of which models, and why."""
    missing: dict[tuple[str, str], list[str]] = {}
    for result in results:
        if result.outcome is Outcome.NOT_CHECKED:
            missing.setdefault((str(result.check), result.unchecked), []).append(result.model)
    return [
        f"not checked: {check} of {', '.join(sorted(set(models)))}: {reason}"
        for (check, reason), models in missing.items()
    ]


def proofs(results: Sequence[Result]) -> list[str]:
    """Return a line for each thing that was observed: what, of which versions."""
    seen: dict[tuple[str, str], list[str]] = {}
    for result in results:
        if result.seen:
            seen.setdefault((str(result.check), result.seen), []).append(f"{result.model} {result.version}")
    return [f"{check} of {', '.join(versions)}: {told}" for (check, told), versions in seen.items()]


def summary(results: Sequence[Result]) -> str:
    """Return the closing line: the number of models and checks, and their outcomes."""
    count = {outcome: sum(r.outcome is outcome for r in results) for outcome in Outcome}
    told = [f"{count[outcome]} {outcome}" for outcome in Outcome if count[outcome] or outcome is Outcome.PASSED]
    models, checks = counted(len({r.model for r in results}), "model"), counted(len(results), "check")
    return f"{models}, {checks}: {', '.join(told)}"
