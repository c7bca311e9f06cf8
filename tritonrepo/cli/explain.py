"""`tritonrepo explain`: the page of a rule, or of whatever else is reported under a name."""

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
@click.option("--all", "every", is_flag=True, help="List every rule, its severity and its first sentence.")
def command(rule: str | None, *, every: bool) -> int:
    """Print why a rule is there, its source in Triton, a bad and a good example, and what is said of the bad one.

    RULE is its name. A family, such as scheduling, or words that names begin with, such as dynamic, list their rules.
    Names of what other commands report, such as stack-schema, have pages too.
    """
    if every:
        say(*table(REGISTRY.values()).split("\n"))
        return 0
    if rule is None:
        raise click.UsageError("name a rule, or --all")
    found = named(rule)
    if not found:
        raise click.UsageError(unknown(rule, REGISTRY))
    say(*(page(found[0]) if len(found) == 1 else table(found)).split("\n"))
    return 0
