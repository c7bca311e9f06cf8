"""`tritonrepo bench compare`: what differs between two results, and whether that is certain."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tritonrepo.cli import EXIT_CODES
from tritonrepo.cli.output import concluded, say
from tritonrepo.cli.values import NAMED, Form

if TYPE_CHECKING:
    from tritonrepo.diagnostics import Diagnostic
    from tritonrepo.flows.bench_compare import Compared

EPILOG = f"""\b
Examples:
  tritonrepo bench compare before.json after.json
  tritonrepo bench compare before.json after.json --fail-above 5%
  tritonrepo bench compare a.json b.json --metric "TTFT p99" --format json

{EXIT_CODES}"""


def _share(text: str) -> float:
    """Return the share that a percentage is, 0.05 for 5%."""
    found = re.fullmatch(r"([0-9]{1,4}(?:\.[0-9]{1,6})?) ?%", text.strip())
    if found is None:
        raise ValueError(f'"{text}" is not a percentage, such as 5%')
    return float(found[1]) / 100


def _metric(text: str) -> str:
    from tritonrepo.bench.comparing import NAMES  # imported here to keep `--help` quick
    from tritonrepo.diagnostics import closest

    found = {name.lower(): name for name in NAMES}.get(text.lower())
    if found is None:
        raise ValueError(f'unknown metric "{text}". {closest(text, NAMES).removesuffix(".")}')
    return found


@click.command("compare", epilog=EPILOG, short_help="Compare two results, with intervals.")
@click.argument("before", type=NAMED)
@click.argument("after", type=NAMED)
@click.option(
    "--records-before", type=NAMED, metavar="FILE", help="Requests of BEFORE.  [default: BEFORE's name with .jsonl]"
)
@click.option(
    "--records-after", type=NAMED, metavar="FILE", help="Requests of AFTER.  [default: AFTER's name with .jsonl]"
)
@click.option(
    "--fail-above",
    type=Form("percent", _share),
    metavar="PERCENT",
    help="Exit 1 if AFTER is worse by more than this for certain, or if the conditions make the comparison void.",
)
@click.option(
    "--metric", "metrics", type=Form("metric", _metric), multiple=True, help="Compare only this metric. Repeatable."
)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="Output format.")
def command(
    before: Path,
    after: Path,
    *,
    records_before: Path | None,
    records_after: Path | None,
    fail_above: float | None,
    metrics: tuple[str, ...],
    form: str,
) -> int:
    """Compare two results of bench: each metric, and the bounds between which its difference almost certainly is.

    BEFORE and AFTER are files that `bench --output` has written. Conditions that differ come first, because other
    prompts, another load or another client make a comparison void. Intervals come from the repeats of both runs, or
    else from their requests, if the files of `bench --records` are there. An interval that contains zero is reported as
    no difference.
    """
    from tritonrepo.diagnostics import Severity
    from tritonrepo.flows.bench_compare import File, bench_compare
    from tritonrepo.report.bench import compare as report

    seen: Compared | None = None

    def document(ends: Sequence[Diagnostic]) -> str:
        found, alone, wrong = seen or ((), (), ())
        return report.document(found, alone, [*wrong, *ends])

    with concluded(form, document):
        first, second = File(before, records_before), File(after, records_after)
        seen = bench_compare(first, second, fail_above=fail_above, metrics=metrics)
        if form == "text":
            say(*report.text(seen.comparisons, seen.alone))
    for diagnostic in seen.found:
        say(*diagnostic.lines, err=True)
    return int(any(diagnostic.severity is Severity.ERROR for diagnostic in seen.found))
