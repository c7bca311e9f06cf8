"""The server that a repository is judged for."""

from __future__ import annotations

from dataclasses import dataclass

from tritonrepo.releases import RELEASES, Release, newest


@dataclass(frozen=True, slots=True)
class Target:
    """Release, what its images hold, the machine's GPUs, and whether the server completes configs by itself.

    `in_stack`: a stack file says so, and not the options of a command: hints name what the user can change.
    """

    release: Release
    backends: frozenset[str]
    gpus: int = 1
    auto_complete: bool = True
    in_stack: bool = False

    @property
    def counts_gpus(self) -> str:
        """Where the user says how many GPUs there are."""
        return "gpus in target" if self.in_stack else "--gpus"


def target(
    release: str | None = None, images: tuple[str, ...] = (), *, gpus: int = 1, auto_complete: bool = True
) -> Target:
    """Give a target; without a release the newest, without images the union of the release's."""
    found = RELEASES[release] if release else newest()
    return Target(found, found.backends(images or tuple(found.images)), gpus, auto_complete)
