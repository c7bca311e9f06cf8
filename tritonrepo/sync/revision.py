"""The record of a revision: what the last push wrote, with each object's digest, size and tag.

It is next to the repository's prefix, at PREFIX.tritonrepo/, because to Triton any directory inside is a model. An
object with the tag and size of the record has the record's digest; any other is read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

from tritonrepo.diagnostics import fatal
from tritonrepo.repository.paths import is_config
from tritonrepo.repository.versions import versions as counted
from tritonrepo.stores.store import Stored, Tag, tag_of
from tritonrepo.sync.place import beside
from tritonrepo.sync.push import uploadable
from tritonrepo.tree import Entry, File, Tree, digest, files, of_bytes

if TYPE_CHECKING:
    from tritonrepo.stores.store import Store
    from tritonrepo.sync.place import Place

SCHEMA = 1
NAME = "release.json"


class Object(NamedTuple):
    """What was written at a path."""

    sha256: str
    size: int
    tag: Tag


@dataclass(frozen=True, slots=True)
class Revision:
    """What a push published: the stack's name, target and local sources, the objects; who pushed, when, with what.

    `contents` is MODEL/NUMBER → digest of the content, of all versions that this push and earlier ones published.
    `switch`: model → overlap or replace, if it is not as usual for its backend.
    `number` is 1 for what the first push published, and then grows by one; 0 is that of a first push that was killed.
    `repository` is the URI of what a record that is not next to its repository belongs to (`binding`).
    """

    name: str = ""
    target: Mapping[str, Any] = field(default_factory=dict)
    local: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Object] = field(default_factory=dict)
    made: Mapping[str, str] = field(default_factory=dict)
    contents: Mapping[str, str] = field(default_factory=dict)
    number: int = 0
    repository: str = ""
    switch: Mapping[str, str] = field(default_factory=dict)


BACK = re.compile("[1-9][0-9]{0,17}")
MOST = 10**18
"""Numbers of revisions are below this, so that each can be a name."""


def back(made: Mapping[str, str]) -> int:
    """Return the number of the revision that a rollback restored; 0 if a push made the revision."""
    number = made.get("rollback", "")
    return int(number) if BACK.fullmatch(number) else 0


def record_path(prefix: str) -> str:
    """Return the path of the record of the repository at a prefix."""
    return beside(prefix, NAME)


def dump(revision: Revision) -> File:
    """Return the record as a file: JSON with sorted keys, into which the thousands of objects come one by one."""
    data = {"schema": SCHEMA, **{each.name: getattr(revision, each.name) for each in fields(revision)}, "files": {}}
    for key in ("contents", "number", "repository", "switch"):
        if not data[key]:
            del data[key]
    head, key, tail = _json(data).partition('\n "files": {')  # a text in JSON has no line ends
    text, before = BytesIO(), ""
    text.write(f"{head}{key}".encode())
    for path in sorted(revision.files):
        sha256, size, tag = map(json.dumps, revision.files[path])
        text.write(f"{before}\n  {json.dumps(path)}: [\n   {sha256},\n   {size},\n   {tag}\n  ]".encode())
        before = ","
    end = "\n " if before else ""
    text.write(f"{end}{tail}\n".encode())
    return of_bytes(text.getvalue())


def _json(data: object) -> str:
    return json.dumps(data, indent=1, sort_keys=True)


def read(store: Store, prefix: str, where: str) -> tuple[Revision | None, Tag | None]:
    """Return the record of the repository at a prefix and its tag, both None if there is no record."""
    found = store.fetch(record_path(prefix))
    if found is None:
        return None, None
    return load(found.content, f"{where}: {record_path(prefix)}"), found.tag


def of(place: Place) -> tuple[Revision | None, Tag | None]:
    """Return the record of the repository at a place and its tag, both None if there is no record."""
    path, at = place.beside(NAME), place.records.uri
    found = place.record_store.fetch(path)
    return (load(found.content, f"{at}: {path}"), found.tag) if found else (None, None)


def load(content: bytes, where: str) -> Revision:
    """Return the record of this content; raise Stop if it is not a record."""
    try:
        data = json.loads(content)
        if data["schema"] != SCHEMA:
            message = f"the release record has schema {data['schema']}, but this tritonrepo reads schema {SCHEMA}"
            raise fatal("record-schema", where, message, "Upgrade tritonrepo.")
        objects = data["files"]
        for path, entry in objects.items():
            objects[path] = _object(entry)  # in its place: thousands would be there twice
        contents = {str(path): _text(text) for path, text in data.get("contents", {}).items()}
        made = {str(key): _text(text) for key, text in data["made"].items()}
        name, number = str(data["name"]), _number(data.get("number", 0))
        bound, switch = _text(data.get("repository", "")), data.get("switch", {})
        switch = {str(model): _text(text) for model, text in switch.items()}
        return Revision(name, {**data["target"]}, {**data["local"]}, objects, made, contents, number, bound, switch)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        hint = "Delete the file: the next push reads the objects themselves."
        raise fatal("record-syntax", where, f"the file is not a release record: {error!r}", hint) from None


def _object(entry: list[Any]) -> Object:
    match entry:
        case [str(sha256), int(size), str(tag)]:
            return Object(sha256, size, Tag(tag))
        case _:
            raise TypeError(entry)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _number(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < MOST:
        raise TypeError(value)
    return value


def known(tree: Tree, revision: Revision | None) -> Tree:
    """Return a scanned tree with the digests from the record."""
    if revision is None:
        return tree
    return {path: _with_digest(entry, revision.files.get(path)) for path, entry in tree.items()}


def _with_digest(entry: Entry, known: Object | None) -> Entry:
    if known and isinstance(entry, Stored) and (entry.tag, entry.size) == (known.tag, known.size):
        return Stored(entry.size, entry.read, digest=known.sha256, tag=entry.tag)
    return entry


def unfinished(have: Tree, revision: Revision | None) -> set[str]:
    """Return the models whose configs differ from those of the last finished push."""
    recorded = revision.files if revision else {}
    configs = {path: file for path, file in files(have).items() if is_config(path)}
    moved = {path for path, file in configs.items() if path not in recorded or recorded[path].tag != tag_of(file)}
    return {path.partition("/")[0] for path in moved}


def versions(revision: Revision) -> dict[str, set[int]]:
    """Return the versions of each model in a revision."""
    found: dict[str, set[int]] = {}
    for path in revision.files:
        name, _, rest = path.partition("/")
        numbers = found.setdefault(name, set())
        if "/" in rest:
            numbers.update(counted([rest.partition("/")[0]]).found)
    return found


def directories(tree: Tree) -> dict[str, dict[int, Tree]]:
    """Return the files of each version by model and number, with paths relative to its directory."""
    tops: dict[str, dict[str, dict[str, Entry]]] = {}
    for path, entry in uploadable(tree).items():
        name, _, rest = path.partition("/")
        top, _, inner = rest.partition("/")
        if inner:
            tops.setdefault(name, {}).setdefault(top, {})[inner] = entry
    return {
        name: {number: found[top] for number, top in counted(sorted(found)).found.items()}
        for name, found in tops.items()
    }


def contents(tree: Tree) -> dict[str, str]:
    """Return MODEL/NUMBER → digest of the content, as a build computes it."""
    found = directories(tree).items()
    return {f"{name}/{number}": digest(own) for name, numbers in found for number, own in numbers.items()}


@dataclass(frozen=True, slots=True, eq=False)
class Objects(Mapping[str, Object]):
    """The record's objects after a push, each made when it is asked for, because thousands take more than their files.

    What was written has its new tag, and the rest that of the file that was found.
    """

    want: Mapping[str, File]
    have: Tree
    written: Mapping[str, Tag | None]

    def __getitem__(self, path: str) -> Object:
        """Return the object at a path; raise KeyError if none is recorded there."""
        file, there, new = self.want[path], self.have.get(path), self.written.get(path)
        tag = tag_of(there) if path not in self.written and isinstance(there, File) else new
        assert tag is not None  # noqa: S101  what is wanted was there, or was written
        return Object(file.sha256, file.size, tag)

    def __iter__(self) -> Iterator[str]:
        """Yield the paths in order."""
        return iter(self.want)

    def __len__(self) -> int:
        """Return how many they are."""
        return len(self.want)

    def is_in(self, revision: Revision) -> bool:
        """Whether a revision has these objects and no others."""
        return len(self) == len(revision.files) and all(revision.files.get(path) == self[path] for path in self)


def objects(want: Tree, have: Tree, written: Mapping[str, Tag | None]) -> Objects:
    """Return the record's objects after a push that wrote files with these tags."""
    return Objects(files(uploadable(want)), uploadable(have), written)
