"""The options that say which models `validate` checks."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from tritonrepo.cli.output import talk
from tritonrepo.diagnostics import counted
from tritonrepo.flows.validate import Aim, Judgement, Shown, validate
from tritonrepo.flows.workspace import Workspace

if TYPE_CHECKING:
    from tritonrepo.flows.changed import How
    from tritonrepo.sources.changes import Changes


class Scope:
    """What is checked: all of each PATH, what has changed in it since a commit, or what changed files belong to.

    For the first, nothing is imported that asks git or reads stacks. `again`: also what is known to be clean.
    """

    def __init__(self, since: str | None, *, files: bool, again: bool) -> None:
        self.since, self.files, self.again = since, files, again
        self._found: Changes | None = None

    @property
    def partly(self) -> bool:
        """Whether only a part of each repository is checked."""
        return self.files or self.since is not None

    def whole(self, other: str) -> None:
        """Raise a usage error if only a part is checked, which another option cannot be combined with."""
        if self.partly:
            name = "--files" if self.files else "--changed-since"
            raise click.UsageError(f"{name} and {other} cannot be combined")

    def paths(self, given: Sequence[str], default: Sequence[str]) -> Sequence[str]:
        """Return the repositories and stacks to check."""
        if not self.files:
            return given or default
        from tritonrepo.flows.changed_files import belonging, named_files
        from tritonrepo.flows.manifests import manifests_of

        self._found = named_files(given, self.since)
        found = [*belonging(self._found), *manifests_of(given)]
        if not found:
            talk("the changed files belong to no model, stack or manifest")
        return found

    def touches(self, path: str, files: Sequence[str]) -> bool:
        """Return whether a change since the commit concerns these files of a path; True if all is checked."""
        if self.since is None or self.files:
            return True
        from tritonrepo.sources.changes import changes, named

        return named(files, changes(path, self.since))

    def judged(self, path: str, work: Workspace, aim: Aim, shown: Shown) -> Judgement:
        """Check a path, and say on stderr how much of it is checked if that is not all of it."""
        if not self.partly:
            return validate(path, work, aim, shown)
        from tritonrepo.flows.changed import How

        return self.concerned(path, work, How(aim, shown))

    def concerned(self, path: str, work: Workspace, how: How) -> Judgement:
        """Check a path in another way, in which the files of the models can be changed."""
        if not self.partly:
            return how.judged(path, work)
        from tritonrepo.flows.changed import changed
        from tritonrepo.flows.changed_files import changed_files

        if self._found is not None:
            what, found = "the changed files", changed_files(path, work, self._found, how)
        else:
            what, found = f"changes since {self.since}", changed(path, work, str(self.since), how)
        talk(f"{path}: {what} concern {found.models} of {counted(found.every, 'model')}")
        return found.judgement


def scope_options(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options; the command receives them as `scope`."""

    @functools.wraps(command)
    def with_scope(*args: Any, changed_since: str | None, files: bool, no_cache: bool, **given: Any) -> int:  # noqa: ANN401  click's
        if changed_since == "":
            raise click.UsageError("the commit of --changed-since is empty. Name a branch, tag or commit.")
        return command(*args, scope=Scope(changed_since, files=files, again=no_cache), **given)

    for option in (
        click.option(
            "--no-cache",
            is_flag=True,
            help="Check every model again, also those in which an earlier run found nothing and that have not changed"
            " since.",
        ),
        click.option(
            "--files",
            is_flag=True,
            help="Take each PATH for a changed file, and check only the models and stacks that these files belong to."
            " A manifest is checked itself. With --changed-since, files that were deleted since then count as well.",
        ),
        click.option(
            "--changed-since",
            metavar="REF",
            help="Check only models that have changed since HEAD left this commit or branch of git, and what calls"
            " them.",
        ),
    ):
        with_scope = option(with_scope)
    return with_scope
