"""`tritonrepo help`: the same as `--help` of a command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tritonrepo.cli import COMMANDS, EXIT_CODES
from tritonrepo.cli.output import document

if TYPE_CHECKING:
    from collections.abc import Iterable

    from click.shell_completion import CompletionItem

EPILOG = f"""\b
Examples:
  tritonrepo help
  tritonrepo help validate
  tritonrepo help deploy docker

{EXIT_CODES}"""


def _context(context: click.Context, names: Iterable[str]) -> click.Context:
    """Return the context of the command of these names; raise a usage error if there is none."""
    at = context.find_root()
    for name in names:
        if not isinstance(at.command, click.Group):
            raise click.UsageError(f'"{at.info_name}" has no subcommands, so "{name}" cannot be one of them', at)
        _, command, _ = at.command.resolve_command(at, [name])
        assert command is not None  # noqa: S101  else that was a usage error
        at = click.Context(command, parent=at, info_name=name)
    return at


def _below(context: click.Context, _argument: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return what a shell can offer after the names that are typed."""
    at = _context(context, context.params["names"] or ())
    return at.command.shell_complete(at, incomplete) if isinstance(at.command, click.Group) else []


@click.command(epilog=EPILOG, short_help=COMMANDS["help"])
@click.argument("names", nargs=-1, metavar="[COMMAND]...", shell_complete=_below)
@click.pass_context
def command(context: click.Context, names: tuple[str, ...]) -> int:
    """Print the help of a command, as its --help does, or without COMMAND that of tritonrepo."""
    document(_context(context, names).get_help())
    return 0
