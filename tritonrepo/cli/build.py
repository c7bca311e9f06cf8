"""`tritonrepo build`: a stack file to a model repository."""

from __future__ import annotations

from pathlib import Path

import click

from tritonrepo.cli import COMMANDS, EXIT_CODES
from tritonrepo.cli.output import say
from tritonrepo.cli.stack import stack_files, workspace
from tritonrepo.cli.values import allow_links
from tritonrepo.diagnostics import Severity, Stop
from tritonrepo.flows.build import apply_build, directory, plan_build
from tritonrepo.flows.doubts import lock_drift, strictly
from tritonrepo.flows.stack import load
from tritonrepo.report import plan as report

EPILOG = f"""\b
Examples:
  tritonrepo build
  tritonrepo build -f examples/models/rag/tritonrepo.yaml -o /srv/models
  tritonrepo build -f base.yaml -f production.yaml --check --locked

{EXIT_CODES}"""


@click.command(epilog=EPILOG, short_help=COMMANDS["build"])
@stack_files
@click.option(
    "-o",
    "--output",
    "out",
    type=click.Path(path_type=Path),
    default=Path("model_repository"),
    help="Directory of the model repository.",
)
@click.option("--dry-run", is_flag=True, help="Print the plan and write nothing.")
@click.option("--check", is_flag=True, help="Write nothing; exit 1 unless there is nothing to do.")
@click.option("--locked", is_flag=True, help="Refuse to change the lock, or to build what it does not describe.")
@click.option("--overwrite", is_flag=True, help="Replace files that were changed by hand since build wrote them.")
@allow_links
@click.option("-v", "--verbose", is_flag=True, help="Also name what is left alone.")
def command(
    files: tuple[Path, ...],
    out: Path,
    *,
    dry_run: bool,
    check: bool,
    locked: bool,
    overwrite: bool,
    links: tuple[Path, ...],
    verbose: bool,
) -> int:
    """Write the model repository that a stack file declares.

    What differs from the directory is planned, printed, and written file by file, each whole. A second build of the
    same stack writes nothing. Files that are not of a build are left alone. Files of a build that were changed by hand
    are named and kept: they are judged with the rest, and whatever reads the directory gets them as they are.

    With --check and --locked it is an error that the repository would not be what the stack says: documents that are
    newer than their index, a tokenizer that only stands in, a file that was changed by hand.
    """
    out = directory(out)
    loaded = load(files, workspace(links))
    build = plan_build(loaded, out, overwrite=overwrite)
    found = strictly(build.warnings, loaded.stack) if check or locked else list(build.warnings)
    found += [lock_drift(build)] if locked and build.drifted else []
    refused = [diagnostic for diagnostic in found if diagnostic.severity in {Severity.ERROR, Severity.FATAL}]
    for diagnostic in found:
        if diagnostic not in refused:
            say(*diagnostic.lines, err=True)
    say(*report.lines(build.plan.actions, str(out), build.plan.kept).split("\n"))
    if verbose:
        for path in build.plan.foreign:
            say(f"left alone: {out}/{path}", err=True)
    if refused:
        raise Stop(refused)
    if not (check or dry_run):
        apply_build(build)
    return int(check and (bool(build.plan) or build.drifted))
