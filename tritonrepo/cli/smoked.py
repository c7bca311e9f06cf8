"""What `smoke` prints and writes: results as text, JSON, workflow commands of GitHub, and JUnit XML."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tritonrepo.cli import everywhere
from tritonrepo.cli.files import write
from tritonrepo.cli.output import document, say, timed
from tritonrepo.cli.results import HEAD, gaps, junit_rows, proofs, rows, summary, texts
from tritonrepo.diagnostics import Diagnostic
from tritonrepo.plain import printable
from tritonrepo.report import json as report_json
from tritonrepo.report.github import commands
from tritonrepo.report.junit import junit
from tritonrepo.report.table import table
from tritonrepo.smoke.case import Result
from tritonrepo.smoke.causes import diagnosed, explained

FORMS = ("text", "json", "github")


class Output(NamedTuple):
    """How results are printed, and the file that they are written to as JUnit XML."""

    url: str
    form: str
    junit: Path | None

    def made(self, results: Sequence[Result], ends: Sequence[Diagnostic] = ()) -> str:
        """Return the document of a format other than text; `ends`: what ended the command early."""
        found = [*diagnosed(results), *ends]
        if self.form == "json":
            return report_json.checked(rows(results), found)
        return "\n".join([*commands(found), *map(printable, [*gaps(results), summary(results)])])

    def tell(self, results: Sequence[Result]) -> None:
        """Print the results in text, and write the file."""
        if self.form == "text":
            say(*table(HEAD, texts(results)).split("\n"))
            for diagnostic in diagnosed(results):
                say("", *diagnostic.lines)
            if proven := proofs(results):
                say("", *proven)
            for line in gaps(results):
                say("", line)
            if not everywhere.quiet():
                say("", timed(summary(results)))
        if self.junit is not None:
            write(self.junit, junit(self.url, junit_rows(explained(results))))

    def interrupted(self, results: Sequence[Result]) -> None:
        """Print what was found up to Ctrl-C, and write it."""
        self.tell(results)
        if self.form != "text":
            document(self.made(results))
