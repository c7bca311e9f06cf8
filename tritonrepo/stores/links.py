"""Links that lead where they are not allowed to: out of a repository, a source, or a stack file's directory."""

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
            message = f"the link points to {entry.target}, outside {where}"
            yield Diagnostic(RULE, Severity.FATAL, Span(f"{where.rstrip('/')}/{path}"), message, HOW_TO_ALLOW)


def kept(tree: Tree, where: str) -> Tree:
    """Return the tree; raise Stop if links lead out of it."""
    if found := [*leaving(tree, where)]:
        raise Stop(found)
    return tree


def inside(path: Path, directory: Path, allowed: Sequence[Path], at: Span | None = None) -> Path:
    """Return a path; raise Stop if its text is inside a directory, but a link on it leads out of the directory.

    A path whose text leads elsewhere is what its author means. `at` is where the path is named.
    """
    above, below = (os.path.normpath(directory.absolute()), os.path.normpath(path.absolute()))
    there = os.path.realpath(path)
    roots = [os.path.realpath(each) for each in (directory, *allowed)]
    if is_in(below, above) and not any(is_in(there, root) for root in roots):
        message = f"{path} leads out of {directory} through a link, which is not followed"
        raise fatal(RULE, at or str(path), message, HOW_TO_ALLOW)
    return path
