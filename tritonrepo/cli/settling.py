"""The options that say which settings apply, and which findings are known."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from tritonrepo.cli.files import WRITTEN
from tritonrepo.cli.output import talk
from tritonrepo.cli.values import NAMED
from tritonrepo.diagnostics import counted
from tritonrepo.flows.settings import Source
from tritonrepo.flows.settled import Plan, Settled


def ended(settled: Settled, plan: Plan) -> None:
    """Write the baseline if the run writes one, and say so on stderr."""
    count = settled.end()
    if plan.rewritten is not None:
        talk(f"{plan.rewritten}: {counted(count, 'finding')} in the baseline")


def unused(plan: Plan, other: str) -> None:
    """Raise a usage error for a baseline, which another option cannot be combined with."""
    for option, file in (("--write-baseline", plan.rewritten), ("--baseline", plan.baseline)):
        if file is not None:
            raise click.UsageError(f"{other} and {option} cannot be combined")


def settling_options(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options; the command receives them as `plan`."""

    @functools.wraps(command)
    def with_plan(  # click passes the options by name
        *args: Any,  # noqa: ANN401
        config: Path | None,
        isolated: bool,
        baseline: Path | None,
        write_baseline: Path | None,
        **given: Any,  # noqa: ANN401
    ) -> int:
        if config is not None and isolated:
            raise click.UsageError("--config and --isolated cannot be combined")
        if baseline is not None and write_baseline is not None:
            raise click.UsageError("--baseline and --write-baseline cannot be combined")
        return command(*args, plan=Plan(Source(config, isolated), baseline, write_baseline), **given)

    for option in (
        click.option(
            "--write-baseline",
            type=WRITTEN,
            metavar="FILE",
            help="Write a baseline that holds all findings of this run.",
        ),
        click.option(
            "--baseline",
            type=NAMED,
            metavar="FILE",
            help="Hide the findings in this baseline.  [default: from settings]",
        ),
        click.option("--isolated", is_flag=True, help="Use no settings."),
        click.option(
            "--config",
            type=NAMED,
            metavar="FILE",
            help="Settings.  [default: the nearest .tritonrepo.toml in PATH or above it]",
        ),
    ):
        with_plan = option(with_plan)
    return with_plan
