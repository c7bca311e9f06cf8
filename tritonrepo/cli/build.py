"""`tritonrepo build`: a stack file to a model repository."""

from __future__ import annotations

from pathlib import Path

import click

from tritonrepo.cli import COMMANDS, EXIT_CODES
from tritonrepo.cli.building import carry_out, directory, prepare
from tritonrepo.cli.stack import STACK_HELP, load
from tritonrepo.cli.values import allow_links
from tritonrepo.diagnostics import fatal
from tritonrepo.report import plan as report
from tritonrepo.spec import lock as locks

EPILOG = f"""\b
Examples:
  tritonrepo build
  tritonrepo build -f examples/models/rag/tritonrepo.yaml -o /srv/models
  tritonrepo build -f base.yaml -f production.yaml --check --locked

{EXIT_CODES}"""


@click.command(epilog=EPILOG, short_help=COMMANDS["build"])
@click.option(
    "-f",
    "--file",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    help=STACK_HELP,
)
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
@click.option("--locked", is_flag=True, help="Refuse to change the lock.")
@allow_links
@click.option("-v", "--verbose", is_flag=True, help="Also name what is left alone.")
def command(
    files: tuple[Path, ...],
    out: Path,
    *,
    dry_run: bool,
    check: bool,
    locked: bool,
    links: tuple[Path, ...],
    verbose: bool,
) -> int:
    """Write the model repository that a stack file declares.

    What differs from the directory is planned, printed, and written file by file, each whole. A second build of the
    same stack writes nothing. Files that are not of a build are left alone.
    """
    out = directory(out)
    loaded = load(files, links)
    prepared = prepare(loaded, out)
    for warning in prepared.warnings:
        click.echo(str(warning), err=True)
    drift = locks.dump(prepared.lock) != locks.dump(loaded.lock)
    if locked and drift:
        changes = "sources, versions or digests are not those that it pins"
        raise fatal(
            "lock-drift",
            str(loaded.lock_path),
            f"would change: {changes}",
            "Build without --locked and commit the lock.",
        )
    click.echo(report.lines(prepared.plan.actions, str(out)))
    if verbose:
        for path in prepared.plan.foreign:
            click.echo(f"left alone: {out}/{path}", err=True)
    if check:
        return 1 if prepared.plan or drift else 0
    if not dry_run:
        carry_out(prepared, loaded)
    return 0
