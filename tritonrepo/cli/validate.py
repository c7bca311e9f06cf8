"""`tritonrepo validate`: the server's verdict on a repository, without a server."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import click

from tritonrepo.cli import COMMANDS, EXIT_CODES
from tritonrepo.cli.collecting import uncollected
from tritonrepo.cli.output import colour, concluded, painted, say
from tritonrepo.cli.selecting import selected
from tritonrepo.cli.stack import workspace
from tritonrepo.cli.targets import aim, target_options
from tritonrepo.cli.upgrading import compared
from tritonrepo.cli.values import allow_links, gpu_options
from tritonrepo.diagnostics import Diagnostic, Faults, Severity, Unseen, Verdict
from tritonrepo.flows.validate import Judgement, validate
from tritonrepo.llm.gpus import Gpu
from tritonrepo.report import json as report_json
from tritonrepo.report import text as report_text
from tritonrepo.rules.unseen import together

EPILOG = f"""\b
Examples:
  tritonrepo validate model_repository
  tritonrepo validate examples/models/rag
  tritonrepo validate models --release 24.05 --image vllm-python-py3 --gpus 2
  tritonrepo validate models --release 24.05 --upgrade-to 26.07

{EXIT_CODES}"""

DOCUMENTS = {"json": report_json.judged}
"""The choices of `--format` besides text: each makes one document of what a `Judgement` has."""

PATHS = ("model_repository",)
NOTHING = Judgement((), (), lambda _: [])


@click.command(epilog=EPILOG, short_help=COMMANDS["validate"])
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@target_options
@gpu_options
@click.option("--format", "form", type=click.Choice(["text", *DOCUMENTS]), default="text", help="Output format.")
@click.option("--select", multiple=True, metavar="RULE", help="Show only findings of this rule or family. Repeatable.")
@click.option("--ignore", multiple=True, metavar="RULE", help="Hide findings of this rule or family. Repeatable.")
@allow_links
@click.option("--upgrade-to", metavar="YY.MM", help="Show only what changes with this Triton release.")
@click.option("--strict", is_flag=True, help="Also exit 1 for warnings.")
@click.option("-v", "--verbose", is_flag=True, help="Also show findings of severity info.")
def command(
    paths: tuple[str, ...],
    *,
    form: str,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    links: tuple[Path, ...],
    upgrade_to: str | None,
    strict: bool,
    verbose: bool,
    release: str | None,
    image: tuple[str, ...],
    gpus: int | None,
    gpu: Gpu | None,
    gpu_memory: int | None,
    no_auto_complete: bool,
) -> int:
    """Check model repositories and predict the server's verdict, without a server or a GPU.

    All mistakes are reported in one run, each with its location and the next step; --format json adds the server's own
    reason. No model code is run. With --upgrade-to, only what changes with another release is reported, and the exit
    code is 1 if something breaks.

    PATH is the directory or URI of a repository, or a stack file or its directory. For a stack, the repository that
    build would write is checked, for the stack's own target unless options override it. PATH defaults to
    model_repository.

    A comment in a config.pbtxt hides findings: `# tritonrepo: ignore[NAME, NAME] reason`. After a field, it applies to
    that line; on a line of its own, to the next one; above the first field, to the whole model. NAME is a rule's full
    name. The verdict does not change.

    RULE is a rule's name, a family such as scheduling, or the first words of names, such as dynamic.
    """
    shown = selected(select, ignore, verbose=verbose)
    given = aim(release, image, gpus, no_auto_complete=no_auto_complete, gpu=gpu, memory=gpu_memory)
    work = workspace(links)
    bad = {Severity.ERROR, Severity.FATAL, *([Severity.WARNING] if strict else [])}
    if upgrade_to is not None:
        return int(not bad.isdisjoint(compared(paths or PATHS, work, (given, upgrade_to), shown, form)))

    diagnostics: list[Diagnostic] = []
    verdicts: list[Verdict] = []
    left: list[Unseen] = []
    ignored, judged = 0, False
    faults = Faults()
    colours = colour(sys.stdout)
    with concluded(form, lambda ends: DOCUMENTS[form]([*diagnostics, *ends], verdicts, ignored, together(left))):
        for path in paths or PATHS:
            with uncollected():
                judgement = faults.tried(partial(validate, path, work, given, shown), NOTHING)
            judged |= judgement is not NOTHING
            diagnostics += judgement.diagnostics
            verdicts += judgement.verdicts
            ignored += judgement.ignored
            left += judgement.unseen
            if form == "text":
                painted(
                    report_text.diagnostics(judgement.diagnostics, judgement.lines, colour=colours), colours=colours
                )
        if form == "text" and judged:
            say(report_text.summary(diagnostics, len(verdicts), ignored, together(left)))
        faults.stop()
    return 1 if any(diagnostic.severity in bad for diagnostic in diagnostics) else 0
