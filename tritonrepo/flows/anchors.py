"""By which path a file is known, however it was named: what fingerprints and settings go by."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from tritonrepo.diagnostics import Diagnostic
from tritonrepo.stores import is_remote


class Anchor(NamedTuple):
    """The absolute directory that paths are relative to; "" for a bucket, whose URIs are known everywhere."""

    top: str

    def held(self, found: Diagnostic) -> Diagnostic:
        """Return a diagnostic with the path that its file is known by."""
        return replace(found, anchored=os.path.relpath(found.at.path, self.top)) if self.top else found


def anchor(path: str) -> Anchor:
    """Return the anchor of a repository or stack file: the top of its git work tree, or else its directory."""
    if is_remote(path):
        return Anchor("")
    home = directory(path)
    return Anchor(str(work_tree(home) or home))


def directory(path: str) -> Path:
    """Return the absolute directory of a repository or stack file on this machine; links on the way stay."""
    try:
        there = Path(os.path.abspath(path))  # noqa: PTH100  resolve() would follow links
    except FileNotFoundError:  # somebody has removed the working directory, so nothing is there
        there = Path(path)
    return there.parent if there.is_file() else there


def work_tree(start: Path) -> Path | None:
    """Return the top of the git work tree that holds a directory; None if no work tree does."""
    return next((each for each in upwards(start) if os.path.lexists(each / ".git")), None)


def upwards(start: Path) -> Iterator[Path]:
    """Yield a directory and those above it."""
    yield start
    yield from start.parents
