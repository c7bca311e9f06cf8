"""`tritonrepo build`: a stack file becomes a model repository."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tritonrepo.cli import COMMANDS, EXIT_CODES
from tritonrepo.cli.output import colour, on_terminal, painted, say, talk, timed
from tritonrepo.cli.stack import stack_files, workspace
from tritonrepo.cli.values import NAMED, allow_links
from tritonrepo.diagnostics import Severity, Stop
from tritonrepo.flows.build import apply_build, directory, existing, plan_build
from tritonrepo.flows.built import Build
from tritonrepo.flows.doubts import lock_drift, strictly
from tritonrepo.flows.image import advice
from tritonrepo.flows.stack import load
from tritonrepo.report import diff as differences
from tritonrepo.report import plan as report
from tritonrepo.spec.forms import ENSEMBLE, forms

EPILOG = f"""\b
Examples:
  tritonrepo build
  tritonrepo build -f examples/models/rag/tritonrepo.yaml -o /srv/models
  tritonrepo build --dry-run --diff
  tritonrepo build -f base.yaml -f production.yaml --check --locked

{EXIT_CODES}"""


@click.command(epilog=EPILOG, short_help=COMMANDS["build"])
@stack_files
@click.option(
    "-o",
    "--output",
    "out",
    type=NAMED,
    default=Path("model_repository"),
    help="Directory of the model repository.",
)
@click.option("--dry-run", is_flag=True, help="Print the plan without writing anything.")
@click.option("--diff", is_flag=True, help="Also print what changes in each file.")
@click.option("--check", is_flag=True, help="Write nothing, and exit 1 if anything would change.")
@click.option("--locked", is_flag=True, help="Fail if the lock file would change.")
@click.option("--overwrite", is_flag=True, help="Replace files that were changed by hand after a build wrote them.")
@allow_links
@click.option("-v", "--verbose", is_flag=True, help="Also list what is left alone.")
def command(
    files: tuple[Path, ...],
    out: Path,
    *,
    dry_run: bool,
    diff: bool,
    check: bool,
    locked: bool,
    overwrite: bool,
    links: tuple[Path, ...],
    verbose: bool,
) -> int:
    """Build the model repository that a stack file declares.

    The command prints its plan, then writes each file that differs, whole or not at all. A second build of the same
    stack writes nothing. Files that no build wrote are left alone. Files that were changed by hand after a build wrote
    them are listed and kept: they are checked with the rest, and serve, push and up use them as they are.

    With --diff, the plan is followed by unified diffs of texts, and by sizes and digests of other files. A file of a
    new version is compared with that of the version before it.

    With --check or --locked, the build fails if the repository would not match the stack: if documents are newer than
    their index, a tokenizer is only a stand-in, or a file was changed by hand.
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
    _planned(build, diff=diff, verbose=verbose)
    if refused:
        raise Stop(refused)
    if not (check or dry_run):
        apply_build(build)
        if build.plan and on_terminal():
            talk(timed(f"{out}: written"))
    return int(check and (bool(build.plan) or build.drifted))


def _planned(build: Build, *, diff: bool, verbose: bool) -> None:
    """Print the plan, and what belongs to it."""
    out = str(build.out)
    say(*report.lines(build.plan.actions, out, build.plan.kept).split("\n"))
    if diff:
        colours = colour(sys.stdout)
        painted(differences.lines(build.plan.actions, existing(build), out, colour=colours), colours=colours)
    for name, form, why in forms(build.loaded.stack):
        if form != ENSEMBLE and (verbose or build.plan):
            talk(f"{name}: form {form}, {why}")
    if build.plan and (said := advice(build.loaded)):
        talk(said)
    if verbose:
        for path in build.plan.foreign:
            say(f"left alone: {out}/{path}", err=True)
