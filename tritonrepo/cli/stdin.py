"""What `validate -` reads from stdin: manifests, or a config and the path of the file that it stands in for."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import click

from tritonrepo.diagnostics import fatal
from tritonrepo.flows.unsaved import around, unsaved
from tritonrepo.flows.validate import Aim, Judgement, Shown
from tritonrepo.flows.workspace import Workspace
from tritonrepo.repository import CONFIG_BYTES

STDIN = "-"
OPTION = "--stdin-path"
UNNAMED = "stdin"
"""What manifests from stdin are called if no path is given."""


@dataclass(frozen=True)
class Stdin:
    """The path that stdin stands in for; None if none is given."""

    place: str | None

    def agrees(self, paths: Sequence[str]) -> bool:
        """Return whether stdin is read; raise a usage error if `-` is missing, or if stdin cannot be read."""
        if STDIN not in paths and self.place is not None:
            raise click.UsageError(f"{OPTION} requires {STDIN} as PATH")
        if STDIN in paths and (sys.stdin is None or sys.stdin.isatty()):
            what = "closed" if sys.stdin is None else "a terminal"
            how = f"the config, as in `< {self.place}`" if self.place else "manifests, as in `< all.yaml`"
            raise click.UsageError(f"stdin is {what}: redirect {how}")
        return STDIN in paths

    def absent(self) -> None:
        """Raise a usage error for `--upgrade-to` of a config alone."""
        if self.place is not None:
            raise click.UsageError("--upgrade-to needs the files of a repository, not a config from stdin")

    def name(self, path: str) -> str:
        """Return what a path is called in documents, settings and baselines: for stdin, the repository around it."""
        return around(self.place) if path == STDIN and self.place is not None else path

    def given(self, paths: Sequence[str]) -> Mapping[str, bytes]:
        """Return the path that stdin stands in for with the text, if stdin is read."""
        return {self.place or UNNAMED: self.text} if STDIN in paths else {}

    @cached_property
    def text(self) -> bytes:
        """What stdin has; raise Stop if it cannot be read."""
        try:
            return sys.stdin.buffer.read(CONFIG_BYTES + 1)
        except OSError as error:
            message = f"stdin cannot be read: {error.strerror or error}"
            raise fatal("input-access", self.place or UNNAMED, message, "Redirect a config.pbtxt to it.") from None

    def judged(self, _path: str, work: Workspace, aim: Aim, shown: Shown) -> Judgement:
        """Check the config that stdin has, for `-` as path."""
        if self.place is None:
            if not self.text.strip():
                raise click.UsageError("stdin is empty: the command that should write manifests to it may have failed")
            message = f"stdin does not hold a Kubernetes manifest; for a config.pbtxt, add {OPTION} with its path"
            raise click.UsageError(message)
        return unsaved(self.text, self.place, work, aim, shown)


def stdin_option(command: Callable[..., int]) -> Callable[..., int]:
    """Add the option; the command receives it as `stdin`."""

    @functools.wraps(command)
    def with_stdin(*args: Any, stdin_path: str | None, **given: Any) -> int:  # noqa: ANN401  click's
        return command(*args, stdin=Stdin(stdin_path), **given)

    return click.option(
        OPTION, metavar="PATH", help="Path of the config.pbtxt or manifest that is read from stdin, for `-` as PATH."
    )(with_stdin)
