"""`tritonrepo image`: the Dockerfile of the image that serves a stack."""

from __future__ import annotations

from pathlib import Path

import click

from tritonrepo.cli import COMMANDS, EXIT_CODES
from tritonrepo.cli.output import say, talk
from tritonrepo.cli.stack import chosen, stack_or_files, workspace
from tritonrepo.cli.values import allow_links
from tritonrepo.flows.image import build_line, image
from tritonrepo.flows.stack import load

EPILOG = f"""\b
Examples:
  tritonrepo image examples/models/rag
  tritonrepo image -f base.yaml -f production.yaml

{EXIT_CODES}"""


@click.command(epilog=EPILOG, short_help=COMMANDS["image"])
@stack_or_files
@allow_links
def command(stack: Path | None, *, files: tuple[Path, ...], links: tuple[Path, ...]) -> int:
    """Print the Dockerfile of the image that serves a stack.

    The image is one of the target's Triton images, with the backends that it lacks copied from the target's other
    images. The command that builds the image is printed on stderr. If one Triton image has every backend that the stack
    needs, the Dockerfile only names it. STACK is a stack file or its directory.
    """
    loaded = load(chosen(stack, files), workspace(links))
    found = image(loaded)
    say(*found.dockerfile.rstrip().split("\n"))
    if found.copies:
        talk(f"Build the image: {build_line(loaded)}")
    else:
        talk(f"{found.name} has every backend that the stack needs.")
    return 0
