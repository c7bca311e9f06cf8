"""What a plan changes in each file: text as unified diffs, anything else by size and digest."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator

from tritonrepo.plain import printable
from tritonrepo.report.text import Style, styled
from tritonrepo.shared import is_shared
from tritonrepo.sync.plan import Action, Put
from tritonrepo.sync.record import NAME
from tritonrepo.tree import File, Tree, amount

LARGEST_BYTES = 64 << 10
"""Texts up to this size are compared line by line: the time can grow with the square of their lines."""

LONGEST_LINE = 2000
"""Texts with a longer line are data, such as a tokenizer, which nobody reads line by line."""

LONGEST_NUMBER = 19
"""Digits of the largest version number."""

STYLES = {"@@": (Style.CYAN,), "--": (Style.BOLD,), "++": (Style.BOLD,), "-": (Style.RED,), "+": (Style.GREEN,)}


def lines(actions: Iterable[Action], have: Tree, where: str, *, colour: bool = False) -> Iterator[str]:
    """Yield the differences between the files that are there and those that a plan writes, as printable lines.

    A file of a new version is compared with that of the newest version before it. What is only deleted has no lines,
    nor has the record, which lists digests.
    """
    puts = {action.path: action.file for action in actions if isinstance(action, Put) and action.path != NAME}
    earlier = _newest(have)
    for path, file in puts.items():
        old = path if path in have else earlier.get(_in_version(path)[0], "")
        before = have.get(old)
        before = before if isinstance(before, File) else None
        if before is None or before.size != file.size or before.sha256 != file.sha256:
            yield from _difference((f"{where}/{old}", before), (f"{where}/{path}", file), colour=colour)


def _newest(have: Tree) -> dict[tuple[str, str], str]:
    """Return the path of each file of the newest version that has it, by model and path in the version."""
    found: dict[tuple[str, str], tuple[int, str]] = {}
    for path in have:
        key, number = _in_version(path)
        if number is not None:
            found[key] = max(found.get(key, (number, path)), (number, path))
    return {key: path for key, (_, path) in found.items()}


def _in_version(path: str) -> tuple[tuple[str, str], int | None]:
    """Return model and path in the version, and the version's number; None for what is in no version."""
    model, _, below = path.partition("/")
    number, _, ending = below.partition("/")
    is_number = number.isascii() and number.isdecimal() and len(number) <= LONGEST_NUMBER
    return (model, ending), int(number) if ending and is_number else None


Named = tuple[str, File | None]


def unified(old: Named, new: tuple[str, File]) -> list[str]:
    """Return the unified diff of two texts; nothing for what is not compared line by line, or differs in no line."""
    before = [] if old[1] is None else _text(old[1])
    after = _text(new[1])
    if before is None or after is None or any(map(is_shared, new[0].split("/"))):
        return []
    name = "/dev/null" if old[1] is None else printable(old[0])
    return [*difflib.unified_diff(before, after, name, printable(new[0]), lineterm="")]


def coloured(found: Iterable[str], *, colour: bool) -> Iterator[str]:
    """Yield the lines of a unified diff as printable ones."""
    for number, line in enumerate(found):
        head = line[:2] if number < 2 or line.startswith("@@") else line[:1]  # noqa: PLR2004  two lines name the files
        yield styled(_printable(line), *STYLES.get(head, ()), colour=colour)


def _difference(old: Named, new: tuple[str, File], *, colour: bool) -> Iterator[str]:
    if found := unified(old, new):
        yield from coloured(found, colour=colour)
    else:
        yield _digests(old, new)


def _text(file: File) -> list[str] | None:
    """Return the lines of a text; None for what is not compared line by line."""
    if file.size > LARGEST_BYTES:
        return None
    try:
        text = file.content().decode("utf-8")
    except UnicodeDecodeError:
        return None
    found = text.removesuffix("\n").split("\n") if text else []
    return None if "\0" in text or any(len(line) > LONGEST_LINE for line in found) else found


def _printable(line: str) -> str:
    """Return a line of a diff; its tabs stay."""
    return "\t".join(map(printable, line.split("\t")))


def _digests(old: Named, new: tuple[str, File]) -> str:
    path, file = new
    before = "new" if old[1] is None else f"{amount(old[1].size)}, SHA-256 {old[1].sha256}"
    renamed = "" if old[1] is None or old[0] == path else f"{printable(old[0])} → "
    return f"{renamed}{printable(path)}: {before} → {amount(file.size)}, SHA-256 {file.sha256}"
