"""What fixes change, as a patch that `git apply` takes: unified diffs, and whole files in the extended form of git.

Source: git, Documentation/diff-generate-patch.txt, for the lines, and quote.c for names. Bytes that are not UTF-8 are
surrogate escapes in the text, as they are in paths.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from tritonrepo.tree import Change, Directory, Entry, File, in_bytes

LARGEST_BYTES = 1 << 20
"""Files up to this size can be told as removed, which takes their whole content."""

COMPARED = 2000
"""Up to so many lines are compared one by one: the time can grow with the square of their number."""

CONTEXT = 3
NEW, OLD = "new file mode 100644", "deleted file mode 100644"
NO_END = "\\ No newline at end of file"
ODD = re.compile(rb'[\x00-\x1f"\\\x7f-\xff]')
LETTERS = {7: "a", 8: "b", 9: "t", 10: "n", 11: "v", 12: "f", 13: "r", 34: '"', 92: "\\"}


class _Texts(NamedTuple):
    """What becomes of a file: its old and new path and content; None if it is not there."""

    old: str
    new: str
    before: bytes | None
    after: bytes | None


def lines(changes: Iterable[Change]) -> Iterator[str]:
    """Yield the lines of the patch that makes these changes.

    What git does not know or cannot show is a line that begins with `#`, which it skips: an empty directory, and a
    removed link or binary file.
    """
    for change in changes:
        if change.after is None:
            yield from _removed(change.old, change.before)
        elif isinstance(change.after, File) and not isinstance(change.before, File):
            yield from _difference(_Texts(change.new, change.new, None, change.after.content()))
        elif isinstance(change.after, Directory) and change.before is None:
            yield f"# new directory {quoted(change.new)}"
        else:
            yield from _kept(change)


def _kept(change: Change) -> Iterator[str]:
    old, new, before, after = change
    texts = (before.content(), after.content()) if isinstance(before, File) and isinstance(after, File) else None
    if before is not after and texts is not None and texts[0] != texts[1]:
        yield from _difference(_Texts(old, new, *texts))
    elif old != new and not isinstance(after, Directory):
        head = _Texts(old, new, None, None)
        yield from (_head(head), "similarity index 100%", *_paths(head))


def _removed(path: str, entry: Entry | None) -> Iterator[str]:
    if isinstance(entry, File) and entry.size <= LARGEST_BYTES and b"\0" not in (content := entry.content()):
        yield from _difference(_Texts(path, path, content, None))
    elif not isinstance(entry, Directory):
        yield f"# removed {quoted(path)}"
    else:
        yield f"# removed directory {quoted(path)}"


def _head(change: _Texts) -> str:
    return f"diff --git {quoted(f'a/{change.old}')} {quoted(f'b/{change.new}')}"


def _paths(change: _Texts) -> Iterator[str]:
    yield f"rename from {quoted(change.old)}"
    yield f"rename to {quoted(change.new)}"


def _difference(change: _Texts) -> Iterator[str]:
    hunks = [*_hunks(_split(change.before or b""), _split(change.after or b""))]
    yield _head(change)
    if change.before is None:
        yield NEW
    elif change.after is None:
        yield OLD
    elif change.old != change.new:
        yield from _paths(change)
    if not hunks and change.before is not change.after:  # nothing else says that it is empty
        yield "index 0000000..e69de29" if change.before is None else "index e69de29..0000000"
    if hunks:
        yield "--- /dev/null" if change.before is None else f"--- {_named(f'a/{change.old}')}"
        yield "+++ /dev/null" if change.after is None else f"+++ {_named(f'b/{change.new}')}"
    yield from hunks


def _named(path: str) -> str:
    """Return a path as in the two lines before the hunks, where a tab ends a path with blanks."""
    text = quoted(path)
    return f"{text}\t" if " " in text else text


def quoted(path: str) -> str:
    """Return a path as git writes it: quoted if it has control characters, quotes, or bytes that are not ASCII."""
    content = in_bytes(path)
    if not ODD.search(content):
        return path
    return f'"{ODD.sub(_octal, content).decode("ascii")}"'


def _octal(found: re.Match[bytes]) -> bytes:
    code = found[0][0]
    return f"\\{LETTERS.get(code) or f'{code:03o}'}".encode()


def _split(content: bytes) -> list[str]:
    """Return the lines of a text with their line feeds; carriage returns are part of their lines."""
    text = content.decode("utf-8", "surrogateescape")
    found = text.split("\n")
    return [*(f"{line}\n" for line in found[:-1]), *filter(None, found[-1:])]


def _hunks(before: Sequence[str], after: Sequence[str]) -> Iterator[str]:
    """Yield the hunks of a unified diff, without what precedes them."""
    same = _common(before, after)
    ends = _common(before[same:][::-1], after[same:][::-1])
    start, stop = max(0, same - CONTEXT), max(0, ends - CONTEXT)
    old, new = before[start : len(before) - stop], after[start : len(after) - stop]
    if max(len(old), len(new)) <= COMPARED:
        compared: Iterable[str] = [*difflib.unified_diff(old, new, n=CONTEXT)][2:]
    else:
        compared = _replaced(old, new, (same - start, ends - stop))
    for line in compared:
        moved = _moved(line, start) if line.startswith("@@") else line
        yield moved.removesuffix("\n")
        if not line.startswith("@@") and not line.endswith("\n"):
            yield NO_END


def _common(first: Sequence[str], second: Sequence[str]) -> int:
    """Return how many lines at the beginning are equal."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((number for number, (one, other) in pairs if one != other), min(len(first), len(second)))


def _replaced(old: Sequence[str], new: Sequence[str], around: tuple[int, int]) -> Iterator[str]:
    """Yield one hunk that replaces everything between the lines that are kept before and after."""
    before, behind = around
    yield f"@@ -1,{len(old)} +1,{len(new)} @@\n"
    yield from (f" {line}" for line in old[:before])
    yield from (f"-{line}" for line in old[before : len(old) - behind])
    yield from (f"+{line}" for line in new[before : len(new) - behind])
    yield from (f" {line}" for line in old[len(old) - behind :])


HUNK = re.compile(r"@@ -(\d+)((?:,\d+)?) \+(\d+)((?:,\d+)?) @@")


def _moved(line: str, by: int) -> str:
    """Return the head of a hunk for lines before which others were left out."""
    found = HUNK.match(line)
    assert found is not None  # noqa: S101  it is ours
    return f"@@ -{int(found[1]) + by}{found[2]} +{int(found[3]) + by}{found[4]} @@\n"
