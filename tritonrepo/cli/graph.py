"""`tritonrepo graph`: the pipelines of a stack or a repository, drawn."""

from __future__ import annotations

from pathlib import Path

import click

from tritonrepo.cli import COMMANDS, EXIT_CODES
from tritonrepo.cli.output import document
from tritonrepo.cli.stack import stack_files, workspace
from tritonrepo.cli.values import allow_links
from tritonrepo.flows.graph import FORMATS, graph

EPILOG = f"""\b
Examples:
  tritonrepo graph examples/models/rag
  tritonrepo graph model_repository --format mermaid
  tritonrepo graph -f base.yaml -f production.yaml --format svg

{EXIT_CODES}"""


@click.command(epilog=EPILOG, short_help=COMMANDS["graph"])
@click.argument("path", metavar="[STACK|DIR|URI]", required=False)
@stack_files
@click.option("--format", "form", type=click.Choice([*FORMATS]), default="text", help="Output format.")
@allow_links
def command(path: str | None, *, files: tuple[Path, ...], form: str, links: tuple[Path, ...]) -> int:
    """Draw the pipelines of a stack or a repository, with their tensors and types.

    The graph shows each ensemble, the models that it calls, what these call by themselves, and the models that nothing
    calls. STACK is a stack file or its directory. For a stack, the repository that build would write is drawn. DIR and
    URI are those of any repository.
    """
    if path is not None and files:
        raise click.UsageError("[STACK|DIR|URI] and --file cannot be combined: name every file with --file")
    document(graph(files or path or ".", workspace(links), form))
    return 0
