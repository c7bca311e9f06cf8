"""`tritonrepo init`: a new stack that builds and runs."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from tritonrepo.cli import COMMANDS, EXIT_CODES
from tritonrepo.cli.output import say, talk
from tritonrepo.cli.values import NAMED
from tritonrepo.flows.init import TEMPLATES, init

EPILOG = f"""\b
Examples:
  tritonrepo init handbook
  tritonrepo init --template llm chat

{EXIT_CODES}"""

NEXT = {
    "rag": ("tritonrepo index", "tritonrepo build", 'tritonrepo up --ask "How do I reset my password?"'),
    "search": ("tritonrepo index", "tritonrepo build", "tritonrepo up"),
    "llm": ("tritonrepo build", "tritonrepo up"),
    "model": ("tritonrepo build", "tritonrepo up"),
}
"""Template → the commands to run next, in the stack's directory."""


@click.command(epilog=EPILOG, short_help=COMMANDS["init"])
@click.argument("directory", type=NAMED, default=Path())
@click.option("--template", type=click.Choice(TEMPLATES), default=TEMPLATES[0], help="What the stack does.")
def command(directory: Path, *, template: str) -> int:
    """Create a stack that builds and runs as it is, with comments that say what to change.

    The template rag answers questions from documents, search only finds passages in them, llm serves a language model,
    and model serves a model of your own. DIRECTORY defaults to the current directory, and its name becomes that of the
    stack. If one of the files already exists with other content, nothing is written.
    """
    for path in init(directory, template):
        say(f"+ {path}")
    steps = [*([f"cd {shlex.quote(str(directory))}"] if directory != Path() else []), *NEXT[template]]
    talk("Next:", *(f"  {step}" for step in steps))
    return 0
