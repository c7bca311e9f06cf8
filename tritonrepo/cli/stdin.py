"""The config that `validate -` reads from stdin, and the path of the file that it stands in for."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import click

from tritonrepo.diagnostics import fatal
from tritonrepo.flows.unsaved import around, unsaved
from tritonrepo.flows.validate import Aim, Judgement, Shown
from tritonrepo.flows.workspace import Workspace
from tritonrepo.repository import CONFIG_BYTES

STDIN = "-"
OPTION = "--stdin-path"


class Stdin(NamedTuple):
    """The path that stdin stands in for; None if it is not read."""

    place: str | None

    def agrees(self, paths: Sequence[str]) -> bool:
        """Return whether stdin is read; raise a usage error if `-` or its path is missing, or it cannot be read."""
        if self.place is None and STDIN in paths:
            raise click.UsageError(f"{STDIN} requires {OPTION}, the path that the config has or will have")
        if self.place is not None and STDIN not in paths:
            raise click.UsageError(f"{OPTION} requires {STDIN} as PATH")
        if self.place is not None and (sys.stdin is None or sys.stdin.isatty()):
            what = "closed" if sys.stdin is None else "a terminal"
            raise click.UsageError(f"stdin is {what}: redirect the config, as in `< {self.place}`")
        return self.place is not None

    def absent(self) -> None:
        """Raise a usage error for `--upgrade-to` of a config alone."""
        if self.place is not None:
            raise click.UsageError("--upgrade-to needs the files of a repository, not a config from stdin")

    def name(self, path: str) -> str:
        """Return what a path is called in documents, settings and baselines: for stdin, the repository around it."""
        return around(self.place) if path == STDIN and self.place is not None else path

    def judged(self, _path: str, work: Workspace, aim: Aim, shown: Shown) -> Judgement:
        """Check what stdin has, for `-` as path; raise Stop if it cannot be read."""
        assert self.place is not None  # noqa: S101  `agrees` has seen to it
        try:
            content = sys.stdin.buffer.read(CONFIG_BYTES + 1)
        except OSError as error:
            message = f"stdin cannot be read: {error.strerror or error}"
            raise fatal("input-access", self.place, message, "Redirect a config.pbtxt to it.") from None
        return unsaved(content, self.place, work, aim, shown)


def stdin_option(command: Callable[..., int]) -> Callable[..., int]:
    """Add the option; the command receives it as `stdin`."""

    @functools.wraps(command)
    def with_stdin(*args: Any, stdin_path: str | None, **given: Any) -> int:  # noqa: ANN401  click's
        return command(*args, stdin=Stdin(stdin_path), **given)

    return click.option(
        OPTION, metavar="PATH", help="Path of the config.pbtxt that is read from stdin, for `-` as PATH."
    )(with_stdin)
