"""`tritonrepo cost`: what serving costs, and the empty form of its inputs."""

from __future__ import annotations

import datetime
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tritonrepo.cli import COMMANDS, EXIT_CODES
from tritonrepo.cli.defaulting import Defaulting
from tritonrepo.cli.files import WRITTEN, write
from tritonrepo.cli.output import concluded, document, say, talk
from tritonrepo.cli.values import NAMED

if TYPE_CHECKING:
    from tritonrepo.cost.costs import Costs

EPILOG = f"""\b
Examples:
  tritonrepo cost init cost.yaml
  tritonrepo cost cost.yaml
  tritonrepo cost cost.yaml --bench vLLM=result.json --explain
  tritonrepo cost cost.yaml --format markdown --html cost.html

{EXIT_CODES}"""


@click.group(cls=Defaulting, default="run", short_help=COMMANDS["cost"], epilog=EPILOG)
def command() -> None:
    """Compute what serving costs from prices and figures that you state, each with its date and source.

    `tritonrepo cost FILE` is short for `tritonrepo cost run FILE`. No price comes with tritonrepo: `tritonrepo cost
    init` creates the empty form.
    """


@command.command(name="run", short_help="Compute what serving costs.", epilog=EPILOG)
@click.argument("file", type=NAMED)
@click.option(
    "--bench",
    multiple=True,
    metavar="[OPTION=]FILE",
    help="Result of `tritonrepo bench` that gives the throughput and tokens of an option. Without OPTION=, that is the"
    " option with the name of the model or target. Repeatable.",
)
@click.option(
    "--today",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="YYYY-MM-DD",
    help="Day by which dates are old, so that a report can be repeated.  [default: today]",
)
@click.option("--explain", is_flag=True, help="Also show each formula with its numbers, and what moves every option.")
@click.option(
    "--format", "form", type=click.Choice(["text", "json", "markdown"]), default="text", help="Output format."
)
@click.option("--html", type=WRITTEN, metavar="FILE", help="Also write a page with plots to this file.")
@click.option("--svg", type=WRITTEN, metavar="FILE", help="Also write the plot of what moves the cost to this file.")
def run(
    file: Path,
    *,
    bench: tuple[str, ...],
    today: datetime.datetime | None,
    explain: bool,
    form: str,
    html: Path | None,
    svg: Path | None,
) -> int:
    """Compute the cost of each option of FILE: a month, the first years, a million tokens, a thousand answers.

    Each figure has a low, a mid and a high value if an input is a range. Then follow what moves the cost most, whether
    the options differ by more than what the inputs leave open, whether a license pays, from how many tokens on serving
    is cheaper than an API, and what is doubtful: old prices, missing sources, what is not counted.

    The exit code is 1 if a published figure in FILE does not follow from its inputs.
    """
    from tritonrepo.flows.cost import cost
    from tritonrepo.flows.cost_bench import measured
    from tritonrepo.report.cost.data import document as data
    from tritonrepo.report.cost.markdown import markdown
    from tritonrepo.report.cost.page import page, picture
    from tritonrepo.report.cost.text import text  # imported here to keep `--help` quick

    found: Costs | None = None
    with concluded(form if form == "json" else "text", lambda ends: data(found, ends)):
        day = today or datetime.datetime.now().astimezone()
        found = cost(file, today=day.date(), measured=[measured(each, file) for each in bench])
        for path, make in ((html, page), (svg, picture)):
            if path is not None:
                write(path, make(found))
        if form == "text":
            say(*text(found, explain=explain))
        elif form == "markdown":
            document(markdown(found))
    return int(not found.ok)


@command.command(short_help="Create the empty form of a cost file.", epilog=EPILOG)
@click.argument("file", type=NAMED, default=Path("cost.yaml"))
def init(file: Path) -> int:
    """Create the empty form of a cost file: every input with its meaning, and a date and source for each price.

    FILE defaults to cost.yaml. If another file is already there, nothing is written.
    """
    from tritonrepo.flows.cost import init as create

    create(file)
    say(f"+ {file}")
    talk("Next: fill it in, then", f"  tritonrepo cost {shlex.quote(str(file))}")
    return 0
