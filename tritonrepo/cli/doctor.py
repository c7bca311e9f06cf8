"""`tritonrepo doctor`: what commands need on this machine, and how to get it."""

from __future__ import annotations

from pathlib import Path

import click

from tritonrepo.cli import COMMANDS, EXIT_CODES
from tritonrepo.cli.output import concluded, say
from tritonrepo.cli.stack import workspace
from tritonrepo.cli.values import NAMED
from tritonrepo.flows.checks import Check, State
from tritonrepo.flows.doctor import Examination, doctor
from tritonrepo.report import doctor as report

EPILOG = f"""\b
Examples:
  tritonrepo doctor
  tritonrepo doctor --network
  tritonrepo doctor --runtime /usr/bin/python3 --format json

{EXIT_CODES}"""


@click.command(epilog=EPILOG, short_help=COMMANDS["doctor"])
@click.option(
    "--runtime",
    type=NAMED,
    metavar="PYTHON",
    help="Python interpreter that hosts the models, if not the current one.",
)
@click.option("--network", is_flag=True, help="Also connect to the package index, the Hub and the bucket's endpoint.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="Output format.")
def command(*, runtime: Path | None, network: bool, form: str) -> int:
    """Check what commands need on this machine: Python, packages, disks, memory, ports, Docker, GPUs, the stack file.

    Each line says what was seen; below what is wrong is the next step. What is absent is needed only by some users. Of
    credentials, only names are shown. The exit code is 1 if a check is an error. Nothing is changed, and without
    --network, nothing outside this machine is called.
    """
    checks: tuple[Check, ...] = ()
    with concluded(form, lambda ends: report.document([each._asdict() for each in checks], ends)):
        checks = doctor(workspace(()), Examination(runtime, network))
        if form == "text":
            say(*report.text([each._asdict() for each in checks]))
    return int(any(each.state is State.ERROR for each in checks))
