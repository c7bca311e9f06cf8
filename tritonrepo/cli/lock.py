"""`tritonrepo lock`: the lock alone, as a build would write it, or with new pins and numbers."""

from __future__ import annotations

from pathlib import Path

import click

from tritonrepo.cli import COMMANDS, EXIT_CODES
from tritonrepo.cli.output import say
from tritonrepo.cli.stack import stack_files, workspace
from tritonrepo.cli.values import allow_links, record_place
from tritonrepo.flows.lock import apply_lock, plan_lock
from tritonrepo.report import changes as report
from tritonrepo.sync.place import open_place

EPILOG = f"""\b
Examples:
  tritonrepo lock
  tritonrepo lock --from s3://models/prod
  tritonrepo lock --upgrade embedder --upgrade package:tokenizers==0.23.3
  tritonrepo lock -f examples/models/rag/tritonrepo.yaml --check

{EXIT_CODES}"""


@click.command(epilog=EPILOG, short_help=COMMANDS["lock"])
@stack_files
@click.option(
    "--upgrade",
    multiple=True,
    metavar="NAME",
    help="Resolve the sources of this model, or this source, again instead of keeping their pins. Repeatable.",
)
@click.option(
    "--renumber",
    multiple=True,
    metavar="MODEL",
    help="Assign the next free version number to the content of this model. Repeatable.",
)
@click.option(
    "--from",
    "uri",
    metavar="URI",
    help="Take over the version numbers that this bucket or directory has given.",
)
@record_place
@click.option("--check", is_flag=True, help="Write nothing, and exit 1 if the lock file would change.")
@allow_links
def command(
    files: tuple[Path, ...],
    *,
    upgrade: tuple[str, ...],
    renumber: tuple[str, ...],
    uri: str | None,
    record: str | None,
    check: bool,
    links: tuple[Path, ...],
) -> int:
    """Write the lock file of a stack as a build would, without building.

    The command prints each model, source and index whose entry changes. It also resolves a merge conflict in the lock
    file: the version numbers of both sides are kept.

    After --from, content that the bucket has gets its number there, and other content gets a number above all of the
    bucket's. Use it if another branch has pushed other content under the same number.
    """
    place = None if uri is None else open_place(uri, record, links)
    locked = plan_lock(files, workspace(links), upgrade=upgrade, renumber=renumber, uri=place)
    for warning in locked.warnings:
        say(*warning.lines, err=True)
    say(*report.lines(locked.changes, str(locked.loaded.lock_path)).split("\n"))
    if not check:
        apply_lock(locked)
    return int(check and bool(locked.changes))
