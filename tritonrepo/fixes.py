"""Fixes to any file of a repository or stack, applied to its bytes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from tritonrepo.diagnostics import Fix, Replacement


class Applied(NamedTuple):
    """The files that change, with their new content, and the fixes that could not be applied with the others."""

    files: dict[str, bytes]
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


def applied(files: Mapping[str, bytes], fixes: Iterable[Fix]) -> Applied:
    """Apply fixes in their order, each completely; one that meets an earlier one, or whose place is missing, is left.

    What is left may fit once the others are applied: the next run, on the new files, decides that.
    """
    taken: list[_Cut] = []
    left: list[Fix] = []
    for fix in fixes:
        cuts = [_cut(files, each) for each in fix.replacements]
        sound = [cut for cut in cuts if cut is not None]
        rivals = (other.meets(cut) for number, cut in enumerate(sound) for other in [*taken, *sound[:number]])
        if len(sound) < len(cuts) or any(rivals):
            left.append(fix)
        else:
            taken += sound
    cuts_of: dict[str, list[_Cut]] = {}
    for cut in taken:
        cuts_of.setdefault(cut.path, []).append(cut)
    return Applied({path: _spliced(files[path], cuts) for path, cuts in cuts_of.items()}, tuple(left))


def _cut(files: Mapping[str, bytes], replacement: Replacement) -> _Cut | None:
    """Return a replacement by offsets; None if the file does not have its place."""
    at = replacement.at
    content = files.get(at.path)
    if content is None:
        return None
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
