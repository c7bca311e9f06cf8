"""The earlier revisions of a repository: what each consisted of, and where its files are now.

All of it is where the record of the present revision is, and none of it is ever overwritten:

- `revisions/N.json` is the record of revision N. The push that replaces a revision writes it, before anything else.
- `revisions/next.json` says what the last push or rollback set out to do. It alone is overwritten, by each.
- `kept/SHA256` has the content of a file that a push overwrote: configs, and other files that belong to no version.
  The files of versions stay where they are until they are pruned.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from tritonrepo.diagnostics import Diagnostic, Severity, Span, failure, fatal
from tritonrepo.repository.versions import versions
from tritonrepo.stores.store import Fetched, Write, glimpse
from tritonrepo.sync import revision as revisions
from tritonrepo.sync.plan import Phase, Plan
from tritonrepo.sync.revision import Object, Revision
from tritonrepo.sync.writing import each
from tritonrepo.tree import File, Tree, amount, files, of_bytes, of_text

if TYPE_CHECKING:
    from tritonrepo.sync.place import Place
    from tritonrepo.sync.writing import Writer

REVISIONS, KEPT = "revisions", "kept"
MOST_BYTES = 8 << 20
"""A larger file that a push overwrites is not kept: it would have to be fetched and sent again."""

READS_AT_ONCE = 16
RECORD = re.compile(r"([1-9][0-9]{0,17})\.json")


NEXT = f"{REVISIONS}/next.json"


class Begun(NamedTuple):
    """What a push or rollback began: the number of the revision that it starts from, and who pushes, when, with what.

    It is over if the record has another number by now.
    """

    after: int
    made: Mapping[str, str]

    @property
    def back(self) -> int:
        """The number of the revision that a rollback restores; 0 for a push."""
        return revisions.back(self.made)


class Restored(NamedTuple):
    """The files of a revision, read from where they are now, and the paths of those that no longer exist anywhere."""

    tree: dict[str, File]
    missing: tuple[str, ...]


def numbers(place: Place) -> list[int]:
    """Return the numbers of the revisions that were replaced by later ones, ascending."""
    names = map(RECORD.fullmatch, place.record_store.scan(place.beside(REVISIONS)))
    return sorted(int(name[1]) for name in names if name)


def next_number(place: Place, before: Revision | None) -> int:
    """Return the number of the next revision: no number comes back, even if someone has removed the record."""
    return max(before.number if before else 0, *numbers(place), 0) + 1


def read(place: Place, number: int) -> Revision:
    """Return the record of a revision that was replaced; raise Stop if there is none."""
    path = place.beside(f"{REVISIONS}/{number}.json")
    found, at = place.record_store.fetch(path), f"{place.records.uri}: {path}"
    if found is None:
        there = ", ".join(map(str, numbers(place)))
        hint = f"Earlier revisions: {there}." if there else "No earlier revisions exist."
        raise fatal("revision-unknown", place.uri, f"revision {number} does not exist", hint)
    revision = revisions.load(found.content, at)
    if revision.number != number:
        message = f"the record of revision {number} says that it is that of revision {revision.number}"
        raise fatal("record-syntax", at, message, "Do not write to the directory of the records.")
    return revision


def restored(place: Place, revision: Revision, have: Tree, *, checking: bool = True) -> Restored:
    """Return the files of a revision: those of `have`, the present ones, that are still the same, and those kept.

    Only files whose content may be the same without that the record knows it are read. Without `checking`, nothing is:
    such a file has the digest of the record, and whoever reads it must check that.
    """
    kept = copies(place)
    there = files(revisions.known(have, revision))
    if not checking:
        unkept = {path: was for path, was in revision.files.items() if was.sha256 not in kept}
        there = {path: _believed(file, unkept.get(path)) for path, file in there.items()}
    found = {path: _restored(place, path, each, there.get(path), kept) for path, each in revision.files.items()}
    tree = {path: file for path, file in found.items() if file}
    return Restored(tree, tuple(path for path, file in found.items() if not file))


def _believed(file: File, was: Object | None) -> File:
    unknown = was is not None and file.size == was.size and file.known_sha256 is None
    return replace(file, digest=was.sha256) if was and unknown else file


def copies(place: Place) -> dict[str, File]:
    """Return the contents that pushes have kept, by their SHA-256."""
    return files(place.record_store.scan(place.beside(KEPT)))


def lacking(revision: Revision, have: Tree, kept: Mapping[str, File]) -> tuple[str, ...]:
    """Return the files of a revision that no longer exist anywhere, as far as that is known without reading any."""
    there = files(revisions.known(have, revision))
    return tuple(path for path, was in revision.files.items() if not _exists(was, there.get(path), kept))


def _exists(was: Object, there: File | None, kept: Mapping[str, File]) -> bool:
    copy = kept.get(was.sha256)
    same = there is not None and there.size == was.size and there.known_sha256 in {None, was.sha256}
    return same or (copy is not None and copy.size == was.size)


def _restored(place: Place, path: str, was: Object, there: File | None, kept: Mapping[str, File]) -> File | None:
    if there and there.size == was.size and (there.known_sha256 == was.sha256):
        return there
    if (copy := kept.get(was.sha256)) and copy.size == was.size:
        return _checked(place, path, was, copy)
    return there if there and there.size == was.size and there.sha256 == was.sha256 else None


def _checked(place: Place, path: str, was: Object, copy: File) -> File:
    """Return a kept file that is read once, when it is needed; raise Stop then if it has another content."""
    content: list[bytes] = []

    def read(offset: int, n: int) -> bytes:
        if not content:
            whole = copy.content()
            if sha256(whole).hexdigest() != was.sha256:
                at = f"{place.records.uri}: {place.beside(f'{KEPT}/{was.sha256}')}"
                message = f"the file is not the {path} that was kept: its SHA-256 is another one"
                raise failure(
                    "revision-changed", at, message, "Find out who writes there. Go back to another revision."
                )
            content.append(whole)
        return content[0][offset : offset + n]

    return File(was.size, read, digest=was.sha256)


def begin(writer: Writer, before: Revision | None, made: Mapping[str, str]) -> None:
    """Write what is about to be done, so that it can be told and continued if it is interrupted."""
    if before is not None and before.number:
        text = json.dumps({"after": before.number, "made": dict(made)}, indent=1, sort_keys=True)
        writer.beside.write([Write(writer.place.beside(NEXT), of_text(f"{text}\n"))])


def begun(place: Place) -> Begun | None:
    """Return what the last push or rollback began; None if nothing is known of it."""
    found = place.record_store.fetch(place.beside(NEXT))
    with suppress(ValueError, KeyError, TypeError, AttributeError, RecursionError):
        data = json.loads(found.content) if found else {}
        made = {key: value for key, value in data["made"].items() if isinstance(value, str)}
        return Begun(data["after"], made) if isinstance(data["after"], int) else None
    return None


def replaced(plan: Plan, before: Revision | None) -> dict[str, Object]:
    """Return what a plan overwrites or removes of a revision; pruning is not meant: it removes what nothing needs."""
    recorded = before.files if before else {}
    return {
        path: recorded[path]
        for phase, path, *rest in plan.actions
        if path in recorded and phase < Phase.PRUNE and not _is_put_again(rest, recorded[path])
    }


def _is_put_again(rest: list[object], was: Object) -> bool:
    return isinstance(rest[0], File) and rest[0].sha256 == was.sha256


def unkept(plan: Plan, before: Revision | None, where: str) -> Iterator[Diagnostic]:
    """Yield the files that a plan overwrites and that are too large to be kept."""
    for path, was in replaced(plan, before).items():
        if was.size > MOST_BYTES and before:
            message = f"the push overwrites this file, and a file of {amount(was.size)} is not kept"
            hint = f"After it, revision {before.number} cannot be restored. Give new content a new version number."
            yield Diagnostic("push-not-kept", Severity.WARNING, Span(f"{where}/{path}"), message, hint)


def keep(writer: Writer, record: Fetched | None, before: Revision | None, plan: Plan, have: Tree) -> None:
    """Keep what a plan overwrites of the revision `before`, and then the revision's record, as it was fetched.

    What a killed push has overwritten already was kept by it.
    """
    if before is None or not before.number or record is None:
        return
    place, there = writer.place, files(have)
    kept = place.record_store.scan(place.beside(KEPT))
    wanted = {was.sha256: there[path] for path, was in replaced(plan, before).items() if _is(there.get(path), was)}
    wanted |= {file.sha256: file for file in _unrecorded(plan, before, there)}
    missing = [(digest, file) for digest, file in wanted.items() if digest not in kept]
    each(lambda item: _kept(writer, *item), missing, writer.lanes)
    path = f"{REVISIONS}/{before.number}.json"
    if before.number not in numbers(place):
        writer.beside.add(place.beside(path), of_bytes(record.content))


def _unrecorded(plan: Plan, before: Revision, there: Mapping[str, File]) -> Iterator[File]:
    """Yield what a plan overwrites of models that `before` lacks: an earlier revision may have had them.

    A published version of a stack never changes, so what is overwritten of one is left over from a killed push.
    """
    paths = {path for phase, path, *_ in plan.actions if phase < Phase.PRUNE and path not in before.files}
    for path in paths & there.keys():
        _, top, *rest = path.split("/")
        in_version = bool(rest and versions([top]).found)
        if not (in_version and before.name) and there[path].size <= MOST_BYTES:
            yield there[path]


def _is(file: File | None, was: Object) -> bool:
    return file is not None and glimpse(file)[0] == was.size <= MOST_BYTES and file.sha256 == was.sha256


def _kept(writer: Writer, digest: str, file: File) -> None:
    writer.beside.add(writer.place.beside(f"{KEPT}/{digest}"), replace(of_bytes(file.content()), digest=digest))
