"""`tritonrepo index`: documents to the search index of a retriever."""

from __future__ import annotations

from pathlib import Path

import click

from tritonrepo.cli import COMMANDS, EXIT_CODES
from tritonrepo.cli.output import say
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
@click.option("--model", "only", metavar="NAME", help="Make the index of this retriever only.")
@allow_links
def command(files: tuple[Path, ...], *, only: str | None, links: tuple[Path, ...]) -> int:
    """Turn the documents of each retriever into vectors, with the graph that is deployed.

    The index lies beside the stack file and is pinned in the lock: commit both. An index that is current stays
    as it is.
    """
    made, _ = index(load(files, workspace(links)), only)
    for name, place, passages in made:
        say(f"{name}: {place} {f'holds {passages} passages' if passages else 'is current'}")
    if not made:
        say("the stack has no retriever", err=True)
    return 0
