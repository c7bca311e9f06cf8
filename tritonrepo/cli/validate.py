"""`tritonrepo validate`: what the real server will say of a repository, without one."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import click

from tritonrepo.cli import COMMANDS, EXIT_CODES
from tritonrepo.cli.output import colour, concluded, painted, say
from tritonrepo.cli.selecting import selected
from tritonrepo.cli.stack import workspace
from tritonrepo.cli.targets import aim, target_options
from tritonrepo.cli.values import allow_links
from tritonrepo.diagnostics import Diagnostic, Faults, Severity, Verdict
from tritonrepo.flows.validate import Judgement, validate
from tritonrepo.report import json as report_json
from tritonrepo.report import text as report_text

EPILOG = f"""\b
Examples:
  tritonrepo validate model_repository
  tritonrepo validate examples/models/rag
  tritonrepo validate models --release 24.05 --image vllm-python-py3 --gpus 2
  tritonrepo validate models --format json --ignore version-zero

{EXIT_CODES}"""

DOCUMENTS = {"json": report_json.judged}
"""The choices of `--format` beside text: what makes one document of diagnostics, verdicts and the number ignored."""

NOTHING = Judgement((), (), lambda _: [])


@click.command(epilog=EPILOG, short_help=COMMANDS["validate"])
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@target_options
@click.option(
    "--format", "form", type=click.Choice(["text", *DOCUMENTS]), default="text", help="How findings are printed."
)
@click.option("--select", multiple=True, metavar="RULE", help="Show only findings of this rule or family. Repeatable.")
@click.option("--ignore", multiple=True, metavar="RULE", help="Hide findings of this rule or family. Repeatable.")
@allow_links
@click.option("--strict", is_flag=True, help="Exit 1 for warnings too.")
@click.option("-v", "--verbose", is_flag=True, help="Show what is only good to know, too.")
def command(
    paths: tuple[str, ...],
    *,
    form: str,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    links: tuple[Path, ...],
    strict: bool,
    verbose: bool,
    release: str | None,
    image: tuple[str, ...],
    gpus: int | None,
    no_auto_complete: bool,
) -> int:
    """Judge model repositories for a server: every mistake at once, with place, server's reason and next step.

    PATH is the directory of a repository, or a stack file or its directory: then what build would write is judged, for
    the stack's own target except for what options name. Without PATH it is model_repository. Nothing is executed.

    A comment in a config.pbtxt hides findings: # tritonrepo: ignore[RULE, RULE] reason. Behind something it is for that
    line, alone on its line for the next one, above the first field for the whole model. The verdict stays.

    RULE is a rule's name, a family such as scheduling, or words that names begin with, such as dynamic.
    """
    shown = selected(select, ignore, verbose=verbose)
    given, work = aim(release, image, gpus, no_auto_complete=no_auto_complete), workspace(links)

    diagnostics: list[Diagnostic] = []
    verdicts: list[Verdict] = []
    ignored, judged = 0, False
    faults = Faults()
    colours = colour(sys.stdout)
    with concluded(form, lambda ends: DOCUMENTS[form]([*diagnostics, *ends], verdicts, ignored)):
        for path in paths or ("model_repository",):
            with _uncollected():
                judgement = faults.tried(partial(validate, path, work, given, shown), NOTHING)
            judged |= judgement is not NOTHING
            diagnostics += judgement.diagnostics
            verdicts += judgement.verdicts
            ignored += judgement.ignored
            if form == "text":
                painted(
                    report_text.diagnostics(judgement.diagnostics, judgement.lines, colour=colours), colours=colours
                )
        if form == "text" and judged:
            say(report_text.summary(diagnostics, len(verdicts), ignored))
        faults.stop()
    bad = {Severity.ERROR, Severity.WARNING} if strict else {Severity.ERROR}
    return 1 if any(diagnostic.severity in bad for diagnostic in diagnostics) else 0


@contextmanager
def _uncollected() -> Iterator[None]:
    """Do without the search for reference cycles: trees of configs have none, and ten thousand cost it a second."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
