"""The options that say which findings `validate` shows, and which of them make it fail."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import click

from tritonrepo.cli.selecting import selected
from tritonrepo.diagnostics import Severity
from tritonrepo.flows.settled import Wanted


class Sifting(NamedTuple):
    """Which rules' findings are shown, and the severities with which the exit code is 1."""

    wanted: Wanted
    bad: frozenset[Severity]


def sifting_options(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options; the command receives them as `sifting`."""

    @functools.wraps(command)
    def with_sifting(  # click passes the options by name
        *args: Any,  # noqa: ANN401
        select: tuple[str, ...],
        ignore: tuple[str, ...],
        strict: bool,
        verbose: bool,
        **given: Any,  # noqa: ANN401
    ) -> int:
        bad = {Severity.ERROR, Severity.FATAL, *([Severity.WARNING] if strict else [])}
        return command(*args, sifting=Sifting(selected(select, ignore, verbose=verbose), frozenset(bad)), **given)

    for option in (
        click.option("-v", "--verbose", is_flag=True, help="Also show findings of severity info."),
        click.option("--strict", is_flag=True, help="Also exit 1 for warnings."),
        click.option(
            "--ignore", multiple=True, metavar="RULE,…", help="Hide findings of these rules or families. Repeatable."
        ),
        click.option(
            "--select",
            multiple=True,
            metavar="RULE,…",
            help="Show only findings of these rules or families. Repeatable.",
        ),
    ):
        with_sifting = option(with_sifting)
    return with_sifting
