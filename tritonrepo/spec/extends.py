"""The stack files that a stack is made of, in the order in which they are merged: `extends` names earlier ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from tritonrepo.diagnostics import Faults, Span, fatal
from tritonrepo.spec.compose import interpolate
from tritonrepo.spec.nodes import Items, Keys, Node, Scalar, parse

RULE = "stack-extends"
KEY = "extends"
MOST = 50
"""Maximum number of files that a stack is made of."""

Opened = Callable[[str, Span], tuple[str, bytes]]
"""Returns the path and the content of the file that `extends` names at this place; raises Stop if it cannot be read."""


def nowhere(name: str, at: Span) -> tuple[str, bytes]:
    """Raise Stop: the stack was given as text alone."""
    raise fatal(RULE, at, f'"{name}" cannot be extended because only the text of this stack is known', "Use its path.")


def files(texts: Sequence[tuple[str, bytes]], variables: Mapping[str, str], opened: Opened) -> list[Keys]:
    """Return the top of each stack file, without `extends`: those of `texts` in order, each after what it extends.

    A file that is extended twice counts once, where it is first needed. Raise Stop with everything that is wrong.
    """
    found = _Files(variables, opened)
    for path, content in texts:
        found.add(path, content, ())
    found.faults.stop()
    return found.nodes


class _Files:
    """A walk from each file to those that it extends."""

    def __init__(self, variables: Mapping[str, str], opened: Opened) -> None:
        self.variables = variables
        self.opened = opened
        self.faults = Faults()
        self.nodes: list[Keys] = []
        self.seen: set[str] = set()

    def add(self, path: str, content: bytes, above: tuple[str, ...]) -> None:
        """Add the files that a file extends, then the file."""
        self.seen.add(path)
        node = self.faults.tried(partial(parse, content, path), None)
        if node is None:
            return
        bases: list[tuple[str, Span]] = self.faults.tried(lambda: [*_named(node, self.variables)], [])
        for name, at in bases:
            self.faults.tried(partial(self.extend, name, at, (*above, path)), None)
        self.nodes.append(Keys(node.at, {name: value for name, value in node.keys.items() if name != KEY}))

    def extend(self, name: str, at: Span, above: tuple[str, ...]) -> None:
        """Add a file that is extended at this place, if it is not there yet."""
        if len(self.seen) >= MOST:
            raise fatal(RULE, at, f"the stack extends more than {MOST} files", "Merge some of them.")
        path, content = self.opened(name, at)
        if path in above:
            circle = " → ".join((*above[above.index(path) :], path))
            raise fatal(RULE, at, f"the file extends itself: {circle}", "Remove one of these files from extends.")
        if path not in self.seen:
            self.add(path, content, above)


def _named(node: Keys, variables: Mapping[str, str]) -> Iterator[tuple[str, Span]]:
    """Yield the paths that `extends` names, and where."""
    if KEY not in node.keys:
        return
    value = interpolate(node.keys[KEY][1], variables)
    for each in value.items if isinstance(value, Items) else (value,):
        yield _path(each), each.at


def _path(node: Node) -> str:
    if not isinstance(node, Scalar) or node.kind == "null" or not node.text.strip():
        raise fatal(RULE, node.at, f'"{KEY}" must be a path or a list of paths', f"Write `{KEY}: base.yaml`.")
    if "://" in node.text:
        raise fatal(
            RULE, node.at, f'"{KEY}" must be a path, not the URI "{node.text}"', "Copy the file next to this one."
        )
    return node.text
