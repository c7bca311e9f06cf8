"""How `validate` checks each PATH: as a manifest, as stdin, or as a repository or a stack."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import click

from tritonrepo.cli.changes import Scope
from tritonrepo.cli.checking import once
from tritonrepo.cli.collecting import uncollected
from tritonrepo.cli.stdin import STDIN, UNNAMED, Stdin
from tritonrepo.flows.manifest_paths import may_be
from tritonrepo.flows.settled import Judge
from tritonrepo.flows.validate import Aim, Judgement, Shown
from tritonrepo.flows.workspace import Workspace

if TYPE_CHECKING:
    from tritonrepo.flows.manifests import Together

stack_option = click.option(
    "--stack",
    metavar="PATH",
    help="Check manifests against this stack or repository, which their Triton serves: a file, a directory or a URI.",
)


class How(NamedTuple):
    """What a PATH is called, what checks it, and whether only a part of it is checked."""

    name: str
    judge: Judge
    partly: bool


class Served(NamedTuple):
    """The stack or repository that manifests serve, and the GPUs that there are for them, None if not known."""

    stack: str | None
    gpus: int | None


class Given:
    """Each PATH of a command once, and the manifests among them, which are checked together.

    What reads manifests is only imported if there may be some.
    """

    def __init__(self, paths: Sequence[str], stdin: Stdin, scope: Scope, work: Workspace, served: Served) -> None:
        self.paths = once(paths)
        self._stdin, self._scope = stdin, scope
        files = [path for path in self.paths if path != STDIN]
        self._together = self._read(files, work, served) if STDIN in self.paths or any(map(may_be, files)) else None
        if served.stack == "":
            raise click.UsageError("--stack requires a path or a URI, and is empty")
        if served.stack is not None and not any(map(self._has, self.paths)):
            raise click.UsageError("--stack requires a manifest as PATH")

    def _read(self, files: Sequence[str], work: Workspace, served: Served) -> Together:
        from tritonrepo.flows.manifests import Against, Together

        against = Against(*served, whole=not self._scope.files)
        with uncollected():
            return Together(files, work.links, self._stdin.given(self.paths), against)

    def without(self, option: str | None) -> Given:
        """Return this; raise a usage error for an option that is not for manifests, unless changed files are given."""
        manifests = self._together.paths if self._together is not None else ()
        named = manifests if option is not None and not self._scope.files else ()
        if named:
            message = f"{option} is for repositories and stacks, and {named[0]} is a manifest: leave one of them out"
            raise click.UsageError(message)
        return self

    @property
    def others(self) -> tuple[str, ...]:
        """Each PATH that names no manifest."""
        return tuple(path for path in self.paths if not self._has(path))

    def _has(self, path: str) -> bool:
        """Return whether a PATH names manifests."""
        return self._together is not None and self._together.has(self._named(path))

    def _named(self, path: str) -> str:
        """Return what a PATH is called among the manifests."""
        return self._stdin.place or UNNAMED if path == STDIN else path

    def each(self, check: Judge) -> Iterator[How]:
        """Yield how each PATH is checked; `check` is for repositories and stacks."""
        return (self._how(path, check) for path in self.paths)

    def _how(self, path: str, check: Judge) -> How:
        if self._together is not None and self._together.has(self._named(path)):
            return How(self._named(path), partial(self._manifests, self._together), self._scope.partly)
        if path == STDIN:
            return How(self._stdin.name(path), self._stdin.judged, partly=True)
        return How(path, check, self._scope.partly)

    def _manifests(self, together: Together, path: str, work: Workspace, aim: Aim, shown: Shown) -> Judgement:
        found = together.judged(path, work, aim, shown)
        return found if self._scope.touches(path, together.files(path)) else found.none
