"""`tritonrepo bench`: a load on a served model; its figures, and whether figures can be true, are subcommands."""

from __future__ import annotations

import click

from tritonrepo.cli import COMMANDS, EXIT_CODES, bench_compare, bench_run, bench_sweep
from tritonrepo.cli.bench_check import check
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


command.add_command(bench_run.command)
command.add_command(bench_sweep.command)
command.add_command(check)
command.add_command(bench_compare.command)
