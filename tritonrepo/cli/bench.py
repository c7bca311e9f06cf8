"""`tritonrepo bench`: a load on a served model; its figures, and whether figures can be true, are subcommands."""

from __future__ import annotations

import click

from tritonrepo.cli import COMMANDS, EXIT_CODES
from tritonrepo.cli.defaulting import Defaulting

EPILOG = f"""\b
Examples:
  tritonrepo bench grpc://127.0.0.1:8001/rag --concurrency 8
  tritonrepo bench sweep http://127.0.0.1:8000/v2/models/rag/generate_stream --slo ttft=500
  tritonrepo bench check table.csv
  tritonrepo bench compare before.json after.json

{EXIT_CODES}"""


@click.group(cls=Defaulting, default="run", short_help=COMMANDS["bench"], epilog=EPILOG)
def command() -> None:
    """Send a load to a served model and measure it, or judge figures that somebody else has measured.

    `tritonrepo bench TARGET` is short for `tritonrepo bench run TARGET`. Figures that cannot be true together are
    marked, and the exit code is 1.
    """
