"""The formats that `validate` prints its findings in: text while it checks, or one document at the end."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import click

from tritonrepo.cli.checking import Checking
from tritonrepo.cli.output import colour, concluded, painted, say
from tritonrepo.flows.validate import Judgement
from tritonrepo.report import github, gitlab, junit, sarif
from tritonrepo.report import json as report_json
from tritonrepo.report import text as report_text
from tritonrepo.report.home import Home

DOCUMENTS = {
    "json": report_json.judged,
    "sarif": sarif.judged,
    "github": github.judged,
    "gitlab": gitlab.judged,
    "junit": junit.judged,
}
"""The choices of `--format` besides text: each makes one document of what was found."""


class Forms(NamedTuple):
    """How findings are printed."""

    form: str

    @property
    def plain(self) -> str:
        """The format of what `--upgrade-to` prints; raise a usage error for those that it does not have."""
        if self.form not in {"text", "json"}:
            raise click.UsageError(f"--upgrade-to does not have the format {self.form}. Use text or json.")
        return self.form

    def concluded(self, checking: Checking) -> AbstractContextManager[None]:
        """Print the document once everything is checked, or once a Stop ends the command."""
        return concluded(self.form, lambda ends: DOCUMENTS[self.form](checking.checked(ends)._replace(home=_home())))

    def path(self, judgement: Judgement) -> None:
        """Print what was found on a path, in text."""
        colours = colour(sys.stdout)
        if self.form == "text":
            painted(report_text.diagnostics(judgement.diagnostics, judgement.lines, colour=colours), colours=colours)

    def end(self, checking: Checking) -> None:
        """Print the closing line, in text."""
        if self.form == "text" and checking.parts:
            say(report_text.summary(checking.checked()))


def _home() -> Home:
    """Return the working directory and the top of its working tree, which holds `.git`; without one, it is the top."""
    try:
        here = Path.cwd()
    except FileNotFoundError:  # somebody has removed it
        return Home()
    top = next((place for place in (here, *here.parents) if os.path.lexists(place / ".git")), here)
    return Home(str(here), str(top))


def form_options(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options that say how findings are printed; the command receives them as `forms`."""

    @functools.wraps(command)
    def with_forms(*args: Any, form: str, **given: Any) -> int:  # noqa: ANN401  click's
        return command(*args, forms=Forms(form), **given)

    return click.option(
        "--format", "form", type=click.Choice(["text", *DOCUMENTS]), default="text", help="Output format."
    )(with_forms)
