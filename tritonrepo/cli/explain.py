"""`tritonrepo explain`: the page of a rule, or of any other name that a command reports."""

from __future__ import annotations

import click

from tritonrepo.cli import COMMANDS, EXIT_CODES
from tritonrepo.cli.output import say
from tritonrepo.report.pages import page, table
from tritonrepo.report.registry import REGISTRY, named
from tritonrepo.rules.names import unknown

EPILOG = f"""\b
Examples:
  tritonrepo explain dynamic-preferred-above-max
  tritonrepo explain scheduling
  tritonrepo explain --all

{EXIT_CODES}"""


@click.command(epilog=EPILOG, short_help=COMMANDS["explain"])
@click.argument("rule", required=False)
@click.option("--all", "every", is_flag=True, help="List every name with its severity and title.")
def command(rule: str | None, *, every: bool) -> int:
    """Explain a rule: why it exists, where Triton checks it, a bad example with its message, and a good one.

    RULE is a rule's name. A family, such as scheduling, or the first words of names, such as dynamic, list the rules
    that match. Names that other commands report, such as stack-schema, also have pages.
    """
    if every:
        say(*table(REGISTRY.values()).split("\n"))
        return 0
    if rule is None:
        raise click.UsageError("RULE or --all is required")
    found = named(rule)
    if not found:
        raise click.UsageError(unknown(rule, REGISTRY))
    say(*(page(found[0]) if len(found) == 1 else table(found)).split("\n"))
    return 0
