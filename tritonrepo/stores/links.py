"""Links that lead where nobody has said that they may: out of a repository, a source, or a stack file's directory."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from tritonrepo.diagnostics import Diagnostic, Severity, Span, Stop, fatal
from tritonrepo.stores.walk import is_in
from tritonrepo.tree import HOW_TO_ALLOW, Outside, Tree

RULE = "store-link"


def leaving(tree: Tree, where: str) -> Iterator[Diagnostic]:
    """Yield a fatal diagnostic for each link that leads out of a scanned directory."""
    for path, entry in tree.items():
        if isinstance(entry, Outside):
            message = f"this links to {entry.target}, outside {where}"
            yield Diagnostic(RULE, Severity.FATAL, Span(f"{where.rstrip('/')}/{path}"), message, HOW_TO_ALLOW)


def kept(tree: Tree, where: str) -> Tree:
    """Return the tree; raise Stop where links lead out of it."""
    if found := [*leaving(tree, where)]:
        raise Stop(found)
    return tree


def inside(path: Path, directory: Path, allowed: Sequence[Path], at: Span | None = None) -> Path:
    """Return a path; raise Stop where it lies in a directory by its text, and a link on it leads out of that.

    A path that says itself that it leads elsewhere is what its writer means. `at` is where the path is named.
    """
    above, below = (os.path.normpath(directory.absolute()), os.path.normpath(path.absolute()))
    there = os.path.realpath(path)
    roots = [os.path.realpath(each) for each in (directory, *allowed)]
    if is_in(below, above) and not any(is_in(there, root) for root in roots):
        raise fatal(
            RULE, at or str(path), f"a link leads from {path} out of {directory}, and is not followed", HOW_TO_ALLOW
        )
    return path
