"""Results as JUnit XML, the format that CI systems show: one suite per subject, one case per check.

Source of the format: the schema of Jenkins' xUnit plugin, junit-10.xsd. Names and messages hold no control characters,
which XML 1.0 cannot represent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from tritonrepo.diagnostics import Diagnostic
from tritonrepo.plain import printable
from tritonrepo.report.checked import Checked, Part

if TYPE_CHECKING:
    from xml.etree import ElementTree as ET

WHOLE = "(whole)"
"""The case of what is wrong with no single model."""


class Row(NamedTuple):
    """One case: its suite, name, duration in seconds, failures, notes, the reason if it was skipped, and errors.

    An error is what kept the case from being judged.
    """

    suite: str
    name: str
    seconds: float
    failures: Sequence[Diagnostic] = ()
    notes: Sequence[Diagnostic] = ()
    skipped: str = ""
    errors: Sequence[Diagnostic] = ()


def judged(checked: Checked) -> str:
    """Return what `validate` found: a suite for each path, and in it a case for each model, with or without failures.

    A repository without models has one case, and so has what is wrong with one as a whole; what ended the command is a
    suite. No durations are written, so that equal findings make equal documents.
    """
    rows = [row for part in checked.parts for row in _models(part, checked)]
    rows += [Row(each.at.path, each.rule, 0, errors=[each]) for each in checked.ends]
    return junit("tritonrepo validate", rows).rstrip("\n")


def _models(part: Part, checked: Checked) -> Iterator[Row]:
    found: dict[str, list[Diagnostic]] = {verdict.model: [] for verdict in part.verdicts}
    for each in part.diagnostics:
        found.setdefault(each.model, []).append(each)
    for model, those in sorted((found or {"": []}).items()):
        failures = [each for each in those if each.severity in checked.bad]
        notes = [each for each in those if each.severity not in checked.bad]
        yield Row(part.path, model or WHOLE, 0, failures, notes)


def junit(name: str, rows: Iterable[Row]) -> str:
    """Return the document; suites are sorted by name, and cases keep their order."""
    from xml.etree import ElementTree as ET  # other formats need no XML

    top = ET.Element("testsuites", name=printable(name))
    for suite, cases in groupby(sorted(rows, key=lambda row: row.suite), key=lambda row: row.suite):
        _suite(top, suite, list(cases))
    ET.indent(top)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(top, encoding="unicode") + "\n"


def _suite(top: ET.Element, suite: str, rows: Sequence[Row]) -> None:
    from xml.etree import ElementTree as ET

    counts = {
        "tests": len(rows),
        "failures": sum(bool(row.failures) for row in rows),
        "errors": sum(bool(row.errors) for row in rows),
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
        for tag, found in (("error", row.errors), ("failure", row.failures)):
            if found:
                said = ET.SubElement(case, tag, type=found[0].rule, message=printable(found[0].message))
                said.text = "\n".join(map(str, found))
        if row.skipped:
            ET.SubElement(case, "skipped", message=printable(row.skipped))
        if row.notes:
            ET.SubElement(case, "system-out").text = "\n".join(map(str, row.notes))
