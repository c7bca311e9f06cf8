"""What the subcommands of `deploy` do alike: what they deploy, and how the files are planned, shown and written."""

from __future__ import annotations

import functools
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import click

from tritonrepo.cli.output import colour, painted, say
from tritonrepo.cli.stack import stack_files, workspace
from tritonrepo.cli.targets import RELEASE, aim, server_options
from tritonrepo.cli.values import NAMED, allow_links
from tritonrepo.flows.deployment import Deployment, apply_deploy
from tritonrepo.flows.settled import Aiming
from tritonrepo.flows.workspace import Workspace
from tritonrepo.report import diff as differences
from tritonrepo.report import plan as report

NOT_AGAIN = {"check", "dry_run", "diff", "overwrite", "header"}
"""Options that a file need not repeat: they decide what happens to it, not what is in it. A header can be a secret."""


class Given(NamedTuple):
    """What is deployed: a stack, a directory or a URI, the directory that a stack is built into, and the target."""

    where: str | tuple[Path, ...]
    repository: Path
    target: Aiming
    work: Workspace


class Writing(NamedTuple):
    """The directory of the files, and what is done with the plan for it. `again` is the command with all its values."""

    out: Path
    dry_run: bool
    diff: bool
    check: bool
    overwrite: bool
    again: str

    def done(self, deployment: Deployment) -> int:
        """Print the plan and its warnings, carry it out if it is to be, and return the exit code."""
        out, plan = str(deployment.out), deployment.plan
        for diagnostic in deployment.warnings:
            say(*diagnostic.lines, err=True)
        say(*report.lines(plan.actions, out, plan.kept).split("\n"))
        if self.diff:
            colours = colour(sys.stdout)
            painted(differences.lines(plan.actions, deployment.have, out, colour=colours), colours=colours)
        if not (self.check or self.dry_run):
            apply_deploy(deployment)
        return int(self.check and bool(plan or plan.kept))


def deployed_options(command: Callable[..., int]) -> Callable[..., int]:
    """Add the argument and options that say what is deployed; the command receives them as `given`."""
    return _given(command, server_options)


def generated_options(command: Callable[..., int]) -> Callable[..., int]:
    """Add those that say whose generator is deployed, which needs no image of Triton; the command gets `given`."""
    return _given(command, RELEASE)


def _given(command: Callable[..., int], target: Callable[..., Any]) -> Callable[..., int]:
    @functools.wraps(command)
    def with_given(
        *args: Any,  # noqa: ANN401  click's values
        path: str | None,
        files: tuple[Path, ...],
        repository: Path,
        release: str | None,
        links: tuple[Path, ...],
        image: tuple[str, ...] = (),
        gpus: int | None = None,
        **others: Any,  # noqa: ANN401
    ) -> int:
        if path is not None and files:
            raise click.UsageError("[STACK|DIR|URI] and --file cannot be combined: name every file with --file")
        if path == "":
            raise click.UsageError("[STACK|DIR|URI] is empty")
        given = Given(files or path or ".", repository, aim(release, image, gpus), workspace(links))
        return command(*args, given=given, **others)

    built = click.option(
        "--repository",
        type=NAMED,
        metavar="DIR",
        default=Path("model_repository"),
        help="Directory that the stack is built into.",
    )
    made = stack_files(built(target(allow_links(with_given))))
    return click.argument("path", metavar="[STACK|DIR|URI]", required=False)(made)


def writing_options(out: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Return what adds the options of a directory of files, `out` unless -o names one; the command gets `writing`."""

    def decorated(command: Callable[..., int]) -> Callable[..., int]:
        @functools.wraps(command)
        def with_writing(
            *args: Any,  # noqa: ANN401  click's values
            out: Path,
            dry_run: bool,
            diff: bool,
            check: bool,
            overwrite: bool,
            **others: Any,  # noqa: ANN401
        ) -> int:
            written = Writing(out, dry_run, diff, check, overwrite, again(click.get_current_context()))
            return command(*args, writing=written, **others)

        for option in (
            click.option(
                "--overwrite", is_flag=True, help="Replace files that were changed by hand after they were written."
            ),
            click.option("--check", is_flag=True, help="Write nothing, and exit 1 if anything would change."),
            click.option("--diff", is_flag=True, help="Also print what changes in each file."),
            click.option("--dry-run", is_flag=True, help="Print the plan without writing anything."),
            click.option("-o", "--output", "out", type=NAMED, default=Path(out), help="Directory of the files."),
        ):
            with_writing = option(with_writing)
        return with_writing

    return decorated


def again(ctx: click.Context) -> str:
    """Return the command with every value that was given, for the comment at the top of a file."""
    words = ["tritonrepo", "deploy", ctx.command.name or ""]
    for each in ctx.command.params:
        source = ctx.get_parameter_source(each.name or "")
        value = ctx.params.get(each.name or "")  # common options, such as -q, have been taken out of them
        if value is None or each.name in NOT_AGAIN or source in {None, click.core.ParameterSource.DEFAULT}:
            continue
        for one in value if isinstance(value, tuple) else (value,):
            words += [] if isinstance(each, click.Argument) else [max(each.opts, key=len)]
            words += [] if one is True else [str(one)]
    return shlex.join(words)
