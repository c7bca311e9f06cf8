"""Fixes to any file of a repository or stack, applied to a tree. Pure: a file is read, and nothing is written."""

from __future__ import annotations

import re
from bisect import bisect
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, assert_never

from tritonrepo.diagnostics import Create, FileChange, Fix, Move, Remove, Replacement
from tritonrepo.tree import Directory, Entry, File, Tree, in_order, meet, of_bytes, of_text, parents


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
        return (self.start < other.end and other.start < self.end) or self.start == other.start


def applied(tree: Tree, fixes: Iterable[Fix]) -> Applied:
    """Apply fixes in their order, each completely; one that meets an earlier one, or whose place is missing, is left.

    What is left may fit once the others are applied: the next run, on the new tree, decides that.
    """
    taken, done, left = _Taken(tree), list[Fix](), list[Fix]()
    for fix in fixes:
        (done if taken.take(fix) else left).append(fix)
    return Applied((*taken.writes(), *taken.changes), tuple(done), tuple(left))


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
    """A tree that changes; its entries by the directory at its top, because a change looks only at one or two.

    Of each directory, the number of entries in it is known.
    """

    def __init__(self, tree: Tree) -> None:
        self._tops: dict[str, dict[str, Entry]] = {}
        self._held = Counter[str]()
        for path, entry in tree.items():
            self._top(path)[path] = entry
            self._held.update(parents(path))

    def _top(self, path: str) -> dict[str, Entry]:
        return self._tops.setdefault(_top(path), {})

    def tree(self) -> dict[str, Entry]:
        """Return the tree as it is now."""
        return dict(in_order({path: entry for entries in self._tops.values() for path, entry in entries.items()}))

    def exists(self, path: str) -> bool:
        """Return whether a file or directory is at this path."""
        return path in self._top(path) or self._held[path] > 0

    def free(self, path: str) -> bool:
        """Return whether nothing is at a path, and only directories are above it."""
        entries = self._top(path)
        above = (entries.get(each, Directory()) for each in parents(path))
        return not self.exists(path) and all(isinstance(entry, Directory) for entry in above)

    def take(self, path: str) -> dict[str, Entry]:
        """Remove what is at a path, and return it; a directory that becomes empty is an entry."""
        entries, above = self._top(path), parents(path)
        gone = [path] if path in entries else [each for each in entries if each.startswith(f"{path}/")]
        taken = {each: self._drop(entries, each) for each in gone}
        if above and not self.exists(above[0]):
            self.put({above[0]: Directory()})
        return taken

    def _drop(self, entries: dict[str, Entry], path: str) -> Entry:
        self._held.subtract(parents(path))
        return entries.pop(path)

    def put(self, new: Mapping[str, Entry]) -> None:
        """Add entries; a directory with something in it is no entry."""
        for path, entry in new.items():
            entries = self._top(path)
            if path not in entries:
                self._held.update(parents(path))
            entries[path] = entry
            for above in parents(path):
                if above in entries:
                    self._drop(entries, above)


class _Paths:
    """Paths, of which it is known at once whether one is another one, in it, or above it."""

    def __init__(self) -> None:
        self._own, self._above = set[str](), set[str]()

    def add(self, path: str) -> None:
        """Add a path."""
        self._own.add(path)
        self._above.update(parents(path))

    def meet(self, path: str) -> bool:
        """Return whether a path is one of these, in one, or above one."""
        return path in self._own or path in self._above or not self._own.isdisjoint(parents(path))


class _Taken:
    """The fixes that are taken: their cuts by file, and the paths of their changes.

    Each look is at what is near: there may be tens of thousands of fixes, in as many files or in one.
    """

    def __init__(self, tree: Tree) -> None:
        self.changes: list[FileChange] = []
        self._tree, self._there = tree, _There(tree)
        self._texts: dict[str, _Text | None] = {}
        self._cuts: dict[str, list[_Cut]] = {}
        self._written, self._touched = _Paths(), _Paths()

    def take(self, fix: Fix) -> bool:
        """Take a fix if it fits with those that are taken."""
        cuts = [self._cut(each) for each in fix.replacements]
        found = [cut for cut in cuts if cut is not None]
        if len(found) < len(cuts) or not self._possible(fix.files, found) or not self._insert(found):
            return False
        for change in fix.files:
            for path in paths(change):
                self._touched.add(path)
        self.changes += fix.files
        return True

    def writes(self) -> Iterator[Write]:
        """Yield the files whose text changes."""
        for path, cuts in self._cuts.items():
            text = self._texts[path]
            if cuts and text is not None:
                yield Write(path, _spliced(text.content, cuts))

    def _cut(self, replacement: Replacement) -> _Cut | None:
        """Return a replacement by offsets; None if the file does not have its place."""
        at = replacement.at
        if at.path not in self._texts:
            entry = self._tree.get(at.path)
            self._texts[at.path] = _Text(entry.content()) if isinstance(entry, File) else None
        text = self._texts[at.path]
        if text is None:
            return None
        start, end = text.offset(at.line, at.column), text.offset(at.end_line, at.end_column)
        if start is None or end is None or end < start:
            return None
        return _Cut(at.path, start, end, replacement.text.encode("utf-8", "surrogateescape"))

    def _insert(self, cuts: Iterable[_Cut]) -> bool:
        """Add cuts to those of their files, which do not meet and are sorted; add none if one meets another."""
        new: list[_Cut] = []
        for cut in cuts:
            there = self._cuts.setdefault(cut.path, [])
            at = bisect(there, cut.start, key=lambda each: each.start)
            if any(cut.meets(near) for near in there[max(0, at - 1) : at + 1]):
                for each in new:
                    self._cuts[each.path].remove(each)
                return False
            there.insert(at, cut)
            new.append(cut)
        for cut in new:
            self._written.add(cut.path)
        return True

    def _possible(self, changes: Iterable[FileChange], cuts: Iterable[_Cut]) -> bool:
        """Return whether changes find what they need, and neither each other nor a file that another fix writes.

        `cuts` are those of their own fix, which may move a file that it writes.
        """
        if any(self._touched.meet(cut.path) for cut in cuts):
            return False
        own: list[str] = []
        for change in changes:
            touched = paths(change)
            rivals = any(self._touched.meet(path) or self._written.meet(path) for path in touched)
            if rivals or any(meet(path, other) for path in touched for other in own) or not _fits(self._there, change):
                return False
            own += touched
        return True


class _Text:
    """The content of a file, and where its lines begin."""

    def __init__(self, content: bytes) -> None:
        self.content, self._plain = content, content.isascii()
        self._starts = [0, *(found.end() for found in re.finditer(b"\n", content))]

    def offset(self, line: int, column: int) -> int | None:
        """Return the offset of a place, whose column counts characters; None if it does not exist."""
        if not (0 < line <= len(self._starts) and column > 0):
            return None
        start = self._starts[line - 1]
        end = self._starts[line] - 1 if line < len(self._starts) else len(self.content)
        if self._plain:
            return start + column - 1 if column - 1 <= end - start else None
        text = self.content[start:end].decode("utf-8", "surrogateescape")
        return start + len(text[: column - 1].encode("utf-8", "surrogateescape")) if column <= len(text) + 1 else None


def _fits(there: _There, change: FileChange) -> bool:
    match change:
        case Move(path, to):
            return there.exists(path) and there.free(to)
        case Create(path, _):
            return there.free(path)
        case Remove(path):
            return there.exists(path)


def _top(path: str) -> str:
    return path.partition("/")[0]


def paths(change: Step) -> list[str]:
    """Return the paths that a step changes."""
    return [change.path, change.to] if isinstance(change, Move) else [change.path]


def renamed(step: Step, name: Callable[[str], str]) -> Step:
    """Return a step with its paths replaced by what `name` returns for them."""
    match step:
        case Write(path, content):
            return Write(name(path), content)
        case _:
            return Fix(files=(step,)).renamed(name).files[0]


def changed(fix: Fix) -> list[str]:
    """Return the paths that a fix changes."""
    return [*(each.at.path for each in fix.replacements), *(path for each in fix.files for path in paths(each))]


def _spliced(content: bytes, cuts: Sequence[_Cut]) -> bytes:
    pieces, at = [], 0
    for cut in cuts:
        pieces += [content[at : cut.start], cut.text]
        at = cut.end
    return b"".join([*pieces, content[at:]])
