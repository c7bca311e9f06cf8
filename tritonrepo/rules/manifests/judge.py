"""Run the rules of manifests over objects that are checked together."""

from __future__ import annotations

from collections.abc import Callable

from tritonrepo.diagnostics import Diagnostic, Span
from tritonrepo.manifests.objects import Manifests
from tritonrepo.rules.registry import RULES, Rule, Scope


def judge(found: Manifests, shown: Callable[[Rule], bool] = lambda _: True) -> tuple[Diagnostic, ...]:
    """Return all diagnostics, sorted by place, of the rules that are shown."""
    every = [rule for rule in RULES.of(Scope.MANIFEST) if shown(rule)]
    called = {kind: [rule for rule in every if not rule.when or kind in rule.when] for _, kind in found.kinds}
    diagnostics = []
    for one in found.objects:
        for rule in called[one.kind]:
            for finding in rule.check(one, found):
                at = finding.at if isinstance(finding.at, Span) else one.at
                diagnostics.append(
                    Diagnostic(rule.name, rule.severity, at, finding.message, finding.hint, "", finding.reason)
                )
    return tuple(sorted(diagnostics, key=lambda each: (each.at, each.rule, each.message)))
