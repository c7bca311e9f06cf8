"""`tritonrepo completion`: the script with which a shell completes command lines."""

from __future__ import annotations

import click

from tritonrepo.cli import COMMANDS, COMPLETE, EXIT_CODES, root
from tritonrepo.cli.completing import SHELLS
from tritonrepo.cli.output import document

EPILOG = f"""\b
Examples:
  tritonrepo completion bash
  tritonrepo completion fish

{EXIT_CODES}"""


@click.command(epilog=EPILOG, short_help=COMMANDS["completion"])
@click.argument("shell", type=click.Choice(list(SHELLS)), metavar="SHELL")
def command(shell: str) -> int:
    """Print the script that completes command lines in a shell: commands, options and their values, and files.

    SHELL is bash, zsh or fish. Values are those that an option can have: formats, rules, releases, images and GPUs.
    Bash and Zsh read the script with `eval "$(tritonrepo completion bash)"`, in Zsh after compinit; Fish reads it from
    a file in its directory completions.
    """
    document(SHELLS[shell](root, {}, "tritonrepo", COMPLETE).source().rstrip("\n"))
    return 0
