"""The rules of Prometheus as documents: groups of recorded queries and alerts, and the tests that promtool runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tritonrepo.deploy.manifests import noted
from tritonrepo.deploy.observe.alert import Alert, Case, Group

Document = dict[str, object]
RULES = "rules.yaml"

EVALUATED = "10m"
"""How often the tests evaluate the rules: some of them are about a whole day."""


def groups(stack: str, found: Iterable[Group]) -> list[Document]:
    """Return the groups of a file of rules."""
    return [
        {
            "name": f"{stack}-{group.name}",
            "rules": [
                *(
                    noted(
                        {"record": each.name, "expr": f"{each.expr}\n", "labels": {"stack": stack, **each.labels}},
                        each.why,
                    )
                    for each in group.records
                ),
                *(noted(_alert(stack, group, each), each.why) for each in group.alerts),
            ],
        }
        for group in found
    ]


def _alert(stack: str, group: Group, alert: Alert) -> Document:
    return {
        "alert": alert.name,
        "expr": f"{alert.expr}\n",
        "for": alert.holds,
        "labels": _labels(stack, group, alert),
        "annotations": alert.annotations,
    }


def _labels(stack: str, group: Group, alert: Alert) -> dict[str, str]:
    return {"severity": alert.severity, "server": group.server, "stack": stack}


def tests(stack: str, found: Sequence[Group]) -> Document:
    """Return the tests of all alerts: one case in which each of them fires, and one in which it does not."""
    return {
        "rule_files": [RULES],
        "evaluation_interval": EVALUATED,
        "tests": [test for group in found for test in _tests(stack, group)],
    }


def _tests(stack: str, group: Group) -> Iterator[Document]:
    for alert in group.alerts:
        yield _test(stack, group, alert, alert.fires, "fires")
        yield _test(stack, group, alert, alert.quiet, "is quiet")
    for alert in group.older:
        yield _test(stack, group, alert, alert.fires, "fires with older names of metrics")


def _test(stack: str, group: Group, alert: Alert, case: Case, says: str) -> Document:
    expected: list[object] = []
    if case.labels is not None:
        labels = {**case.labels, **_labels(stack, group, alert)}
        expected.append({"exp_labels": labels, "exp_annotations": alert.written(case)})
    return {
        "name": f"{group.server}: {alert.name} {says}",
        "interval": case.step,
        "input_series": [{"series": series, "values": values} for series, values in case.series.items()],
        "alert_rule_test": [{"eval_time": case.after, "alertname": alert.name, "exp_alerts": expected}],
    }
