"""The options that say which models `validate` checks."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import click

from tritonrepo.cli.output import say
from tritonrepo.flows.changed import changed
from tritonrepo.flows.validate import Aim, Judgement, Shown, validate
from tritonrepo.flows.workspace import Workspace


class Scope(NamedTuple):
    """Whether all models are checked, or only those that have changed since a commit, and their callers."""

    since: str | None

    def whole(self, other: str) -> None:
        """Raise a usage error if only a part is checked, which another option cannot be combined with."""
        if self.since is not None:
            raise click.UsageError(f"--changed-since and {other} cannot be combined")

    def judged(self, path: str, work: Workspace, aim: Aim, shown: Shown) -> Judgement:
        """Check a path, and say on stderr how much of it has changed."""
        if self.since is None:
            return validate(path, work, aim, shown)
        found = changed(path, work, self.since, aim, shown)
        models = f"{found.models} of {found.every} model{'' if found.every == 1 else 's'}"
        say(f"{path}: changes since {self.since} concern {models}", err=True)
        return found.judgement


def scope_options(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options; the command receives them as `scope`."""

    @functools.wraps(command)
    def with_scope(*args: Any, changed_since: str | None, **given: Any) -> int:  # noqa: ANN401  click's
        if changed_since == "":
            raise click.UsageError("the commit of --changed-since is empty. Name a branch, tag or commit.")
        return command(*args, scope=Scope(changed_since), **given)

    return click.option(
        "--changed-since",
        metavar="REF",
        help="Check only models that have changed since HEAD left this commit or branch of git, and what calls them.",
    )(with_scope)
