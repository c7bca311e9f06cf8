"""`tritonrepo show`: the effective stack as YAML."""

from __future__ import annotations

from pathlib import Path

import click

from tritonrepo.cli import COMMANDS, EXIT_CODES
from tritonrepo.cli.output import document
from tritonrepo.cli.stack import chosen, stack_or_files, workspace
from tritonrepo.cli.values import allow_links
from tritonrepo.flows.show import show
from tritonrepo.flows.stack import load

EPILOG = f"""\b
Examples:
  tritonrepo show examples/models/rag
  tritonrepo show examples/models/rag --defaults
  tritonrepo show -f base.yaml -f production.yaml --origins

{EXIT_CODES}"""


@click.command(epilog=EPILOG, short_help=COMMANDS["show"])
@stack_or_files
@click.option("--defaults", is_flag=True, help="Also print the keys that no file sets.")
@click.option("--origins", is_flag=True, help="Name the file and line of each key in a comment.")
@allow_links
def command(
    stack: Path | None, *, files: tuple[Path, ...], defaults: bool, origins: bool, links: tuple[Path, ...]
) -> int:
    """Print the effective stack as YAML: extended, merged, and with the values of its variables.

    The text is itself a stack file that gives the same stack. Its paths stay relative to the files that say them. STACK
    is a stack file or its directory.
    """
    document(show(load(chosen(stack, files), workspace(links)), defaults=defaults, origins=origins).rstrip("\n"))
    return 0
