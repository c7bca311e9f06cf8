"""`tritonrepo bench check`: whether the figures of a table can be true."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from tritonrepo.cli import EXIT_CODES
from tritonrepo.cli.bench_facts import facts_options
from tritonrepo.cli.output import document, say
from tritonrepo.diagnostics import Diagnostic, Stop

EPILOG = f"""\b
Examples:
  tritonrepo bench check examples/models/seed/benchmark.csv --concurrency 32
  tritonrepo bench check profile_export_aiperf.json --gpu H100 --weights 16GB
  tritonrepo bench check result.json --format json

{EXIT_CODES}"""

STDIN = "-"


@click.command("check", epilog=EPILOG, short_help="Judge whether the figures of a table can be true.")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@facts_options
@click.option(
    "--format", "form", type=click.Choice(["text", "json", "github"]), default="text", help="Form of the result."
)
def check(files: tuple[str, ...], *, form: str, **stated: Any) -> int:  # noqa: ANN401  the options of facts_options
    """Judge whether the figures of a table can be true together, by arithmetic and by what hardware allows.

    FILE is a result of `tritonrepo bench`, of aiperf, genai-perf, `vllm bench serve` or SGLang's bench_serving, the
    text that these print, or a CSV or Markdown table whose headings name figures; `-` is stdin. Each row is judged by
    every check for which it says enough, and both sides of each are printed. Options state what the tables do not.

    The exit code is 1 if something cannot be true.
    """
    from tritonrepo.cli.bench_facts import facts
    from tritonrepo.flows import bench_check
    from tritonrepo.report import bench_check as report  # imported here to keep `--help` quick

    rows: Sequence[bench_check.Judged] = ()
    ends: Sequence[Diagnostic] = ()
    try:
        rows = bench_check.check([_given(path) for path in files], facts(**stated))
    except Stop as stop:
        ends = stop.diagnostics
        raise
    finally:
        _print(report, form, rows, [*bench_check.found(rows), *ends])
    return int(not all(row.possible for row in rows))


def _given(path: str) -> tuple[str, bytes | None]:
    if path != STDIN:
        return path, None
    if sys.stdin is None or sys.stdin.isatty():
        raise click.UsageError("stdin is closed or a terminal: redirect a table, as in `< table.csv`")
    from tritonrepo.bench.tables import LARGEST

    return "stdin", sys.stdin.buffer.read(LARGEST + 1)


def _print(report: Any, form: str, rows: Sequence[Any], found: Sequence[Diagnostic]) -> None:  # noqa: ANN401  a module
    from tritonrepo.report import github

    if form == "json":
        document(report.document(rows, found))
    elif form == "github":
        document("\n".join(github.commands(found)))
    elif rows:
        say(*report.text(rows, found))
