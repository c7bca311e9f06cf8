"""Results as JUnit XML, the format that CI systems show: one suite per subject, one case per check.

Source of the format: the schema of Jenkins' xUnit plugin, junit-10.xsd. Names and messages hold no control characters,
which XML 1.0 cannot represent.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple
from xml.etree import ElementTree as ET

from tritonrepo.diagnostics import Diagnostic
from tritonrepo.plain import printable


class Row(NamedTuple):
    """One case: its suite, name, duration in seconds, failures, notes, and the reason if it was skipped."""

    suite: str
    name: str
    seconds: float
    failures: Sequence[Diagnostic] = ()
    notes: Sequence[Diagnostic] = ()
    skipped: str = ""


def junit(name: str, rows: Iterable[Row]) -> str:
    """Return the document; suites are sorted by name, and cases keep their order."""
    top = ET.Element("testsuites", name=printable(name))
    for suite, cases in groupby(sorted(rows, key=lambda row: row.suite), key=lambda row: row.suite):
        _suite(top, suite, list(cases))
    ET.indent(top)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(top, encoding="unicode") + "\n"


def _suite(top: ET.Element, suite: str, rows: Sequence[Row]) -> None:
    counts = {
        "tests": len(rows),
        "failures": sum(bool(row.failures) for row in rows),
        "errors": 0,
        "skipped": sum(bool(row.skipped) for row in rows),
    }
    seconds = f"{sum(row.seconds for row in rows):.3f}"
    element = ET.SubElement(
        top, "testsuite", {key: str(count) for key, count in counts.items()}, name=printable(suite), time=seconds
    )
    for row in rows:
        case = ET.SubElement(
            element, "testcase", classname=printable(suite), name=printable(row.name), time=f"{row.seconds:.3f}"
        )
        if row.failures:
            first = row.failures[0]
            failure = ET.SubElement(case, "failure", type=first.rule, message=printable(first.message))
            failure.text = "\n".join(map(str, row.failures))
        if row.skipped:
            ET.SubElement(case, "skipped", message=printable(row.skipped))
        if row.notes:
            ET.SubElement(case, "system-out").text = "\n".join(map(str, row.notes))
