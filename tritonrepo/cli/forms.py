"""The formats of what `validate` finds: text while it checks, or one document at the end, and files beside them."""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import click

from tritonrepo.cli import everywhere
from tritonrepo.cli.checking import Checking
from tritonrepo.cli.files import WRITTEN, write
from tritonrepo.cli.output import colour, document, painted, say, timed
from tritonrepo.diagnostics import Diagnostic, Faults, Stop, closest
from tritonrepo.flows.anchors import work_tree
from tritonrepo.flows.validate import Judgement
from tritonrepo.report import text as report_text
from tritonrepo.report.checked import Checked
from tritonrepo.report.home import Home


def _json(checked: Checked) -> str:
    from tritonrepo.report.json import judged  # here and below: only for a run that asks for the format

    return judged(checked)


def _sarif(checked: Checked) -> str:
    from tritonrepo.report.sarif import judged

    return judged(checked)


def _github(checked: Checked) -> str:
    from tritonrepo.report.github import judged

    return judged(checked)


def _gitlab(checked: Checked) -> str:
    from tritonrepo.report.gitlab import judged

    return judged(checked)


def _junit(checked: Checked) -> str:
    from tritonrepo.report.junit import judged

    return judged(checked)


DOCUMENTS = {"json": _json, "sarif": _sarif, "github": _github, "gitlab": _gitlab, "junit": _junit}
"""The choices of `--format` besides text: each makes one document of what was found."""


EVERY = {"text": report_text.judged, **DOCUMENTS}
WORD = re.compile(r"[A-Za-z]+")


class Output(click.ParamType[tuple[str, Path]]):
    """`FORMAT=FILE`, or FILE alone."""

    name = "file"
    envvar_list_splitter = os.pathsep

    def convert(
        self,
        value: Any,  # noqa: ANN401  click's signature
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[str, Path]:
        """Return the format, "" for that of `--format`, and the path; raise a usage error if it cannot be written."""
        word, equals, rest = value.partition("=")
        if value in EVERY:
            self.fail(f'"{value}" is a format. Use {value}=FILE, or --format {value}.', param, ctx)
        if equals and word not in EVERY and WORD.fullmatch(word):
            hint = f"{closest(word, EVERY)} For a file of this name, use ./{value}."
            self.fail(f'unknown format "{word}". {hint}', param, ctx)
        form, path = (word, rest) if equals and word in EVERY else ("", value)
        return form, WRITTEN.convert(path, param, ctx)


class Forms(NamedTuple):
    """How findings are printed, and the files that they are written to, each with its format."""

    form: str
    files: tuple[tuple[str, Path], ...] = ()

    def text_only(self, option: str) -> None:
        """Raise a usage error for a format that is combined with an option that has a form of its own."""
        if self.form != "text" or self.files:
            name = "--output" if self.files else f"--format {self.form}"
            raise click.UsageError(f"{option} and {name} cannot be combined")

    @property
    def plain(self) -> str:
        """The format of what `--upgrade-to` prints; raise a usage error for those that it does not have."""
        if self.form not in {"text", "json"}:
            raise click.UsageError(f"--upgrade-to does not have the format {self.form}. Use text or json.")
        if self.files:
            raise click.UsageError("--upgrade-to and --output cannot be combined: redirect stdout to the file")
        return self.form

    @contextmanager
    def concluded(self, checking: Checking) -> Iterator[None]:
        """Print the document and write the files once everything is checked, or once a Stop ends the command."""
        try:
            yield
        except Stop as stop:
            self._conclude(checking, stop.diagnostics)
            raise
        self._conclude(checking, ())

    def _conclude(self, checking: Checking, ends: Sequence[Diagnostic]) -> None:
        checked, faults = checking.checked(ends)._replace(home=_home()), Faults()
        if self.form != "text":
            document(DOCUMENTS[self.form](checked))
        for form, path in self.files:
            faults.tried(partial(write, path, f"{EVERY[form](checked)}\n"), None)
        if faults.found:
            raise Stop([*ends, *faults.found])

    def path(self, judgement: Judgement) -> None:
        """Print what was found on a path, in text."""
        colours = colour(sys.stdout)
        if self.form == "text":
            painted(report_text.diagnostics(judgement.diagnostics, judgement.lines, colour=colours), colours=colours)

    def end(self, checking: Checking, *, verbose: bool = False) -> None:
        """Print the closing line, in text, and what a baseline no longer has to hold; with `verbose`, each of these.

        With --quiet, there is none.
        """
        if self.form == "text" and checking.parts and not everywhere.quiet():
            checked = checking.checked()
            say(timed(report_text.summary(checked)), *report_text.resolved(checked, verbose=verbose))


def _home() -> Home:
    """Return the working directory and the top of its working tree, which holds `.git`; without one, it is the top."""
    try:
        here = Path.cwd()
    except FileNotFoundError:  # somebody has removed it
        return Home()
    return Home(str(here), str(work_tree(here) or here))


def form_options(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options that say how findings are printed; the command receives them as `forms`."""

    @functools.wraps(command)
    def with_forms(*args: Any, form: str, outputs: tuple[tuple[str, Path], ...], **given: Any) -> int:  # noqa: ANN401
        return command(*args, forms=_forms(form, outputs), **given)

    for option in (
        click.option(
            "--output",
            "outputs",
            multiple=True,
            type=Output(),
            metavar="[FORMAT=]FILE",
            help="Also write the findings to FILE, in this format or that of --format; the terminal then shows text."
            " Repeatable.",
        ),
        click.option("--format", "form", type=click.Choice([*EVERY]), default="text", help="Output format."),
    ):
        with_forms = option(with_forms)
    return with_forms


def _forms(form: str, outputs: Sequence[tuple[str, Path]]) -> Forms:
    """Return what the options say; raise a usage error if two documents would be written to one file."""
    for number, (_, path) in enumerate(outputs):
        if any(path.resolve() == other.resolve() for _, other in outputs[:number]):
            raise click.UsageError(f'--output names "{path}" twice. Use a file for each format.')
    taken = any(not named for named, _ in outputs)
    return Forms("text" if taken else form, tuple((named or form, path) for named, path in outputs))
