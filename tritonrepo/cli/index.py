"""`tritonrepo index`: documents become the search index of a retriever."""

from __future__ import annotations

from pathlib import Path

import click

from tritonrepo.cli import COMMANDS, EXIT_CODES
from tritonrepo.cli.output import say, talk
from tritonrepo.cli.stack import stack_files, workspace
from tritonrepo.cli.values import allow_links
from tritonrepo.flows.index import index
from tritonrepo.flows.stack import load

EPILOG = f"""\b
Examples:
  tritonrepo index
  tritonrepo index -f examples/models/rag/tritonrepo.yaml --model retriever

{EXIT_CODES}"""


@click.command(epilog=EPILOG, short_help=COMMANDS["index"])
@stack_files
@click.option("--model", "only", metavar="NAME", help="Build only the index of this retriever.")
@allow_links
def command(files: tuple[Path, ...], *, only: str | None, links: tuple[Path, ...]) -> int:
    """Build the search index of each retriever from its documents, with the same graph that is deployed.

    Each index is written to the directory that the stack file names, and pinned in the lock file: commit both. An
    index that is current is not rebuilt.
    """
    made, _ = index(load(files, workspace(links)), only)
    for name, place, passages, left in made:
        say(f"{name}: {place} {f'holds {passages} passages' if passages else 'is current'}")
        for line in left:
            say(f"{name}: {line}", err=True)
    if not made:
        talk("the stack has no retriever")
    return 0
