"""Fixes to any file of a repository or stack, applied to a tree. Pure: a file is read, and nothing is written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, assert_never

from tritonrepo.diagnostics import Create, FileChange, Fix, Move, Remove, Replacement
from tritonrepo.tree import Directory, Entry, File, Tree, in_order, of_bytes, of_text, parents


class Write(NamedTuple):
    """A file gets another content."""

    path: str
    content: bytes


Step = Write | FileChange
"""What is done to a directory, in order, so that it has what a tree has once fixes are applied."""


class Applied(NamedTuple):
    """What is done, in order; the fixes that are applied by that, and those that could not be with the others."""

    steps: tuple[Step, ...]
    done: tuple[Fix, ...]
    left: tuple[Fix, ...]


class _Cut(NamedTuple):
    """A replacement by offsets: bytes `start` to `end` of the file become `text`."""

    path: str
    start: int
    end: int
    text: bytes

    def meets(self, other: _Cut) -> bool:
        """Whether both would write the same bytes, or insert something at the same place, in an undefined order."""
        overlap = self.start < other.end and other.start < self.end
        return self.path == other.path and (overlap or self.start == other.start)


def applied(tree: Tree, fixes: Iterable[Fix]) -> Applied:
    """Apply fixes in their order, each completely; one that meets an earlier one, or whose place is missing, is left.

    What is left may fit once the others are applied: the next run, on the new tree, decides that.
    """
    contents: dict[str, bytes] = {}
    cuts: list[_Cut] = []
    changes: list[FileChange] = []
    done: list[Fix] = []
    left: list[Fix] = []
    there = _There(tree)
    for fix in fixes:
        own = _cuts(tree, contents, fix)
        rivals = own is None or any(_rival(cut, [*cuts, *own[:number]]) for number, cut in enumerate(own))
        if own is None or rivals or not _possible(there, fix.files, changes, (cuts, own)):
            left.append(fix)
        else:
            cuts += own
            changes += fix.files
            done.append(fix)
    cuts_of: dict[str, list[_Cut]] = {}
    for cut in cuts:
        cuts_of.setdefault(cut.path, []).append(cut)
    writes = (Write(path, _spliced(contents[path], found)) for path, found in cuts_of.items())
    return Applied((*writes, *changes), tuple(done), tuple(left))


def after(tree: Tree, steps: Iterable[Step]) -> dict[str, Entry]:
    """Return the tree that a scan would return after these steps; files that only move keep their entries."""
    there = _There(tree)
    for step in steps:
        match step:
            case Write(path, content):
                there.put({path: of_bytes(content)})
            case Move(path, to):
                there.put({to + name.removeprefix(path): entry for name, entry in there.take(path).items()})
            case Create(path, text):
                there.put({path: Directory() if text is None else of_text(text)})
            case Remove(path):
                there.take(path)
            case _:
                assert_never(step)
    return there.tree()


class _There:
    """A tree that changes; its entries by the directory at its top, because a change looks only at one or two."""

    def __init__(self, tree: Tree) -> None:
        self._tops: dict[str, dict[str, Entry]] = {}
        for path, entry in tree.items():
            self._top(path)[path] = entry

    def _top(self, path: str) -> dict[str, Entry]:
        return self._tops.setdefault(path.partition("/")[0], {})

    def tree(self) -> dict[str, Entry]:
        """Return the tree as it is now."""
        return dict(in_order({path: entry for entries in self._tops.values() for path, entry in entries.items()}))

    def exists(self, path: str) -> bool:
        """Return whether a file or directory is at this path."""
        entries = self._top(path)
        return path in entries or any(each.startswith(f"{path}/") for each in entries)

    def free(self, path: str) -> bool:
        """Return whether nothing is at a path, and only directories are above it."""
        entries = self._top(path)
        above = (entries.get(each, Directory()) for each in parents(path))
        return not self.exists(path) and all(isinstance(entry, Directory) for entry in above)

    def take(self, path: str) -> dict[str, Entry]:
        """Remove what is at a path, and return it; a directory that becomes empty is an entry."""
        entries, above = self._top(path), parents(path)
        taken = {each: entries.pop(each) for each in [*entries] if _within(each, path)}
        if above and not self.exists(above[0]):
            entries[above[0]] = Directory()
        return taken

    def put(self, new: Mapping[str, Entry]) -> None:
        """Add entries; a directory with something in it is no entry."""
        for path, entry in new.items():
            entries = self._top(path)
            entries[path] = entry
            for above in parents(path):
                entries.pop(above, None)


def _cuts(tree: Tree, contents: dict[str, bytes], fix: Fix) -> list[_Cut] | None:
    """Return the fix's replacements by offsets, and keep what was read; None if a place is missing."""
    cuts: list[_Cut] = []
    for each in fix.replacements:
        path = each.at.path
        entry = tree.get(path)
        if not isinstance(entry, File):
            return None
        if path not in contents:
            contents[path] = entry.content()
        cut = _cut(contents[path], each)
        if cut is None:
            return None
        cuts.append(cut)
    return cuts


def _rival(cut: _Cut, taken: Iterable[_Cut]) -> bool:
    return any(cut.meets(other) for other in taken)


def _possible(
    there: _There,
    own: Sequence[FileChange],
    taken: Sequence[FileChange],
    cuts: tuple[Sequence[_Cut], Sequence[_Cut]],
) -> bool:
    """Return whether the changes find what they need, and neither each other nor a file that another fix writes.

    `cuts` are those of the fixes that are taken, and of this one, which may move a file that it writes.
    """
    others, mine = cuts
    touched = [path for change in taken for path in _paths(change)]
    if any(_meet(path, cut.path) for path in touched for cut in mine):
        return False
    for change in own:
        paths = _paths(change)
        if any(_meet(path, other) for path in paths for other in touched):
            return False
        if any(_meet(path, cut.path) for path in paths for cut in others) or not _fits(there, change):
            return False
        touched += paths
    return True


def _fits(there: _There, change: FileChange) -> bool:
    match change:
        case Move(path, to):
            return there.exists(path) and there.free(to)
        case Create(path, _):
            return there.free(path)
        case Remove(path):
            return there.exists(path)


def _paths(change: FileChange) -> list[str]:
    return [change.path, change.to] if isinstance(change, Move) else [change.path]


def _within(path: str, other: str) -> bool:
    return path == other or path.startswith(f"{other}/")


def _meet(path: str, other: str) -> bool:
    return _within(path, other) or _within(other, path)


def _cut(content: bytes, replacement: Replacement) -> _Cut | None:
    """Return a replacement by offsets; None if the file does not have its place."""
    at = replacement.at
    start, end = _offset(content, at.line, at.column), _offset(content, at.end_line, at.end_column)
    if start is None or end is None or end < start:
        return None
    return _Cut(at.path, start, end, replacement.text.encode("utf-8", "surrogateescape"))


def _offset(content: bytes, line: int, column: int) -> int | None:
    """Return the offset of a place, whose column counts characters; None if it does not exist."""
    lines = content.split(b"\n")
    if not (0 < line <= len(lines) and column > 0):
        return None
    text = lines[line - 1].decode("utf-8", "surrogateescape")
    if column > len(text) + 1:
        return None
    return sum(len(each) + 1 for each in lines[: line - 1]) + len(text[: column - 1].encode("utf-8", "surrogateescape"))


def _spliced(content: bytes, cuts: Sequence[_Cut]) -> bytes:
    pieces, at = [], 0
    for cut in sorted(cuts, key=lambda cut: cut.start):
        pieces += [content[at : cut.start], cut.text]
        at = cut.end
    return b"".join([*pieces, content[at:]])
