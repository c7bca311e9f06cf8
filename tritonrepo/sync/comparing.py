"""What differs between two repositories, model by model; a file is read only if its digest is not known. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from tritonrepo.pbtxt import parse
from tritonrepo.pbtxt.changes import Change, changes, text
from tritonrepo.repository.versions import versions as counted
from tritonrepo.sync.push import uploadable
from tritonrepo.sync.revision import Object
from tritonrepo.tree import File, Tree, files, is_one

READ_BYTES = 1 << 20
"""Larger configs and JSON files are compared by digest."""

CONFIGS = ".pbtxt"


@dataclass(frozen=True, slots=True)
class Gone(File):
    """A file of an earlier revision that no longer exists: only its size and digest are known."""


def gone(was: Object) -> Gone:
    """Return what a record knows about a file that no longer exists."""
    return Gone(was.size, lambda _, __: b"", digest=was.sha256)


class Pair(NamedTuple):
    """A file before and after; None where there is none. Paths are those in the repository.

    `fields` are those of a config that differ; `same`, whether both say the same in another form.
    """

    old_path: str
    path: str
    old: File | None
    new: File | None
    fields: tuple[Change, ...] = ()
    same: bool = False

    @property
    def said(self) -> list[tuple[str, str, str]]:
        """The fields that differ, with their values as text."""
        return [(path, _said(old), _said(new)) for path, old, new in self.fields]


class Difference(NamedTuple):
    """A model that differs: `sign` is + for a new one, - for one that is gone, ~ for others."""

    model: str
    sign: str
    added: tuple[int, ...]
    removed: tuple[int, ...]
    pairs: tuple[Pair, ...]


def compare(old: Tree, new: Tree) -> list[Difference]:
    """Return the models that differ, sorted by name; files at the top are none, because no server reads them."""
    before, after = _models(old), _models(new)
    found = (_model(name, before.get(name), after.get(name)) for name in sorted({*before, *after}))
    return [each for each in found if each.sign != "~" or each.pairs or each.added or each.removed]


def _models(tree: Tree) -> dict[str, dict[str, File]]:
    found: dict[str, dict[str, File]] = {}
    for path, file in files(uploadable(tree)).items():
        name, _, rest = path.partition("/")
        found.setdefault(name, {})[rest] = file
    return found


def _model(name: str, old: Mapping[str, File] | None, new: Mapping[str, File] | None) -> Difference:
    before, after = _versions(old or {}), _versions(new or {})
    added, removed = tuple(sorted(after.keys() - before.keys())), tuple(sorted(before.keys() - after.keys()))
    if old is None or new is None:
        sign = "+" if old is None else "-"
        return Difference(name, sign, added, removed, tuple(_pairs(name, old or {}, {}, new or {})))
    own = {f"{before[number]}/" for number in removed} | {f"{after[number]}/" for number in added}
    first = {path: file for path, file in old.items() if f"{path.partition('/')[0]}/" not in own}
    second = {path: file for path, file in new.items() if f"{path.partition('/')[0]}/" not in own}
    pairs = [*_pairs(name, first, {path: path for path in first}, second)]
    for number in added:
        pairs += _new_version(name, (old, before), (new, after), number)
    return Difference(name, "~", added, removed, tuple(pairs))


Versioned = tuple[Mapping[str, File], Mapping[int, str]]


def _new_version(name: str, old: Versioned, new: Versioned, number: int) -> Iterator[Pair]:
    """Yield what differs between a new version and the one before it, or else the newest one."""
    numbers = sorted(old[1])
    base = next((each for each in reversed(numbers) if each < number), numbers[-1] if numbers else None)
    top = f"{new[1][number]}/"
    within = {path: file for path, file in new[0].items() if path.startswith(top)}
    if base is None:
        yield from _pairs(name, {}, {}, within)
        return
    head = f"{old[1][base]}/"
    below = {path: file for path, file in old[0].items() if path.startswith(head)}
    yield from _pairs(name, below, {path: top + path.removeprefix(head) for path in below}, within)


def _pairs(name: str, old: Mapping[str, File], becomes: Mapping[str, str], new: Mapping[str, File]) -> Iterator[Pair]:
    """Yield the files that differ; `becomes` is the path of an old one in the new repository."""
    before = {becomes.get(path, path): path for path in old}
    for path in sorted({*before, *new}):
        was = before.get(path)
        pair = Pair(f"{name}/{was or path}", f"{name}/{path}", old[was] if was else None, new.get(path))
        if pair.old is None or pair.new is None or not equal(pair.old, pair.new):
            yield _in_meaning(pair)


def _versions(tree: Mapping[str, File]) -> dict[int, str]:
    return dict(counted(sorted({path.partition("/")[0] for path in tree if "/" in path})).found)


def equal(one: File, other: File) -> bool:
    """Whether two files have the same content; what need not be read is not."""
    if one.size != other.size:
        return False
    return is_one(one, other) or one.sha256 == other.sha256


def _in_meaning(pair: Pair) -> Pair:
    old, new = pair.old, pair.new
    if old is None or new is None or isinstance(old, Gone) or isinstance(new, Gone):
        return pair
    if max(old.size, new.size) > READ_BYTES:
        return pair
    if pair.path.endswith(CONFIGS):
        one, other = parse(old.content()), parse(new.content())
        if one.faults or other.faults:
            return pair
        found = tuple(changes(one.root, other.root))
        return pair._replace(fields=found, same=not found)
    return pair._replace(same=pair.path.endswith(".json") and _same_json(old.content(), new.content()))


def _same_json(old: bytes, new: bytes) -> bool:
    try:
        return _canonical(old) == _canonical(new)
    except (ValueError, RecursionError):
        return False


def _canonical(content: bytes) -> str:
    return json.dumps(json.loads(content, object_pairs_hook=_once), sort_keys=True)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; raise ValueError if it has a key twice: readers differ in which one they take."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def _said(value: Any) -> str:  # noqa: ANN401  plain data
    return "not set" if value is None else text(value)
