"""What differs between two repositories, as lines and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from tritonrepo.diagnostics import Diagnostic
from tritonrepo.plain import printable
from tritonrepo.report import json
from tritonrepo.report.diff import LARGEST_BYTES, coloured, unified
from tritonrepo.report.text import Style, styled
from tritonrepo.shared import is_shared
from tritonrepo.sync.comparing import Difference, Gone, Pair
from tritonrepo.tree import File, amount

LONGEST_VALUE = 120
"""Characters of a value that a line shows."""

SAME = "no difference in meaning"
STYLES = {"+": (Style.GREEN,), "-": (Style.RED,), "~": (Style.BOLD,)}


def lines(found: Sequence[Difference], old: str, new: str, *, colour: bool = False) -> Iterator[str]:
    """Yield the differences as printable lines; `old` and `new` name the repositories."""
    for each in found:
        said = _summary(each)
        head = printable("  ".join(filter(None, [f"{each.sign} {each.model}", said])))
        yield styled(head, *STYLES[each.sign], colour=colour)
        if each.sign == "~":
            for _, pairs in groupby(each.pairs, key=_group):
                yield from _group_lines([*pairs], (old, new), colour=colour)
    counts = Counter(each.sign for each in found)
    named = [f"{counts[sign]} {word}" for sign, word in (("+", "new"), ("-", "gone"), ("~", "changed")) if counts[sign]]
    yield printable(f"{old} → {new}: {', '.join(named) or 'no differences'}")


def _summary(each: Difference) -> str:
    if each.sign == "~":
        said = [(_versions(each.added), "added"), (_versions(each.removed), "removed")]
        return ", ".join(f"{versions} {verb}" for versions, verb in said if versions)
    own = [pair.new or pair.old for pair in each.pairs]
    size = amount(sum(file.size for file in own if file))
    count = f"{len(own)} file{'' if len(own) == 1 else 's'}, {size}"
    versions = _versions(each.added or each.removed)
    return f"{'new' if each.sign == '+' else 'gone'}: {f'{versions}, ' if versions else ''}{count}"


def _versions(numbers: Sequence[int]) -> str:
    return f"version{'' if len(numbers) == 1 else 's'} {', '.join(map(str, numbers))}" if numbers else ""


def _group(pair: Pair) -> str:
    """Return what has a line: a path, or a directory that versions share."""
    model, _, rest = pair.path.partition("/")
    top = rest.partition("/")[0]
    return f"{model}/{top}/" if is_shared(top) else pair.path


def _group_lines(pairs: Sequence[Pair], names: tuple[str, str], *, colour: bool) -> Iterator[str]:
    place = _group(pairs[0])
    if place.endswith("/"):
        size = amount(sum(file.size for pair in pairs if (file := pair.new or pair.old)))
        signs = {_sign(pair) for pair in pairs}
        sign = signs.pop() if len(signs) == 1 else "~"
        yield printable(f"  {sign} {place}  {len(pairs)} file{'' if len(pairs) == 1 else 's'}, {size}")
        return
    yield from _pair(pairs[0], names, colour=colour)


def _sign(pair: Pair) -> str:
    return "+" if pair.old is None else "-" if pair.new is None else "=" if pair.same else "~"


def _pair(pair: Pair, names: tuple[str, str], *, colour: bool) -> Iterator[str]:
    sign, moved = _sign(pair), f"  from {pair.old_path}" if pair.old and pair.old_path != pair.path else ""
    head, found = f"  {sign} {pair.path}{moved}", _texts(pair, names)
    if pair.same:
        yield printable(f"{head}  {SAME}")
    elif pair.fields:
        yield printable(head)
        for path, old, new in pair.said:
            yield f"      {printable(f'{path}: {_cut(old)} → {_cut(new)}')}"
    elif found:
        yield printable(head)
        yield from coloured(found, colour=colour)
    else:
        yield printable(f"{head}  {' → '.join(_size(file) for file in (pair.old, pair.new) if file)}")


def _texts(pair: Pair, names: tuple[str, str]) -> list[str]:
    """Return the unified diff of two small texts whose content is there."""
    if pair.new is None or pair.fields or pair.same or Gone in {type(pair.old), type(pair.new)}:
        return []
    return unified((f"{names[0]}/{pair.old_path}", pair.old), (f"{names[1]}/{pair.path}", pair.new))


def _cut(value: str) -> str:
    return value if len(value) <= LONGEST_VALUE else f"{value[:LONGEST_VALUE]}…"


def _size(file: File) -> str:
    """Return a file's size, and its digest if that is known or the file is small."""
    known = file.known_sha256 or (file.sha256 if file.size <= LARGEST_BYTES else None)
    return f"{amount(file.size)}, SHA-256 {known}" if known else amount(file.size)


def document(found: Sequence[Difference], old: str, new: str, ends: Sequence[Diagnostic]) -> str:
    """Return the document that `schemas/diff.schema.json` describes."""
    signs = Counter(each.sign for each in found)
    summary = {word: signs[sign] for word, sign in (("new", "+"), ("gone", "-"), ("changed", "~"))}
    models = [_data(each, (old, new)) for each in found]
    return json.document(ends, {"old": old, "new": new, "models": models, "summary": summary})


WORDS = {"+": "new", "-": "gone", "~": "changed", "=": "same meaning"}


def _data(each: Difference, names: tuple[str, str]) -> dict[str, Any]:
    versions = {"added": list(each.added), "removed": list(each.removed)}
    return {
        "model": each.model,
        "change": WORDS[each.sign],
        "versions": versions,
        "files": [_file(pair, names, whole=each.sign != "~") for pair in each.pairs],
    }


def _file(pair: Pair, names: tuple[str, str], *, whole: bool) -> dict[str, Any]:
    return {
        "path": pair.path,
        "old_path": pair.old_path if pair.old else None,
        "change": WORDS[_sign(pair)],
        "old": _facts(pair.old),
        "new": _facts(pair.new),
        "fields": [{"field": path, "old": old, "new": new} for path, old, new in pair.fields],
        "diff": [] if whole else _texts(pair, names),
    }


def _facts(file: File | None) -> dict[str, Any] | None:
    return None if file is None else {"bytes": file.size, "sha256": file.known_sha256}
